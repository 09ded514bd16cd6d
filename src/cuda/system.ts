/** The machine as CUDA's discovery sees it, so that tests can put any layout in its place. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { isAbsolute } from 'node:path';
import { neededLibraries } from './elf';

export interface System {
  readonly platform: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Names in a folder; none when it is missing or may not be read. */
  list(folder: string): Promise<readonly string[]>;
  /** A small text file; undefined when it is missing or may not be read. */
  readText(path: string): Promise<string | undefined>;
  /** What a command prints; undefined when it is missing, fails or takes too long. */
  run(command: string, args: readonly string[]): Promise<string | undefined>;
  /** File names of the shared libraries that a shared library names as needed; rejects when it is damaged or for another machine. */
  needed(library: string): Promise<readonly string[]>;
}

const commandLimitMs = 5000;

export const thisSystem: System = {
  platform: process.platform,
  arch: process.arch,
  env: process.env,
  // HOME may be empty, and then be relative to wherever the process was started.
  home: isAbsolute(homedir()) ? homedir() : userInfo().homedir,
  list: (folder) => readdir(folder).catch(() => []),
  readText: (path) => readFile(path, 'utf8').catch(() => undefined),
  run: (command, args) =>
    new Promise((resolve) => {
      execFile(command, [...args], { timeout: commandLimitMs, maxBuffer: 16e6 }, (error, stdout) =>
        resolve(error === null ? stdout : undefined),
      );
    }),
  needed: neededLibraries,
};
