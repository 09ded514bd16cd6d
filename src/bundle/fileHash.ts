import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { openRegular } from './regularFile';

/** SHA-256 of a whole file, in hexadecimal. @throws when it cannot be read or is no regular file, or `signal` is aborted. */
export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  const file = await openRegular(path);
  const hash = createHash('sha256');
  // The stream closes the file.
  await pipeline(file.createReadStream({ highWaterMark: 1 << 20 }), hash, { ...(signal && { signal }) });
  return hash.digest('hex');
}
