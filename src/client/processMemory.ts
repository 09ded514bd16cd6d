/** Memory of another process, where the system tells of it. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/**
 * Bytes that a process holds in memory; undefined where it has ended, and on systems other than Linux. These refuse memory to the process
 * that asks for too much, where Linux ends one that it chooses.
 */
export function residentBytes(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const held = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return held === undefined ? undefined : 1024 * Number(held);
  } catch {
    return undefined;
  }
}

/** Three quarters of what the machine or container has: large pictures and models need much, and the editor needs the rest. */
export function mostResidentBytes(): number {
  // It is 0 where there is no such limit that Node knows of.
  const granted = process.constrainedMemory();
  return 0.75 * Math.min(totalmem(), granted > 0 ? granted : Infinity);
}
