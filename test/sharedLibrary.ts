/** Shared libraries for Linux x86-64 of a few bytes, made without a compiler, in the place of CUDA's and the provider's. */

interface SharedLibraryOptions {
  /** File names of the libraries that the loader is to look for. */
  readonly needed?: readonly string[];
  /** Names of functions that do nothing. */
  readonly functions?: readonly string[];
  /** True if it ends a process that loads it by SIGSEGV. */
  readonly crashes?: boolean;
}

/** Where code and data are loaded: a page each, because one may be run and the other written. */
const page = 0x1000;
const headerSize = 64;
const segmentSize = 56;
const symbolSize = 24;
const code = {
  /** ret */
  nothing: [0xc3],
  /** xor eax, eax; mov eax, [rax] */
  crash: [0x31, 0xc0, 0x8b, 0x00],
};
const tag = { needed: 1, hash: 4, strings: 5, symbols: 6, stringsSize: 10, symbolSize: 11, init: 12 };

/** The bytes of an ELF file that the dynamic loader takes. */
export function sharedLibrary({ needed = [], functions = [], crashes = false }: SharedLibraryOptions = {}): Buffer {
  const names = stringTable([...needed, ...functions]);
  const body = Buffer.from(crashes ? code.crash : code.nothing);
  const symbols = Buffer.concat([
    Buffer.alloc(symbolSize),
    ...functions.map((name) => globalFunction(names.at(name), page, body.length)),
  ]);
  // One bucket with all symbols: its first, and for each the next.
  const chain = functions.map((_, i) => (i + 2) % (functions.length + 1));
  const hash = words(1, functions.length + 1, functions.length === 0 ? 0 : 1, 0, ...chain);
  const [codeAt, symbolsAt] = [page, page + 16];
  const stringsAt = symbolsAt + symbols.length;
  const hashAt = aligned(stringsAt + names.bytes.length);
  const dynamic = longs(
    ...needed.flatMap((name) => [tag.needed, names.at(name)]),
    ...[tag.hash, hashAt, tag.strings, stringsAt, tag.symbols, symbolsAt],
    ...[tag.stringsSize, names.bytes.length, tag.symbolSize, symbolSize],
    ...(crashes ? [tag.init, codeAt] : []),
    ...[0, 0],
  );
  const readable = hashAt + hash.length;
  const dynamicAt = 2 * page;
  const file = Buffer.alloc(dynamicAt + dynamic.length);
  const [execute, write, read] = [1, 2, 4];
  fileHeader(4).copy(file);
  [
    segment(1, read | execute, 0, readable),
    segment(1, read | write, dynamicAt, dynamic.length),
    segment(2, read | write, dynamicAt, dynamic.length),
    // PT_GNU_STACK: without it the loader wants a stack that may be run.
    segment(0x6474e551, read | write, 0, 0),
  ].forEach((header, i) => header.copy(file, headerSize + i * segmentSize));
  body.copy(file, codeAt);
  symbols.copy(file, symbolsAt);
  names.bytes.copy(file, stringsAt);
  hash.copy(file, hashAt);
  dynamic.copy(file, dynamicAt);
  return file;
}

function fileHeader(segments: number): Buffer {
  const header = Buffer.alloc(headerSize);
  // 64 bits, little endian, version 1.
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const [sharedObject, amd64, version] = [3, 62, 1];
  header.writeUInt16LE(sharedObject, 16);
  header.writeUInt16LE(amd64, 18);
  header.writeUInt32LE(version, 20);
  header.writeBigUInt64LE(BigInt(headerSize), 32);
  header.writeUInt16LE(headerSize, 52);
  header.writeUInt16LE(segmentSize, 54);
  header.writeUInt16LE(segments, 56);
  return header;
}

/** Files are loaded as they lie: offset and address are the same. */
function segment(type: number, flags: number, at: number, size: number): Buffer {
  return Buffer.concat([words(type, flags), longs(at, at, at, size, size, page)]);
}

function globalFunction(name: number, at: number, size: number): Buffer {
  const [globalFunctionInfo, anySection] = [0x12, 1];
  const [info, place] = [Buffer.from([globalFunctionInfo, 0, anySection, 0]), longs(at, size)];
  return Buffer.concat([words(name), info, place]);
}

function stringTable(strings: readonly string[]): { readonly bytes: Buffer; at(text: string): number } {
  const bytes = Buffer.from(['', ...strings, ''].join('\0'), 'latin1');
  return { bytes, at: (text) => bytes.indexOf(`\0${text}\0`) + 1 };
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32LE(value, 4 * i));
  return bytes;
}

function longs(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), 8 * i));
  return bytes;
}

function aligned(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}
