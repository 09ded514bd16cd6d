/** The inference process of a client as the system sees it: its number, its memory, and a limit of it. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceClient, type InferenceClientOptions } from '../../src/client/client';

export interface WatchedClient {
  readonly client: InferenceClient;
  /** Of the process that was started last; undefined where the system does not tell. */
  pid(): number | undefined;
  /** Ends everything. */
  dispose(): Promise<void>;
}

/**
 * A client whose process may have no more than some memory of its own: beyond, an allocation fails. Windows and macOS have no such
 * limit, and no figures.
 */
export async function watchedClient(
  options: InferenceClientOptions & { readonly memoryMiB: number },
): Promise<WatchedClient> {
  const { memoryMiB, ...own } = options;
  if (process.platform !== 'linux') {
    const client = new InferenceClient(own);
    return { client, pid: () => undefined, dispose: () => client.dispose() };
  }
  const folder = await mkdtemp(join(tmpdir(), 'tatok-watched-'));
  const [shell, number] = [join(folder, 'node'), join(folder, 'pid')];
  const script = `#!/bin/sh\necho $$ >'${number}'\nulimit -d ${1024 * memoryMiB}\nexec '${process.execPath}' "$@"\n`;
  await writeFile(shell, script, { mode: 0o755 });
  const client = new InferenceClient({ ...own, execPath: shell });
  return {
    client,
    pid: () => Number(readFileSync(number, 'utf8')),
    dispose: async () => {
      await client.dispose();
      await rm(folder, { recursive: true });
    },
  };
}

/** What one process has at a moment. */
export interface Footprint {
  /** MiB that are resident. */
  readonly resident: number;
  /** MiB: the most that was resident since {@link forgetPeak}. */
  readonly peak: number;
  readonly threads: number;
  /** Open files, pipes and sockets. */
  readonly handles: number;
}

/** Undefined where the process is gone, or the system does not tell. */
export async function footprint(pid: number | 'self'): Promise<Footprint | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  if (status === undefined) return undefined;
  let handles: number;
  try {
    // Reading the folder of one's own takes a handle.
    handles = readdirSync(`/proc/${pid}/fd`).length - (pid === 'self' ? 1 : 0);
  } catch {
    // It ended meanwhile.
    return undefined;
  }
  const value = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    resident: value('VmRSS') / 1024,
    peak: value('VmHWM') / 1024,
    threads: value('Threads'),
    handles,
  };
}

/** Has the peak of a process begin anew. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined);
}
