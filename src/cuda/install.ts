/** Puts the provider's libraries where discovery looks for them: whole, or not at all. */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TatokError } from '../method/errors';
import { sha256OfFile } from '../bundle/regularFile';
import { extractFiles } from './archive';
import { cancelledSetUp, diskError, download, megabytes, sizeOf, setUpError } from './download';
import { neededLibraries } from './elf';
import { knownProviders, type FetchedFile } from './package';
import { cudaProviderLibrary, providerLibraries, requirementsOf, sharedProviderLibrary } from './requirements';

export interface SetUpOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** Libraries beside their future place. */
export interface StagedProvider {
  /** True if this build is known to be of the pinned release. */
  readonly known: boolean;
  readonly cudaMajor: number;
  /** Puts them into place in one step; an earlier set is replaced. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/** An archive that is fetched for its libraries. */
export type FetchedArchive = FetchedFile & { readonly name: string; readonly unpackedSize: number };

/** Bytes of the archive that earlier attempts, cancelled or cut off, have left for the next one. */
export function fetchedBytes(file: FetchedArchive, target: string): Promise<number> {
  return sizeOf(archiveOf(file, target));
}

/**
 * Fetches the archive, beside `target`, and stages what it holds. An attempt that was cut off is continued by the next.
 *
 * @throws TatokError `cancelled` or `cuda-setup-failed`.
 */
export async function fetchProvider(
  file: FetchedArchive,
  target: string,
  options: SetUpOptions,
): Promise<StagedProvider> {
  const archive = archiveOf(file, target);
  await ensureRoom(dirname(target), file.size - (await sizeOf(archive)) + file.unpackedSize);
  await download(file, archive, options);
  const staged = await stageProvider(archive, target, options);
  await rm(archive, { force: true });
  return staged;
}

function archiveOf({ name }: FetchedArchive, target: string): string {
  return join(dirname(target), name);
}

/**
 * Stages the libraries of a local folder or archive for `target`.
 *
 * @throws TatokError `cancelled`, or `cuda-setup-failed` when they are missing or damaged.
 */
export async function stageProvider(source: string, target: string, { signal }: SetUpOptions): Promise<StagedProvider> {
  const staging = `${target}.${randomBytes(4).toString('hex')}.partial`;
  const discard = () => rm(staging, { recursive: true, force: true });
  try {
    await removeLeftovers(target);
    await mkdir(staging, { recursive: true });
    await take(source, staging, signal);
    const needed = await neededOf(join(staging, cudaProviderLibrary), source);
    const known = await isKnown(staging, signal);
    const { cudaMajor } = requirementsOf(needed);
    return { known, cudaMajor, commit: () => replace(target, staging), discard };
  } catch (error) {
    await discard();
    if (error instanceof TatokError) throw error;
    if (signal.aborted) throw cancelledSetUp();
    throw explain(error, source);
  }
}

/** True if both libraries are of one build that is known: either of them runs with all that the user may do. */
async function isKnown(folder: string, signal: AbortSignal): Promise<boolean> {
  const shared = await sha256OfFile(join(folder, sharedProviderLibrary), signal);
  const cuda = await sha256OfFile(join(folder, cudaProviderLibrary), signal);
  return knownProviders.some((build) => build.shared === shared && build.cuda === cuda);
}

async function take(source: string, staging: string, signal: AbortSignal): Promise<void> {
  const found = await stat(source);
  const isFolder = found.isDirectory();
  if (!isFolder && !found.isFile())
    throw setUpError(`${basename(source)} is neither a file nor a folder.`, otherSource);
  const there = isFolder
    ? new Set(await readdir(source))
    : await extractFiles(source, providerLibraries, staging, signal);
  const absent = providerLibraries.find((name) => !there.has(name));
  if (absent !== undefined) throw setUpError(`${basename(source)} holds no ${absent}.`, otherSource);
  if (!isFolder) return;
  for (const name of providerLibraries) {
    signal.throwIfAborted();
    const path = join(source, name);
    if (!(await stat(path)).isFile()) throw setUpError(`${name} in ${basename(source)} is no file.`, otherSource);
    await copyFile(path, join(staging, name));
  }
}

const otherSource = 'Choose the onnxruntime-gpu wheel for Linux x86-64, or a folder with its two provider libraries.';

async function neededOf(library: string, source: string): Promise<string[]> {
  try {
    return await neededLibraries(library);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw setUpError(`${cudaProviderLibrary} of ${basename(source)} cannot be used: ${why}.`, otherSource, error);
  }
}

/** The last two steps that can fail leave the earlier set either in place or put back. */
async function replace(target: string, staging: string): Promise<void> {
  const former = `${target}.former.partial`;
  await rm(former, { recursive: true, force: true });
  const had = await rename(target, former).then(
    () => true,
    () => false,
  );
  try {
    await rename(staging, target);
  } catch (error) {
    if (had) await rename(former, target);
    throw explain(error, target);
  }
  await rm(former, { recursive: true, force: true });
}

/** Leftovers of attempts that a crash ended. */
async function removeLeftovers(target: string): Promise<void> {
  const folder = dirname(target);
  const names = await readdir(folder).catch(() => []);
  const leftovers = names.filter((name) => name.startsWith(`${basename(target)}.`) && name.endsWith('.partial'));
  await Promise.all(leftovers.map((name) => rm(join(folder, name), { recursive: true, force: true })));
}

async function ensureRoom(folder: string, bytes: number): Promise<void> {
  const free = await freeBytes(folder).catch((error: unknown) => {
    throw explain(error, folder);
  });
  if (free >= bytes) return;
  throw setUpError(
    `There is not enough room in ${folder}: ${megabytes(bytes)} are needed, ${megabytes(free)} are free.`,
    'Make room and start again.',
  );
}

async function freeBytes(folder: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** A failure that is not the disk's is the source's: libraries of archives describe it at length, which is for the log. */
function explain(error: unknown, source: string): TatokError {
  return diskError(error) ?? setUpError(`${basename(source)} is damaged or no archive.`, otherSource, error);
}
