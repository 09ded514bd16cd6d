/** Where the parts of a file begin and end, and where it says how long they are: what a mutation of its structure changes. */

/** A number in a file; a varint is one of protocol buffers, `size` bytes with their continuation bits. */
export interface NumberAt {
  readonly at: number;
  readonly size: number;
  readonly order: 'big' | 'little' | 'varint';
}

/** A part of a file, with the lengths of all that it is in. */
export interface Block {
  readonly start: number;
  readonly end: number;
  readonly lengths: readonly NumberAt[];
}

export interface Structure {
  readonly blocks: readonly Block[];
  /** Lengths, offsets, counts and sizes in pixels. */
  readonly numbers: readonly NumberAt[];
}

export const formats = ['png', 'jpeg', 'webp', 'tiff', 'avif', 'gif'] as const;

export type Format = (typeof formats)[number];

/** Reads as much structure as there is: bytes may be those of a mutant. */
export function structureOf(format: Format | 'onnx' | 'zip', bytes: Uint8Array): Structure {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = { blocks: [] as Block[], numbers: [] as NumberAt[] };
  readers[format](view, found);
  return found;
}

interface Found {
  readonly blocks: Block[];
  readonly numbers: NumberAt[];
}

const big = (at: number, size: number): NumberAt => ({ at, size, order: 'big' });
const little = (at: number, size: number): NumberAt => ({ at, size, order: 'little' });

function add({ blocks }: Found, view: DataView, start: number, end: number, lengths: readonly NumberAt[] = []): void {
  if (start < end && end <= view.byteLength) blocks.push({ start, end, lengths });
}

function textAt(view: DataView, at: number, length = 4): string {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));
}

const readers: Record<Format | 'onnx' | 'zip', (view: DataView, found: Found) => void> = {
  png(view, found) {
    found.numbers.push(big(16, 4), big(20, 4), big(24, 1), big(25, 1), big(28, 1));
    for (let at = 8; at + 12 <= view.byteLength;) {
      const end = at + 12 + view.getUint32(at);
      found.numbers.push(big(at, 4));
      add(found, view, at, end);
      at = end;
    }
  },

  jpeg(view, found) {
    for (let at = 2; at + 4 <= view.byteLength;) {
      const marker = view.getUint8(at + 1);
      if (view.getUint8(at) !== 0xff || marker === 0xd9) break;
      const end = at + 2 + view.getUint16(at + 2);
      found.numbers.push(big(at + 2, 2));
      // Of a frame: bits, rows, columns and components; of a table or scan: its first byte.
      if (marker >= 0xc0 && marker <= 0xc2) {
        found.numbers.push(big(at + 4, 1), big(at + 5, 2), big(at + 7, 2), big(at + 9, 1), big(at + 11, 1));
      } else found.numbers.push(big(at + 4, 1));
      add(found, view, at, end);
      at = end;
      if (marker !== 0xda) continue;
      while (at + 1 < view.byteLength && !(view.getUint8(at) === 0xff && view.getUint8(at + 1) > 0)) at++;
      add(found, view, end, at);
    }
  },

  webp(view, found) {
    const all = little(4, 4);
    found.numbers.push(all, little(24, 3), little(27, 3));
    riffChunks(view, found, 12, view.byteLength, [all]);
  },

  tiff(view, found) {
    const order = textAt(view, 0, 2) === 'II' ? 'little' : 'big';
    const large = view.getUint16(2, order === 'little') === 43;
    const number = (at: number, size: number): NumberAt => ({ at, size, order });
    const read = (at: number, size: number): number => {
      if (at + size > view.byteLength) return 0;
      if (size === 2) return view.getUint16(at, order === 'little');
      return size === 4 ? view.getUint32(at, order === 'little') : Number(view.getBigUint64(at, order === 'little'));
    };
    const word = large ? 8 : 4;
    found.numbers.push(number(word, word));
    const first = read(word, word);
    const count = large ? 8 : 2;
    found.numbers.push(number(first, count));
    const entry = large ? 20 : 12;
    const entries = Math.min(64, read(first, count));
    for (let at = first + count; at < first + count + entries * entry; at += entry) {
      found.numbers.push(number(at, 2), number(at + 2, 2), number(at + 4, word), number(at + 4 + word, word));
      // A short value has its number in the first two bytes.
      found.numbers.push(number(at + 4 + word, 2));
      add(found, view, at, at + entry);
      const [length, offset] = [read(at + 4, word), read(at + 4 + word, word)];
      if (length * word <= word || length > 256) continue;
      for (let i = 0; i < Math.min(length, 8); i++) found.numbers.push(number(offset + i * word, word));
    }
    const end = first + count + entries * entry;
    found.numbers.push(number(end, word));
    add(found, view, 8, Math.max(8, first));
    add(found, view, end, view.byteLength);
  },

  avif(view, found) {
    isoBoxes(view, found, 0, view.byteLength, []);
  },

  gif(view, found) {
    found.numbers.push(little(6, 2), little(8, 2), little(10, 1));
    const afterTable = (at: number, flags: number) => at + (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
    let at = afterTable(13, view.getUint8(10));
    add(found, view, 13, at);
    while (at + 10 < view.byteLength) {
      const [start, kind] = [at, view.getUint8(at)];
      if (kind === 0x2c) {
        for (const side of [1, 3, 5, 7]) found.numbers.push(little(at + side, 2));
        found.numbers.push(little(at + 9, 1));
        at = afterTable(at + 10, view.getUint8(at + 9));
        found.numbers.push(little(at, 1));
        at++;
      } else if (kind === 0x21) at += 2;
      else break;
      while (at < view.byteLength && view.getUint8(at) !== 0) {
        found.numbers.push(little(at, 1));
        const end = at + 1 + view.getUint8(at);
        add(found, view, at, end);
        at = end;
      }
      at++;
      add(found, view, start, at);
    }
  },

  zip(view, found) {
    // Numbers of the header of a file, of its entry in the directory, and of the directory's end: place and size of each.
    const records: Readonly<Record<string, readonly (readonly [at: number, size: number])[]>> = {
      'PK\x03\x04': [
        [8, 2],
        [18, 4],
        [22, 4],
        [26, 2],
        [28, 2],
      ],
      'PK\x01\x02': [
        [10, 2],
        [20, 4],
        [24, 4],
        [28, 2],
        [30, 2],
        [42, 4],
      ],
      'PK\x05\x06': [
        [8, 2],
        [10, 2],
        [12, 4],
        [16, 4],
      ],
    };
    let start = 0;
    for (let at = 0; at + 4 <= view.byteLength; at++) {
      const numbers = records[textAt(view, at)];
      if (numbers === undefined) continue;
      add(found, view, start, at);
      start = at;
      for (const [offset, size] of numbers) found.numbers.push(little(at + offset, size));
    }
    add(found, view, start, view.byteLength);
  },

  onnx(view, found) {
    protobufFields(view, found, 0, view.byteLength, []);
  },
};

function riffChunks(view: DataView, found: Found, from: number, to: number, lengths: readonly NumberAt[]): void {
  for (let at = from; at + 8 <= to;) {
    const own = little(at + 4, 4);
    const length = view.getUint32(at + 4, true);
    const end = Math.min(to, at + 8 + length + (length % 2));
    found.numbers.push(own);
    add(found, view, at, end, lengths);
    if (textAt(view, at) === 'ANMF') {
      for (const side of [8, 11, 14, 17]) found.numbers.push(little(at + side, 3));
      riffChunks(view, found, at + 24, end, [...lengths, own]);
    }
    at = end;
  }
}

/** Boxes of ISO/IEC 14496-12 that hold others, and how many bytes come before these. */
const isoContainers = new Map([
  ['meta', 4],
  ['iprp', 0],
  ['ipco', 0],
  ['iinf', 6],
  ['iref', 4],
  ['moov', 0],
  ['trak', 0],
  ['mdia', 0],
  ['minf', 0],
  ['stbl', 0],
]);

function isoBoxes(view: DataView, found: Found, from: number, to: number, lengths: readonly NumberAt[]): void {
  for (let at = from; at + 8 <= to;) {
    const own = big(at, 4);
    const end = Math.min(to, at + Math.max(8, view.getUint32(at) || to - at));
    const type = textAt(view, at + 4);
    found.numbers.push(own);
    add(found, view, at, end, lengths);
    const before = isoContainers.get(type);
    if (before !== undefined) isoBoxes(view, found, at + 8 + before, end, [...lengths, own]);
    // The numbers of small boxes are sizes, items, places and codes.
    else if (end - at <= 128) for (let n = at + 8; n + 2 <= end; n += 2) found.numbers.push(big(n, 2));
    at = end;
  }
}

/** Fields of a protocol buffer; those that could be messages are looked into. */
function protobufFields(view: DataView, found: Found, from: number, to: number, lengths: readonly NumberAt[]): boolean {
  const inside: Found = { blocks: [], numbers: [] };
  const varint = (at: number): { value: number; end: number } => {
    let value = 0;
    for (let end = at, scale = 1; end < to && end < at + 10; scale *= 128) {
      const byte = view.getUint8(end++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return { value, end };
    }
    return { value: 0, end: to + 1 };
  };
  for (let at = from; at < to;) {
    const tag = varint(at);
    const type = tag.value & 7;
    if (tag.value < 8 || tag.value >= 30 * 8 || tag.end >= to) return false;
    let end = tag.end + (type === 5 ? 4 : 8);
    if (type === 0) {
      ({ end } = varint(tag.end));
      if (end <= to) inside.numbers.push({ at: tag.end, size: end - tag.end, order: 'varint' });
    } else if (type === 2) {
      const length = varint(tag.end);
      end = length.end + length.value;
      if (end > to) return false;
      const own: NumberAt = { at: tag.end, size: length.end - tag.end, order: 'varint' };
      inside.numbers.push(own);
      if (length.value > 1) protobufFields(view, inside, length.end, end, [...lengths, own]);
    } else if (type !== 1 && type !== 5) return false;
    if (end > to) return false;
    add(inside, view, at, end, lengths);
    at = end;
  }
  found.blocks.push(...inside.blocks);
  found.numbers.push(...inside.numbers);
  return true;
}
