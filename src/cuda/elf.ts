/** Reads from a Linux x86-64 shared library (ELF64, little endian) the names of the libraries that it needs. */
import type { FileHandle } from 'node:fs/promises';
import { openRegular } from '../bundle/regularFile';

const magic = 0x7f454c46;
const amd64 = 62;
const segment = { load: 1, dynamic: 2 };
const tag = { needed: 1, strings: 5, stringsSize: 10 };

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/**
 * File names of the libraries that the loader will look for (DT_NEEDED), in their order.
 *
 * Reads a few kilobytes, however large the library is. @throws Error when the file is not such a library, or is cut short.
 */
export async function neededLibraries(path: string): Promise<string[]> {
  const file = await openRegular(path);
  try {
    const segments = await readSegments(file);
    const { size } = await file.stat();
    const dynamic = segments.find(({ type }) => type === segment.dynamic);
    if (dynamic === undefined) throw new Error('it is no shared library');
    if (segments.some(({ offset, size: length }) => offset + length > size)) throw new Error('it is cut short');
    const entries = await readEntries(file, dynamic);
    const valueOf = (wanted: number) => entries.find(([name]) => name === wanted)?.[1] ?? 0;
    const strings = await read(file, offsetOf(valueOf(tag.strings), segments), valueOf(tag.stringsSize));
    return entries
      .filter(([name]) => name === tag.needed)
      .map(([, at]) => strings.toString('latin1', at, strings.indexOf(0, at)));
  } finally {
    await file.close();
  }
}

async function readSegments(file: FileHandle): Promise<Segment[]> {
  const header = await read(file, 0, 64);
  const [bits64, littleEndian] = [2, 1];
  if (header.readUInt32BE(0) !== magic) throw new Error('it is no shared library');
  if (header[4] !== bits64 || header[5] !== littleEndian || header.readUInt16LE(18) !== amd64) {
    throw new Error('it is for another processor');
  }
  const [entrySize, count] = [header.readUInt16LE(54), header.readUInt16LE(56)];
  const table = await read(file, Number(header.readBigUInt64LE(32)), entrySize * count);
  return Array.from({ length: count }, (_, index) => {
    const at = index * entrySize;
    return {
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: Number(table.readBigUInt64LE(at + 16)),
      size: Number(table.readBigUInt64LE(at + 32)),
    };
  });
}

async function readEntries(file: FileHandle, dynamic: Segment): Promise<[tag: number, value: number][]> {
  const bytes = await read(file, dynamic.offset, dynamic.size);
  return Array.from({ length: Math.floor(bytes.length / 16) }, (_, index) => [
    Number(bytes.readBigUInt64LE(index * 16)),
    Number(bytes.readBigUInt64LE(index * 16 + 8)),
  ]);
}

function offsetOf(address: number, segments: readonly Segment[]): number {
  const home = segments.find(
    ({ type, address: start, size }) => type === segment.load && address >= start && address < start + size,
  );
  if (home === undefined) throw new Error('it is damaged');
  return address - home.address + home.offset;
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const most = 1 << 24;
  if (length > most) throw new Error('it is damaged');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead < length) throw new Error('it is cut short');
  return buffer;
}
