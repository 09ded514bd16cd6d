/** Files of others, opened so that none can keep the reader waiting: named pipes, devices and sockets are refused at once. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** The path leads to something that has no end, or whose reading has effects. */
export class NotAFile extends Error {
  override readonly name = 'NotAFile';

  constructor() {
    super('It is not a regular file but a pipe, a device or a socket.');
  }
}

/** The file is larger than the reader takes. */
export class FileTooLarge extends Error {
  override readonly name = 'FileTooLarge';

  constructor(readonly bytes: number) {
    super(`It has ${bytes} bytes.`);
  }
}

/**
 * Opens a regular file for reading; links are followed.
 *
 * @throws NotAFile; an error with the code EISDIR for a folder; whatever opening throws.
 */
export async function openRegular(path: string): Promise<FileHandle> {
  // Opening a device may have effects, so it is looked at before; it may be exchanged meanwhile, so it is looked at again.
  requireRegular(await stat(path));
  // Without a writer, opening a pipe would wait for one. (Windows has neither the flag, which counts as 0 there, nor pipes in folders.)
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    requireRegular(await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * All bytes of a regular file, in memory of their own.
 *
 * @param most bytes that are read; absent: as many as fit into memory.
 * @throws FileTooLarge before reading; otherwise as {@link openRegular}.
 */
export async function readRegular(path: string, most = Infinity): Promise<Uint8Array<ArrayBuffer>> {
  const file = await openRegular(path);
  try {
    const { size } = await file.stat();
    if (size > most) throw new FileTooLarge(size);
    const bytes = new Uint8Array(size);
    let length = 0;
    // One call reads less than 2 GiB.
    for (let read = -1; length < size && read !== 0; length += read) {
      ({ bytesRead: read } = await file.read(bytes, length, Math.min(size - length, 2 ** 30), length));
    }
    return length === size ? bytes : bytes.slice(0, length);
  } finally {
    await file.close();
  }
}

/** SHA-256 of a whole file, in hexadecimal. @throws as {@link openRegular}, or when `signal` is aborted. */
export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  const file = await openRegular(path);
  const hash = createHash('sha256');
  // The stream closes the file.
  await pipeline(file.createReadStream({ highWaterMark: 1 << 20 }), hash, { ...(signal && { signal }) });
  return hash.digest('hex');
}

function requireRegular(found: { isFile(): boolean; isDirectory(): boolean }): void {
  if (found.isDirectory()) throw Object.assign(new Error('It is a folder.'), { code: 'EISDIR' });
  if (!found.isFile()) throw new NotAFile();
}
