import { readFile } from 'node:fs/promises';
import { unzipSync } from 'fflate';

/** The files of a VSIX by their path in it. */
export async function readArchive(path: string): Promise<Map<string, Uint8Array>> {
  return new Map(Object.entries(unzipSync(await readFile(path))));
}
