/** Integrity of a bundle: a damaged or exchanged graph is refused before ONNX Runtime sees it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TatokError } from './errors';
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
      const hash = hashes.get(key) ?? sha256Of(path);
      hashes.set(key, hash);
      hash.catch(() => hashes.delete(key));
      if ((await hash) !== sha256) throw corrupt(`${path} is damaged: its SHA-256 is not the manifest’s.`);
    }),
  );
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  } catch (error) {
    throw corrupt(`${path} cannot be read.`, error);
  }
  return hash.digest('hex');
}

function corrupt(message: string, cause?: unknown): TatokError {
  return new TatokError('model-file-corrupt', message, 'Copy or export the bundle again.', { cause });
}
