/** The images that a data set is made of: in folders, lists, WebDataset tars and Parquet files, each read when it is its turn. */
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type FileMetaData,
  type RowGroup,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { LRUCache } from 'lru-cache';
import { extract as tarExtract } from 'tar-stream';
import { FileTooLarge, openRegular, readRegular } from '../bundle/regularFile';
import { TatokError } from '../method/errors';
import { mostFileBytes, requireFileSize } from '../method/imageLimits';
import { requireFewValues, requireSoundPages } from './tokenRows';

/** An image by its name among the inputs. */
export interface ImageInput {
  /** Relative to the folder or as the list has it, with `/`; the name in an archive. */
  readonly path: string;
  readonly label: string | null;
  /** Absolute path of its file; absent for one in an archive. */
  readonly file?: string;
  /** The encoded file. @throws TatokError or an error of the file system, of this image alone. */
  read(): Promise<Uint8Array>;
}

/** Images in a fixed order. */
interface Source {
  readonly count: number;
  /** @param index from 0 to below `count`. */
  at(index: number): ImageInput;
}

const imageExtension = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;

/** All inputs, in the order of the arguments, one after another. */
export class ImageInputs implements Source {
  private readonly starts: number[] = [];
  readonly count: number;

  private constructor(private readonly sources: readonly Source[]) {
    let count = 0;
    for (const source of sources) {
      this.starts.push(count);
      count += source.count;
    }
    this.count = count;
  }

  /**
   * Lists the images of folders (with those below, sorted by code points), image files, tars, Parquet files and text lists (a path a line,
   * relative to the list's folder). Archives are gone through once, without keeping what they hold.
   *
   * @throws TatokError input-unreadable for an argument that cannot be listed.
   */
  static async list(inputs: readonly string[]): Promise<ImageInputs> {
    const sources: Source[] = [];
    for (const input of inputs) sources.push(await sourceOf(input, inputs.length > 1 ? `${basename(input)}/` : ''));
    return new ImageInputs(sources);
  }

  at(index: number): ImageInput {
    let source = this.starts.length - 1;
    while (source > 0 && (this.starts[source] ?? 0) > index) source--;
    const found = this.sources[source];
    if (found === undefined || index >= this.count) throw new RangeError(`there is no input ${index}`);
    return found.at(index - (this.starts[source] ?? 0));
  }

  *[Symbol.iterator](): Generator<ImageInput> {
    for (let i = 0; i < this.count; i++) yield this.at(i);
  }
}

/** @param prefix of the names of an archive's images. */
async function sourceOf(input: string, prefix: string): Promise<Source> {
  try {
    if ((await stat(input)).isDirectory()) return await listFolder(input);
    const name = input.toLowerCase();
    if (imageExtension.test(name)) return files(dirname(input), [basename(input)], () => null);
    if (/\.(tar\.|tgz$)/.test(name)) throw unreadable(input, 'it is compressed', 'Decompress it to a .tar file.');
    await (await openRegular(input)).close();
    if (name.endsWith('.tar')) return await listTar(input, prefix);
    if (name.endsWith('.parquet')) return await listParquet(input, prefix);
    return await listLines(input);
  } catch (error) {
    if (error instanceof TatokError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') throw unreadable(input, 'there is no such file or folder');
    throw unreadable(
      input,
      error instanceof Error ? error.message.replace(/\.$/, '') : String(error),
      undefined,
      error,
    );
  }
}

function unreadable(input: string, reason: string, advice?: string, cause?: unknown): TatokError {
  return new TatokError('input-unreadable', `${input} cannot be read as images: ${reason}.`, advice, { cause });
}

/** The order of Unicode code points, in which UTF-8 sorts too. JavaScript's own is that of UTF-16. */
export function byCodePoints(a: string, b: string): number {
  // Surrogates stand for what comes after all others.
  const place = (unit: number) => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = place(a.charCodeAt(i)) - place(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The first folder of a relative path. */
function folderLabel(path: string): string | null {
  const slash = path.indexOf('/');
  return slash > 0 ? path.slice(0, slash) : null;
}

function files(folder: string, paths: readonly string[], labelOf: (path: string) => string | null): Source {
  return {
    count: paths.length,
    at: (index) => {
      const path = paths[index] ?? '';
      const file = isAbsolute(path) ? path : resolve(folder, path);
      return { path, label: labelOf(path), file, read: () => readImage(file) };
    },
  };
}

/** @throws TatokError for a file that is too large, otherwise as {@link readRegular}. */
export function readImage(path: string): Promise<Uint8Array> {
  return readRegular(path, mostFileBytes).catch((error: unknown) => {
    if (error instanceof FileTooLarge) requireFileSize(error.bytes);
    throw error;
  });
}

async function listFolder(folder: string): Promise<Source> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory() && imageExtension.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name).slice(join(folder, sep).length).replaceAll(sep, '/'))
    .sort(byCodePoints);
  return files(folder, paths, folderLabel);
}

/** A list of a million paths has less. */
const mostListBytes = 2 ** 28;

async function listLines(list: string): Promise<Source> {
  const text = new TextDecoder('utf-8', { fatal: true });
  let lines: string[];
  try {
    lines = text.decode(await readRegular(list, mostListBytes)).split(/\r?\n/);
  } catch (error) {
    throw unreadable(list, 'it is neither an image nor an archive nor a list of paths', undefined, error);
  }
  const paths = lines.filter((line) => line.trim() !== '').sort(byCodePoints);
  if (paths.some((path) => path.includes('\0'))) {
    throw unreadable(list, 'it is neither an image nor an archive nor a list of paths');
  }
  return files(dirname(list), paths, (path) => (isAbsolute(path) ? null : folderLabel(path)));
}

/** A file in a tar: its bytes are at `offset` of the archive. */
interface TarEntry {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

const mostLabelBytes = 1024;
/** Of a name in an archive: file systems take a quarter. An archive may have millions. */
const mostNameLength = 1024;

/** A sample's key in a WebDataset: the name up to the first dot of its last part. */
function sampleKey(name: string): string {
  const slash = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', slash);
  return dot < 0 ? name : name.slice(0, dot);
}

async function listTar(archive: string, prefix: string): Promise<Source> {
  const entries: TarEntry[] = [];
  const labels = new Map<string, string>();
  const { size: bytes } = await stat(archive);
  const tar = tarExtract();
  const reading = pipeline(createReadStream(archive, { highWaterMark: 1 << 20 }), tar);
  reading.catch(() => undefined);
  let end = 0;
  try {
    for await (const entry of tar) {
      const { name, type, size, byteOffset: offset } = entry.header as typeof entry.header & { byteOffset: number };
      end = offset + size;
      if (name.length > mostNameLength) throw new RangeError(`a name has ${name.length} characters`);
      // Links and devices are no images, wherever they lead.
      if (type === 'file' && imageExtension.test(name)) entries.push({ name, offset, size });
      if (type === 'file' && extname(name) === '.cls' && size <= mostLabelBytes) {
        labels.set(sampleKey(name), (await textOf(entry)).trim());
      } else entry.resume();
    }
    await reading;
  } catch (error) {
    // A last file that is cut short is found out when it is read, as any broken image.
    if (end <= bytes) {
      const reason = error instanceof Error ? error.message : String(error);
      throw unreadable(archive, `it is damaged after ${entries.length} images (${reason})`, undefined, error);
    }
  }
  return {
    count: entries.length,
    at: (index) => {
      const { name, offset, size } = entries[index] ?? { name: '', offset: 0, size: 0 };
      return {
        path: prefix + name,
        label: labels.get(sampleKey(name)) ?? null,
        read: () => readPart(archive, offset, size),
      };
    },
  };
}

async function textOf(entry: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

async function readPart(archive: string, offset: number, size: number): Promise<Uint8Array> {
  requireFileSize(size);
  const file = await open(archive);
  try {
    if (offset + size > (await file.stat()).size) {
      throw new TatokError('image-unreadable', 'The archive ends before the image does.');
    }
    const bytes = new Uint8Array(size);
    let length = 0;
    for (let read = -1; length < size && read !== 0; length += read) {
      ({ bytesRead: read } = await file.read(bytes, length, size - length, offset + length));
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Names of columns, in the order of preference. */
const keyColumns = ['path', 'key', '__key__'];
const labelColumns = ['label', 'class', 'cls'];
const imageColumns = ['image', 'img', 'bytes', 'image_bytes', 'jpg', 'jpeg', 'png', 'webp', 'content', 'data'];

/** Groups of rows that are held at a time: readers of several shards have one each. */
const heldGroups = 2;

async function listParquet(archive: string, prefix: string): Promise<Source> {
  const file = await asyncBufferFromFile(archive);
  const metadata = await parquetMetadataAsync(file);
  requireFewValues(metadata, file.byteLength);
  const { image, nested } = imageColumn(archive, metadata);
  const names = parquetSchema(metadata).children.map(({ element }) => element.name);
  const key = keyColumns.find((name) => names.includes(name));
  const label = labelColumns.find((name) => names.includes(name));
  const read = async (columns: string[], group: RowsOfGroup): Promise<Record<string, unknown>[]> => {
    const { start: rowStart, end: rowEnd } = group;
    await requireSoundPages(file, group.of, columns);
    return parquetReadObjects({ file, metadata, columns, rowStart, rowEnd, compressors, utf8: false });
  };
  const groups = groupsOf(metadata);
  const keys: string[] = [];
  const labels: (string | null)[] = [];
  const wanted = [key ?? (nested ? image : undefined), label].filter((name) => name !== undefined);
  for (const group of groups) {
    const { start, end } = group;
    const rows = wanted.length === 0 ? [] : await read(wanted, group);
    for (let row = start; row < end; row++) {
      const values = rows[row - start] ?? {};
      const found: unknown = key === undefined ? (values[image] as { path?: unknown } | undefined)?.path : values[key];
      keys.push(prefix + (plainText(found) ?? String(row)));
      labels.push(label === undefined ? null : plainText(values[label]));
    }
  }
  const held = new LRUCache<RowsOfGroup, Promise<Record<string, unknown>[]>>({ max: heldGroups });
  return {
    count: keys.length,
    at: (index) => ({
      path: keys[index] ?? '',
      label: labels[index] ?? null,
      read: async () => {
        const group = groups.find(({ end }) => index < end);
        if (group === undefined) throw new RangeError(`there is no row ${index}`);
        const rows = held.get(group) ?? read([image], group);
        held.set(group, rows);
        const value = (await rows)[index - group.start]?.[image];
        const bytes = nested ? (value as { bytes?: unknown } | null | undefined)?.bytes : value;
        if (bytes instanceof Uint8Array) return bytes;
        throw new TatokError('image-unreadable', 'The row of the Parquet file has no image.');
      },
    }),
  };
}

/** A group, and its first and last row (exclusive). */
interface RowsOfGroup {
  readonly of: RowGroup;
  readonly start: number;
  readonly end: number;
}

/** Groups that are not empty. */
function groupsOf({ row_groups }: FileMetaData): RowsOfGroup[] {
  let start = 0;
  return row_groups
    .map((of) => ({ of, start, end: (start += Number(of.num_rows)) }))
    .filter((group) => group.end > group.start);
}

/** The column of images: bytes, or a structure with a field `bytes` as Hugging Face's data sets have it. */
function imageColumn(archive: string, metadata: FileMetaData): { readonly image: string; readonly nested: boolean } {
  const candidates = parquetSchema(metadata).children.flatMap(({ element, children }) => {
    const isBytes = ({ type, converted_type }: typeof element) => type === 'BYTE_ARRAY' && converted_type === undefined;
    if (isBytes(element)) return [{ image: element.name, nested: false }];
    const nested = children.some((child) => child.element.name === 'bytes' && isBytes(child.element));
    return nested ? [{ image: element.name, nested }] : [];
  });
  const preferred = imageColumns.flatMap((name) => candidates.filter(({ image }) => image === name));
  const found = preferred[0] ?? (candidates.length === 1 ? candidates[0] : undefined);
  if (found !== undefined) return found;
  throw unreadable(
    archive,
    candidates.length === 0 ? 'it has no column of bytes' : 'it has several columns of bytes',
    `Name the column of image files ${imageColumns.slice(0, 3).join(', ')}.`,
  );
}

function plainText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'bigint' ? value.toString() : null;
}
