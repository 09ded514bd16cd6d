/** Integrity of a bundle: a damaged or exchanged graph is refused before ONNX Runtime sees it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TatokError } from '../method/errors';
import { sha256OfFile } from './fileHash';
import type { Manifest } from './manifest';

/** SHA-256 of files hashed by this process, by path, size and modification time, so that each is hashed once. */
const hashes = new Map<string, Promise<string>>();

/**
 * Checks size and SHA-256 of every file the manifest lists.
 *
 * @throws TatokError model-file-corrupt naming the first file that is missing or differs.
 */
export async function verifyFiles(directory: string, files: Manifest['files']): Promise<void> {
  await Promise.all(
    files.map(async ({ path: name, bytes, sha256 }) => {
      const path = join(directory, name);
      const found = await stat(path).catch((error: unknown) => {
        throw corrupt(`${path} is missing.`, error);
      });
      if (found.size !== bytes) throw corrupt(`${path} has ${found.size} bytes instead of ${bytes}.`);
      const key = `${path}\0${found.size}\0${found.mtimeMs}`;
      const hash = hashes.get(key) ?? hashOf(path);
      hashes.set(key, hash);
      hash.catch(() => hashes.delete(key));
      if ((await hash) !== sha256) throw corrupt(`${path} is damaged: its SHA-256 is not the manifest’s.`);
    }),
  );
}

async function hashOf(path: string): Promise<string> {
  try {
    return await sha256OfFile(path);
  } catch (error) {
    throw corrupt(`${path} cannot be read.`, error);
  }
}

function corrupt(message: string, cause?: unknown): TatokError {
  return new TatokError('model-file-corrupt', message, 'Copy or export the bundle again.', { cause });
}
