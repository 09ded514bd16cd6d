/** Single files out of archives: wheels, NuGet packages and other zip files, and gzipped tar files. */
import { createReadStream, createWriteStream } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract as tarExtract } from 'tar-stream';
import { openPromise } from 'yauzl';

export const archiveExtensions = ['whl', 'nupkg', 'zip', 'tgz', 'gz'];

/**
 * Writes the files called `names`, wherever in the archive they are, into `folder`.
 *
 * @returns the names that were there. @throws when the archive is damaged, the disk full or `signal` aborted.
 */
export async function extractFiles(
  archive: string,
  names: readonly string[],
  folder: string,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const written = new Set<string>();
  const take = async (path: string, content: () => Promise<AsyncIterable<unknown>>): Promise<boolean> => {
    const name = basename(path);
    if (!names.includes(name) || written.has(name)) return false;
    written.add(name);
    await pipeline(await content(), createWriteStream(join(folder, name)), { signal });
    return true;
  };
  await (/\.(tgz|gz)$/i.test(archive) ? fromTar(archive, take, signal) : fromZip(archive, take));
  return written;
}

/** Takes an entry or leaves it. */
type Take = (path: string, content: () => Promise<AsyncIterable<unknown>>) => Promise<boolean>;

async function fromTar(archive: string, take: Take, signal: AbortSignal): Promise<void> {
  const entries = tarExtract();
  const reading = pipeline(createReadStream(archive), createGunzip(), entries, { signal });
  reading.catch(() => undefined);
  for await (const entry of entries) {
    if (entry.header.type !== 'file' || !(await take(entry.header.name, () => Promise.resolve(entry)))) entry.resume();
  }
  await reading;
}

async function fromZip(archive: string, take: Take): Promise<void> {
  const zip = await openPromise(archive, { lazyEntries: true, autoClose: false });
  try {
    for await (const entry of zip.eachEntry()) {
      await take(entry.fileName, () => zip.openReadStreamPromise(entry));
    }
  } finally {
    zip.close();
  }
}
