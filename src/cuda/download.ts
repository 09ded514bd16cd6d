/** One file of known size and hash over HTTP, continued where an earlier attempt ended. */
import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { pipeline } from 'node:stream/promises';
import { TatokError } from '../method/errors';
import { sha256OfFile } from '../bundle/regularFile';
import type { FetchedFile } from './package';

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Bytes there so far, of the file's size. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

const httpStatus = { partial: 206, rangeNotSatisfiable: 416 };

/**
 * Fetches `file` to `path`; what is there already is continued. Afterwards `path` holds exactly the file wanted.
 *
 * @throws TatokError `cancelled`, or `cuda-setup-failed` with one sentence. Bytes received are kept for the next attempt, unless they
 *   are not the file's.
 */
export async function download(file: FetchedFile, path: string, options: DownloadOptions): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    if ((await sizeOf(path)) < file.size) await receive(file, path, options);
    await check(file, path, options.signal);
  } catch (error) {
    throw explain(error, file, options.signal, await sizeOf(path));
  }
}

async function receive(file: FetchedFile, path: string, { signal, onProgress }: DownloadOptions): Promise<void> {
  const there = await sizeOf(path);
  const headers = there > 0 ? { Range: `bytes=${there}-` } : {};
  const response = await fetch(file.url, { headers, signal }).catch((error: unknown) => {
    throw signal.aborted ? cancelledSetUp() : unreachable(file, error);
  });
  if (response.status === httpStatus.rangeNotSatisfiable && there > 0) {
    await response.body?.cancel();
    await rm(path);
    return receive(file, path, { signal, onProgress });
  }
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw setUpError(`${hostOf(file)} refused the download (${response.status} ${response.statusText}).`, anotherWay);
  }
  // A server without ranges sends the whole file again.
  const continued = response.status === httpStatus.partial;
  let bytes = continued ? there : 0;
  const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > file.size) throw await wrongFile(file, path);
      onProgress?.(bytes);
      yield chunk;
    }
  };
  const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
  await pipeline(body, counted, createWriteStream(path, { flags: continued ? 'a' : 'w' }), { signal });
  if (bytes < file.size) throw endedEarly(file, bytes);
}

/** Only the pinned hash tells that the file is what was wanted. */
async function check(file: FetchedFile, path: string, signal: AbortSignal): Promise<void> {
  if ((await sha256OfFile(path, signal)) !== file.sha256) throw await wrongFile(file, path);
}

async function wrongFile(file: FetchedFile, path: string): Promise<TatokError> {
  await rm(path, { force: true });
  return setUpError(
    `The file from ${hostOf(file)} is not the one wanted: its SHA-256 or size differs, so it was deleted.`,
    'A proxy may have replaced it; fetch the file another way and choose it as a local archive.',
  );
}

const anotherWay =
  'Check VS Code’s setting http.proxy, or fetch the file another way and choose it as a local archive.';

function endedEarly(file: FetchedFile, bytes: number): TatokError {
  return setUpError(
    `The download ended after ${megabytes(bytes)} of ${megabytes(file.size)}.`,
    'Start it again to continue, or choose a local archive.',
  );
}

function unreachable(file: FetchedFile, error: unknown): TatokError {
  // fetch() hides the reason one level down.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return setUpError(`${hostOf(file)} could not be reached: ${reason}.`, anotherWay, error);
}

function explain(error: unknown, file: FetchedFile, signal: AbortSignal, bytes: number): TatokError {
  if (error instanceof TatokError) return error;
  if (signal.aborted) return cancelledSetUp();
  return diskError(error) ?? endedEarly(file, bytes);
}

/** Bytes that are there; 0 when there is no such file. */
export async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

export function hostOf(file: FetchedFile): string {
  return new URL(file.url).host;
}

export function setUpError(message: string, advice?: string, cause?: unknown): TatokError {
  return new TatokError('cuda-setup-failed', message, advice, { cause });
}

export function cancelledSetUp(): TatokError {
  return new TatokError('cancelled', 'Setting up CUDA was cancelled.');
}

/** A refusal of the file system, in a sentence for each kind; undefined for other failures. */
export function diskError(error: unknown): TatokError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  const path = 'path' in error ? String(error.path) : undefined;
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return setUpError('There is no room left on the disk.', 'Make room and start again.', error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return setUpError(
        `${path ?? 'The file'} may not be read or written.`,
        'Give yourself access to it, or choose a copy.',
        error,
      );
    case 'ENOENT':
      return setUpError(`There is no ${path ?? 'such file'}.`, 'Choose it again.', error);
    default:
      // Errors of the network name no path.
      return path === undefined ? undefined : setUpError(`${path} could not be read or written: ${error.message}.`);
  }
}
