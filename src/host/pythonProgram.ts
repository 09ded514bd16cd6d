/** Python of an environment, and programs that run in it with their output line by line. */
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface ProgramOptions {
  /** Each line of both outputs, as it comes. */
  readonly onLine: (line: string) => void;
  /** Ends the program and what it started. */
  readonly signal: AbortSignal;
}

export interface Ended {
  /** Exit status; null where it was ended by a signal, or could not be started. */
  readonly status: number | null;
  /** The last lines of standard error. */
  readonly errors: readonly string[];
}

/** Lines that are kept to tell a failure. */
const keptErrors = 40;

/** The interpreter of an environment's folder, or the file itself that was named; undefined where there is none. */
export async function interpreterIn(folder: string): Promise<string | undefined> {
  const places = [join(folder, 'bin', 'python'), join(folder, 'bin', 'python3'), join(folder, 'Scripts', 'python.exe')];
  for (const path of [...places, ...(/python[\d.]*(\.exe)?$/.test(folder) ? [folder] : [])]) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

/** Runs `python ARGUMENTS…` to its end. Never in a workspace's folder, where a file could take the place of a module. */
export function runPython(
  python: string,
  args: readonly string[],
  cwd: string,
  { onLine, signal }: ProgramOptions,
): Promise<Ended> {
  return new Promise((resolve) => {
    const errors: string[] = [];
    if (signal.aborted) {
      resolve({ status: null, errors });
      return;
    }
    // A group of its own, so that pip's and PyTorch's processes end with it.
    const detached = process.platform !== 'win32';
    const env = { ...process.env, PYTHONUNBUFFERED: '1', PYTHONIOENCODING: 'utf-8', PYTHONSAFEPATH: '1' };
    const child = spawn(python, [...args], { cwd, env, detached, stdio: ['ignore', 'pipe', 'pipe'] });
    const end = () => {
      if (child.pid === undefined) return;
      try {
        if (detached) process.kill(-child.pid, 'SIGTERM');
        else child.kill();
      } catch {
        // It has ended meanwhile.
      }
    };
    signal.addEventListener('abort', end, { once: true });
    createInterface({ input: child.stdout }).on('line', onLine);
    createInterface({ input: child.stderr }).on('line', (line) => {
      errors.push(line);
      if (errors.length > keptErrors) errors.shift();
      onLine(line);
    });
    child.on('error', (error) => errors.push(error.message));
    child.on('close', (status) => {
      signal.removeEventListener('abort', end);
      resolve({ status, errors });
    });
  });
}
