/** The machine as CUDA's discovery sees it, so that tests can put any layout in its place. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { isAbsolute } from 'node:path';
import { neededLibraries } from './elf';
import type { Place } from './places';
import { driverLibrary } from './requirements';

export interface System {
  readonly platform: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Names in a folder; none when it is missing or may not be read. */
  list(folder: string): Promise<readonly string[]>;
  /** A small text file; undefined when it is missing or may not be read. */
  readText(path: string): Promise<string | undefined>;
  /** Output of a command; undefined when it is missing, fails or takes too long. */
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

/** NVIDIA's driver: its version, its user-mode library and the GPUs it has. */
export interface Gpu {
  readonly index: number;
  readonly name: string;
  readonly memory: string;
}

export interface Driver {
  /** Undefined when nothing tells. */
  readonly version: string | undefined;
  /** Where libcuda.so.1 is. */
  readonly library: Place | undefined;
  /** Undefined when they were not asked for, or nothing could tell. */
  readonly gpus: readonly Gpu[] | undefined;
}

/** WSL, and containers that the driver is mounted into, keep nvidia-smi where the driver is; a login shell's path leads to neither. */
const smiCommands = ['nvidia-smi', '/usr/lib/wsl/lib/nvidia-smi', '/usr/local/nvidia/bin/nvidia-smi'];

/** @param askForGpus asks nvidia-smi even where the version is known without it; it can take seconds. */
export async function findDriver(system: System, places: readonly Place[], askForGpus: boolean): Promise<Driver> {
  const library = places.find(({ names }) => names.has(driverLibrary));
  const loaded = versionIn((await system.readText('/proc/driver/nvidia/version')) ?? '');
  if (!askForGpus && (loaded !== undefined || library === undefined))
    return { version: loaded, library, gpus: undefined };
  const listing = await askSmi(system);
  const rows = listing?.split('\n').map((line) => line.split(',').map((cell) => cell.trim()));
  const gpus = rows
    ?.filter((cells) => /^\d+$/.test(cells[0] ?? ''))
    .map(([index = '', name = '', , memory = '']) => ({ index: Number(index), name, memory }));
  const reported = rows?.map((cells) => cells[2]).find((cell) => cell !== undefined && /^\d+\.\d+/.test(cell));
  return { version: loaded ?? reported, library, gpus };
}

async function askSmi(system: System): Promise<string | undefined> {
  for (const command of smiCommands) {
    const listing = await system.run(command, [
      '--query-gpu=index,name,driver_version,memory.total',
      '--format=csv,noheader',
    ]);
    if (listing !== undefined) return listing;
  }
  return undefined;
}

/** "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  …", or "… Open Kernel Module for x86_64  580.95.05 …". */
function versionIn(text: string): string | undefined {
  return /Kernel Module\s+(?:for \S+\s+)?(\d+\.\d+(?:\.\d+)?)/.exec(text)?.[1];
}
