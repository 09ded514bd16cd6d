/** An AVIF's description of its samples, and the kind of other files of ISO base media. */
import { TatokError } from '../method/errors';
import { codedColours, type CodedColours } from './av1';
import { cameraCurve, type ColourSpace } from './colour';
import { type Bytes, formatAdvice, knownSpace, pageOf, unspecified, unsupported, type Container } from './imageFormats';

/** Kinds of coded images in a HEIF, by item type. */
const otherItems = new Map([
  ['hvc1', 'HEIC'],
  ['avc1', 'HEIF (H.264)'],
  ['vvc1', 'HEIF (H.266)'],
  ['jpeg', 'HEIF (JPEG)'],
  ['j2k1', 'HEIF (JPEG 2000)'],
  ['unci', 'HEIF (uncompressed)'],
  ['mski', 'HEIF (mask)'],
]);

/** A box of ISO/IEC 14496-12; from `start` to `end` is its content. */
interface Box {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

export function inspectIsoMedia(bytes: Bytes): Container {
  const top = boxesIn(bytes, 0, bytes.length);
  const brands = bytes.data.subarray(8, find(top, 'ftyp')?.end);
  const hasBrand = (brand: string) => Buffer.from(brands).includes(brand, 0, 'latin1');
  const meta = find(top, 'meta');
  if (meta === undefined) {
    if (hasBrand('avis')) throw unsupported('Animated AVIF images without a still picture are not supported');
    if (hasBrand('crx ')) throw unsupported('Camera raw images are not supported');
    throw new TatokError('image-unreadable', 'The file is not an image of a supported format.', formatAdvice);
  }
  const items = new HeifItems(bytes, meta);
  const type = items.codedType();
  if (type !== 'av01') throw unsupported(`${otherItems.get(type) ?? 'HEIF'} images are not supported`);
  return {
    format: 'avif',
    file: asDecoded(bytes, items),
    page: hasBrand('avis') ? pageOf('frame', 0, trackSamples(bytes, find(top, 'moov'))) : undefined,
    space: items.space(),
    premultiplied: items.references('prem', items.primary).length > 0,
  };
}

/** The file, or a copy that the decoder takes for what it is. */
function asDecoded(bytes: Bytes, items: HeifItems): Uint8Array {
  const nclx = items.colours().get('nclx');
  const matrix = nclx === undefined ? undefined : nclx + 8;
  const lacksMatrix = matrix !== undefined && bytes.u16(matrix) === unspecified;
  if (bytes.text(8, 4) === 'avif' && !lacksMatrix) return bytes.data;
  const copy = bytes.data.slice();
  // It knows AVIF by its first brand only.
  copy.set(new TextEncoder().encode('avif'), 8);
  // An unspecified matrix is BT.601's (MIAF, 7.3.6.4). Where nothing else is specified either, the decoder takes the stream's.
  if (lacksMatrix) copy.set([0, 6], matrix);
  return copy;
}

/** The primary picture of a HEIF, and what belongs to it. */
class HeifItems {
  readonly primary: number;
  private readonly boxes: readonly Box[];

  constructor(
    private readonly bytes: Bytes,
    meta: Box,
  ) {
    this.boxes = boxesIn(bytes, meta.start + 4, meta.end);
    const primary = find(this.boxes, 'pitm');
    this.primary = primary === undefined ? 0 : this.identifier(primary.start + 4, bytes.u8(primary.start) > 0);
  }

  /** Item type of the primary picture, or of the first that it is put together from; empty for none. */
  codedType(): string {
    const item = this.coded;
    return item === undefined ? '' : this.type(item);
  }

  /** The primary picture, or the first that it is put together from. */
  private get coded(): number | undefined {
    const derived = ['grid', 'iden', 'iovl'].includes(this.type(this.primary));
    return derived ? this.references('dimg', this.primary)[0] : this.primary;
  }

  /** Items that an item refers to. */
  references(kind: string, from: number): readonly number[] {
    const all = find(this.boxes, 'iref');
    if (all === undefined) return [];
    const wide = this.bytes.u8(all.start) > 0;
    const size = wide ? 4 : 2;
    for (const { type, start } of boxesIn(this.bytes, all.start + 4, all.end)) {
      if (type !== kind || this.identifier(start, wide) !== from) continue;
      const count = this.bytes.u16(start + size);
      return Array.from({ length: count }, (_, i) => this.identifier(start + size + 2 + size * i, wide));
    }
    return [];
  }

  /** Contents of the primary picture's colour boxes by their kind. */
  colours(): ReadonlyMap<string, number> {
    const boxes = this.properties(this.primary).filter(({ type }) => type === 'colr');
    // The first of a kind counts.
    return new Map(boxes.reverse().map(({ start }) => [this.bytes.text(start, 4), start]));
  }

  /** Of the primary picture's colour box, or of its stream where there is none; undefined where a profile says it, or nothing does. */
  space(): ColourSpace | undefined {
    const boxes = this.colours();
    if (boxes.has('prof') || boxes.has('rICC')) return undefined;
    const coded = boxes.get('nclx');
    const { primaries, transfer } =
      coded === undefined
        ? this.streamColours()
        : { primaries: this.bytes.u16(coded + 4), transfer: this.bytes.u16(coded + 6) };
    // An unspecified value is taken for sRGB's, and sRGB itself needs no conversion.
    const [known, curve] = [primaries === unspecified ? 1 : primaries, transfer === unspecified ? 13 : transfer];
    const isSrgb = known === 1 && (curve === 13 || curve === 1 || curve === 6);
    return isSrgb ? undefined : knownSpace('AVIF', known, curve, cameraCurve.avif);
  }

  private streamColours(): CodedColours {
    const extent = this.coded === undefined ? undefined : this.firstExtent(this.coded);
    return extent === undefined
      ? { primaries: unspecified, transfer: unspecified }
      : codedColours(this.bytes, extent.start, extent.end);
  }

  /** Where the data of an item begins (ISO/IEC 14496-12, 8.11.3): its first piece. */
  private firstExtent(item: number): { readonly start: number; readonly end: number } | undefined {
    const { bytes } = this;
    const table = find(this.boxes, 'iloc');
    if (table === undefined) return undefined;
    const version = bytes.u8(table.start);
    const [sizes, more] = [bytes.u8(table.start + 4), bytes.u8(table.start + 5)];
    const [offsetSize, lengthSize, baseSize] = [sizes >> 4, sizes & 15, more >> 4];
    const indexSize = version > 0 ? more & 15 : 0;
    const wide = version > 1;
    let at = table.start + 6;
    const number = (size: number): number => {
      at += size;
      if (size === 0) return 0;
      if (size === 2) return bytes.u16(at - 2);
      if (size !== 4 && size !== 8) throw new RangeError('a number has a size of its own');
      return size === 4 ? bytes.u32(at - 4) : bytes.u64(at - 8);
    };
    for (let items = number(wide ? 4 : 2); items > 0; items--) {
      const of = number(wide ? 4 : 2);
      const inItemData = version > 0 && (number(2) & 15) === 1;
      number(2);
      const base = number(baseSize);
      const extents = number(2);
      if (of !== item || extents === 0) {
        at += extents * (indexSize + offsetSize + lengthSize);
        continue;
      }
      number(indexSize);
      const within = inItemData ? find(this.boxes, 'idat') : { start: 0, end: bytes.length };
      if (within === undefined) return undefined;
      const start = within.start + base + number(offsetSize);
      const length = number(lengthSize);
      return { start, end: length === 0 ? within.end : Math.min(within.end, start + length) };
    }
    return undefined;
  }

  private type(item: number): string {
    const list = find(this.boxes, 'iinf');
    if (list === undefined) return '';
    const from = list.start + (this.bytes.u8(list.start) === 0 ? 6 : 8);
    for (const { type, start } of boxesIn(this.bytes, from, list.end)) {
      const wide = this.bytes.u8(start) > 2;
      if (type !== 'infe' || this.identifier(start + 4, wide) !== item) continue;
      return this.bytes.text(start + (wide ? 10 : 8), 4);
    }
    return '';
  }

  private properties(item: number): readonly Box[] {
    const all = find(this.boxes, 'iprp');
    const parts = all === undefined ? [] : boxesIn(this.bytes, all.start, all.end);
    const [container, table] = [find(parts, 'ipco'), find(parts, 'ipma')];
    if (container === undefined || table === undefined) return [];
    const properties = boxesIn(this.bytes, container.start, container.end);
    const [wide, wideIndex] = [this.bytes.u8(table.start) > 0, (this.bytes.u8(table.start + 3) & 1) === 1];
    let at = table.start + 8;
    for (let entry = this.bytes.u32(table.start + 4); entry > 0; entry--) {
      const of = this.identifier(at, wide);
      at += wide ? 4 : 2;
      const count = this.bytes.u8(at++);
      const from = at;
      at += count * (wideIndex ? 2 : 1);
      if (of !== item) continue;
      return Array.from({ length: count }, (_, i) =>
        wideIndex ? this.bytes.u16(from + 2 * i) & 0x7fff : this.bytes.u8(from + i) & 0x7f,
      ).flatMap((index) => properties[index - 1] ?? []);
    }
    return [];
  }

  private identifier(at: number, wide: boolean): number {
    return wide ? this.bytes.u32(at) : this.bytes.u16(at);
  }
}

/** Samples of the first track of a sequence: its frames. */
function trackSamples(bytes: Bytes, movie: Box | undefined): number {
  let box = movie;
  for (const type of ['trak', 'mdia', 'minf', 'stbl', 'stsz']) {
    box = box && find(boxesIn(bytes, box.start, box.end), type);
  }
  return box === undefined ? 0 : bytes.u32(box.start + 8);
}

function boxesIn(bytes: Bytes, start: number, end: number): Box[] {
  const boxes: Box[] = [];
  for (let at = start; at + 8 <= end;) {
    const short = bytes.u32(at);
    const header = short === 1 ? 16 : 8;
    const length = short === 0 ? end - at : short === 1 ? bytes.u64(at + 8) : short;
    if (length < header) break;
    boxes.push({ type: bytes.text(at + 4, 4), start: at + header, end: Math.min(end, at + length) });
    at += length;
  }
  return boxes;
}

function find(boxes: readonly Box[], type: string): Box | undefined {
  return boxes.find((box) => box.type === type);
}
