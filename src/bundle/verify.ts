/** Integrity of a bundle: ONNX Runtime is given only bytes whose size and SHA-256 are the manifest's. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TatokError } from '../method/errors';
import { externalDataOf, type ExternalData } from './externalData';
import { graphFilesOf, type Manifest } from './formatTwo';
import { NotAFile, readRegular, sha256OfFile } from './regularFile';

/** A graph and the files that hold weights of it, as they were verified. */
export interface VerifiedGraph {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Under the names by which the graph knows them. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array<ArrayBuffer> }[];
}

type Listed = Manifest['files'][number];

/** Files found in order by this process, by path, size, modification time and hash, so that each is checked once. */
const checked = new Set<string>();

/**
 * Checks size and SHA-256 of every file that the manifest lists, and that graphs keep weights in such files only.
 *
 * @throws TatokError model-file-corrupt naming the first file that is missing or differs; model-incompatible for a graph that is no
 *   ONNX model; model-invalid for weights in a file that is not listed.
 */
export async function verifyFiles(
  directory: string,
  manifest: Pick<Manifest, 'files' | 'graphs' | 'variants'>,
): Promise<void> {
  const graphs = new Set(graphFilesOf(manifest));
  // One after another: a graph is held in memory while it is checked.
  for (const listed of manifest.files) {
    const path = join(directory, listed.path);
    const found = await stat(path).catch((error: unknown) => {
      throw unreadable(path, error);
    });
    if (!found.isFile()) throw unreadable(path, new NotAFile());
    requireSize(path, listed, found.size);
    const isGraph = graphs.has(listed.path);
    // The weights of a graph are checked against the list, so that the list is a part of what was checked.
    const key = JSON.stringify([path, found.size, found.mtimeMs, isGraph ? manifest.files : listed]);
    if (checked.has(key)) continue;
    await (isGraph ? checkGraph(directory, manifest.files, listed) : checkHash(path, listed));
    checked.add(key);
  }
}

/**
 * A graph of the bundle, to be opened from memory: a file that is exchanged after it was verified is not what is loaded.
 *
 * @param name of a graph that the manifest names.
 * @throws TatokError as {@link verifyFiles}.
 */
export async function readGraph(directory: string, files: Manifest['files'], name: string): Promise<VerifiedGraph> {
  const bytes = await readListed(directory, listedAs(name, files));
  const names = new Set(externalFiles(join(directory, name), bytes, files).map(({ path }) => path));
  const externalData = await Promise.all(
    [...names].map(async (path) => ({ path, data: await readListed(directory, listedAs(path, files)) })),
  );
  return { bytes, externalData };
}

/** A file of the bundle that is no graph, as it was verified. @throws TatokError as {@link verifyFiles}. */
export function readVerified(
  directory: string,
  files: Manifest['files'],
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  return readListed(directory, listedAs(name, files));
}

async function checkGraph(directory: string, files: Manifest['files'], listed: Listed): Promise<void> {
  externalFiles(join(directory, listed.path), await readListed(directory, listed), files);
}

async function checkHash(path: string, { sha256 }: Listed): Promise<void> {
  const hash = await sha256OfFile(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (hash !== sha256) throw damaged(path);
}

/** All of a file in memory, hashed there. */
async function readListed(directory: string, listed: Listed): Promise<Uint8Array<ArrayBuffer>> {
  const path = join(directory, listed.path);
  const bytes = await readRegular(path, listed.bytes).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  requireSize(path, listed, bytes.length);
  if (createHash('sha256').update(bytes).digest('hex') !== listed.sha256) throw damaged(path);
  return bytes;
}

/** The listed files that hold weights of a graph. @throws TatokError where it names another, or a place that is not in it. */
function externalFiles(path: string, bytes: Uint8Array, files: Manifest['files']): Listed[] {
  let external: ExternalData[];
  try {
    external = externalDataOf(bytes);
  } catch (error) {
    throw new TatokError('model-incompatible', `${path} is no ONNX graph that can be read.`, exportAgain, {
      cause: error,
    });
  }
  return external.map(({ location, offset, length = 0 }) => {
    const listed = files.find((file) => file.path === location);
    if (listed === undefined) {
      const where = location.length > 100 ? `${location.slice(0, 100)}…` : location;
      throw new TatokError(
        'model-invalid',
        `${path} keeps weights in ${JSON.stringify(where)}, which the manifest does not list under its files.`,
        exportAgain,
      );
    }
    if (offset + length > listed.bytes) {
      throw new TatokError('model-invalid', `${path} wants weights beyond the end of ${location}.`, exportAgain);
    }
    return listed;
  });
}

function listedAs(name: string, files: Manifest['files']): Listed {
  const listed = files.find(({ path }) => path === name);
  if (listed === undefined) throw new RangeError(`${name} is not among the files of the bundle`);
  return listed;
}

function requireSize(path: string, { bytes }: Listed, found: number): void {
  if (found !== bytes) throw corrupt(`${path} has ${found} bytes instead of ${bytes}.`);
}

const exportAgain = 'Copy or export the bundle again.';

function unreadable(path: string, cause: unknown): TatokError {
  if (cause instanceof NotAFile) return corrupt(`${path} is a pipe or a device instead of a file.`, cause);
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return corrupt(code === 'ENOENT' ? `${path} is missing.` : `${path} cannot be read.`, cause);
}

function damaged(path: string): TatokError {
  return corrupt(`${path} is damaged: its SHA-256 is not the manifest’s.`);
}

function corrupt(message: string, cause?: unknown): TatokError {
  return new TatokError('model-file-corrupt', message, exportAgain, { cause });
}
