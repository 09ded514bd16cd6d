/** Samples of a TIFF or BigTIFF, and the kinds of them that are read: libvips would decode others into something else. */
import { type Bytes, pageOf, unsupported, type Container, type DeflatedBlocks, type TiffSamples } from './imageFormats';

const tag = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  samples: 277,
  planes: 284,
  stripOffsets: 273,
  rowsPerStrip: 278,
  stripBytes: 279,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileBytes: 325,
  inks: 332,
  extraSamples: 338,
  sampleFormat: 339,
  dngVersion: 50706,
} as const;

/** None, CCITT (3), LZW, JPEG, Deflate (2), PackBits, WebP. */
const readableCompressions = new Set([1, 2, 3, 4, 5, 7, 8, 32946, 32773, 50001]);

const otherCompressions = new Map([
  [6, 'JPEG of the old kind'],
  [9, 'JBIG'],
  [10, 'JBIG'],
  [22610, 'JPEG XR'],
  [32766, 'NeXT RLE'],
  [32809, 'ThunderScan'],
  [32909, 'PixarLog'],
  [33003, 'JPEG 2000'],
  [33004, 'JPEG 2000'],
  [33005, 'JPEG 2000'],
  [34661, 'JBIG'],
  [34676, 'SGI Log'],
  [34677, 'SGI Log'],
  [34712, 'JPEG 2000'],
  [34887, 'LERC'],
  [34925, 'LZMA'],
  [34933, 'PNG'],
  [34934, 'JPEG XR'],
  [50000, 'ZSTD'],
  [50002, 'JPEG XL'],
  [52546, 'JPEG XL'],
]);

const grey = { whiteIsZero: 0, blackIsZero: 1 } as const;
const palette = 3;

/** Samples of colour by the photometric interpretations that are read. */
const coloursOf = new Map([
  [grey.whiteIsZero, 1],
  [grey.blackIsZero, 1],
  [2, 3],
  [palette, 1],
  [5, 4],
  [6, 3],
]);

const otherInterpretations = new Map([
  [4, 'a transparency mask'],
  [8, 'CIELab'],
  [9, 'ICCLab'],
  [10, 'ITULab'],
  [32803, 'camera raw samples'],
  [32844, 'LogL'],
  [32845, 'LogLuv'],
  [34892, 'camera raw samples'],
]);

/** Of a page: one of 268 megapixels has fewer tiles of 16×16 pixels. */
const mostBlocks = 2 ** 21;

/** Of a tile, which may be larger than its picture. */
const mostTilePixels = 2 ** 28;

/** Of a pixel: more are measurements, not a picture. */
const mostSamples = 16;

const tiffAdvice = 'Convert it to a PNG, or to a TIFF of 8 or 16 bits a channel with LZW or Deflate.';

export function isTiff(bytes: Bytes): boolean {
  return ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].some((signature) => bytes.startsWith(signature));
}

export function inspectTiff(bytes: Bytes): Container {
  if (bytes.text(8, 2) === 'CR') throw unsupported('Camera raw images are not supported');
  const directories = new TiffDirectories(bytes);
  const first = directories.at(directories.first);
  const { count } = directories;
  if (first.has(tag.dngVersion)) throw unsupported('Camera raw images (DNG) are not supported');
  const tiff = tiffSamples(first);
  return {
    format: 'tiff',
    // The decoder fails for what is wrong with any page.
    file: count > 1 ? directories.withoutFurtherPages() : bytes.data,
    page: pageOf('page', 0, count),
    tiff: { ...tiff, deflated: deflatedBlocks(first) },
  };
}

/** @throws TatokError image-unsupported for samples that are not decoded, or would be decoded into something else. */
function tiffSamples(directory: TiffDirectory): Omit<TiffSamples, 'deflated'> {
  const refuse = (what: string): never => {
    throw unsupported(`TIFF images ${what} are not supported`, tiffAdvice);
  };
  const value = (name: keyof typeof tag, otherwise: number) => directory.values(tag[name])[0] ?? otherwise;
  const compression = value('compression', 1);
  if (!readableCompressions.has(compression)) {
    refuse(`compressed with ${otherCompressions.get(compression) ?? `method ${compression}`}`);
  }
  const photometric = value('photometric', grey.blackIsZero);
  const colours = coloursOf.get(photometric);
  if (colours === undefined)
    return refuse(`of ${otherInterpretations.get(photometric) ?? `interpretation ${photometric}`}`);
  if (photometric === 6 && compression !== 7) refuse('of YCbCr without JPEG');
  if (photometric === 5 && value('inks', 1) !== 1) refuse('of inks other than CMYK');

  const count = value('samples', 1);
  const [bits = 1, ...otherBits] = directory.values(tag.bits);
  const [format = 1, ...otherFormats] = directory.values(tag.sampleFormat);
  if (otherBits.some((each) => each !== bits) || otherFormats.some((each) => each !== format)) {
    refuse('whose channels differ in their bits');
  }
  const single = photometric === grey.blackIsZero && count === 1;
  const kind = kindOf(format, bits, single, count);
  if (kind === undefined) return refuse(`of ${describeSamples(format, bits, count)}`);
  if (count > mostSamples || count < colours || (photometric === palette && count > 1))
    refuse(`of ${count} channels in this interpretation`);

  const tiled = directory.has(tag.tileWidth);
  if (tiled && count > 1 && value('planes', 1) === 2) refuse('whose tiles have their channels apart');
  if (tiled && value('tileWidth', 0) * value('tileHeight', 0) > mostTilePixels) refuse('of such large tiles');
  const alpha = directory.values(tag.extraSamples).findIndex((extra) => extra === 1 || extra === 2);
  return {
    kind,
    count,
    colours,
    alpha: alpha < 0 ? undefined : colours + alpha,
  };
}

/** Of the strips or tiles that the picture consists of; none where they are compressed by another method. */
function deflatedBlocks(directory: TiffDirectory): DeflatedBlocks {
  const value = (name: keyof typeof tag, otherwise: number) => directory.values(tag[name])[0] ?? otherwise;
  if (![8, 32946].includes(value('compression', 1))) return { streams: [], blockBytes: 0 };
  const tiled = directory.has(tag.tileWidth);
  const [width, height] = [value('width', 0), value('height', 0)];
  const columns = tiled ? value('tileWidth', 1) : width;
  const rows = tiled ? value('tileHeight', 1) : Math.min(height, value('rowsPerStrip', height));
  const [planes, inPlane] = value('planes', 1) === 2 ? [value('samples', 1), 1] : [1, value('samples', 1)];
  const count = Math.min(mostBlocks, planes * Math.ceil(width / columns) * Math.ceil(height / rows));
  const lengths = directory.values(tiled ? tag.tileBytes : tag.stripBytes, count);
  const offsets = directory.values(tiled ? tag.tileOffsets : tag.stripOffsets, count);
  const streams = offsets.map((offset, i) => ({ offset, length: lengths[i] ?? 0 }));
  return {
    streams: [...new Map(streams.map((stream) => [`${stream.offset} ${stream.length}`, stream])).values()],
    blockBytes: rows * Math.ceil((columns * inPlane * value('bits', 1)) / 8),
  };
}

function kindOf(format: number, bits: number, single: boolean, count: number): TiffSamples['kind'] | undefined {
  switch (format) {
    // Undefined (4) is read as unsigned.
    case 1:
    case 4:
      return bits === 8 || bits === 16 || (count === 1 && [1, 2, 4].includes(bits)) ? 'unsigned' : undefined;
    case 2:
      return bits === 16 && single ? 'signed' : undefined;
    case 3:
      return bits === 32 && single ? 'float' : undefined;
    default:
      return undefined;
  }
}

function describeSamples(format: number, bits: number, count: number): string {
  const names = [
    'unsigned integers',
    'signed integers',
    'floating-point numbers',
    'samples',
    'complex integers',
    'complex numbers',
  ];
  return `${count} ${count === 1 ? 'channel' : 'channels'} of ${bits}-bit ${names[format - 1] ?? 'samples'}`;
}

/** Tags of one page. */
interface TiffDirectory {
  has(tag: number): boolean;
  /** Integers of a tag, as many as are asked for; none for one that is absent or of another type. */
  values(tag: number, most?: number): readonly number[];
}

/** The pages of a TIFF or BigTIFF. */
class TiffDirectories {
  readonly first: number;
  readonly count: number;
  private readonly little: boolean;
  private readonly big: boolean;

  constructor(private readonly bytes: Bytes) {
    this.little = bytes.text(0, 2) === 'II';
    this.big = bytes.text(2, 2).includes('+');
    this.first = this.big ? this.u64(8) : this.u32(4);
    const seen = new Set<number>();
    // A chain that bites its tail, or that nobody would wait for.
    for (let at = this.first; at !== 0 && !seen.has(at) && seen.size < 65536; at = this.next(at)) seen.add(at);
    this.count = seen.size;
  }

  at(directory: number): TiffDirectory {
    const entries = new Map<number, number>();
    const { start, entry, count } = this.layout(directory);
    for (let at = start; at < start + entry * count; at += entry) {
      const name = this.u16(at);
      // Of a tag that comes again the decoder takes the first.
      if (!entries.has(name)) entries.set(name, at);
    }
    return {
      has: (name) => entries.has(name),
      values: (name, most = 64) => {
        const at = entries.get(name);
        return at === undefined ? [] : this.integers(at, most);
      },
    };
  }

  /** A copy that ends with its first page. */
  withoutFurtherPages(): Uint8Array {
    const copy = this.bytes.data.slice();
    const { start, entry, count } = this.layout(this.first);
    copy.fill(0, start + entry * count, start + entry * count + (this.big ? 8 : 4));
    return copy;
  }

  /** Where the next page's directory is; 0 behind the last, and where the rest is cut off. */
  private next(directory: number): number {
    const { start, entry, count } = this.layout(directory);
    const end = start + entry * count;
    if (end + (this.big ? 8 : 4) > this.bytes.length) return 0;
    return this.big ? this.u64(end) : this.u32(end);
  }

  private layout(at: number): { start: number; entry: number; count: number } {
    return this.big
      ? { start: at + 8, entry: 20, count: this.u64(at) }
      : { start: at + 2, entry: 12, count: this.u16(at) };
  }

  private integers(entry: number, most: number): number[] {
    const type = this.u16(entry + 2);
    const size = { 1: 1, 3: 2, 4: 4, 16: 8 }[type];
    if (size === undefined) return [];
    const count = this.big ? this.u64(entry + 4) : this.u32(entry + 4);
    const inline = this.big ? { at: entry + 12, room: 8 } : { at: entry + 8, room: 4 };
    const at = size * count <= inline.room ? inline.at : this.big ? this.u64(inline.at) : this.u32(inline.at);
    return Array.from({ length: Math.min(count, most) }, (_, i) => {
      const each = at + size * i;
      if (size === 1) return this.bytes.u8(each);
      if (size === 2) return this.u16(each);
      return size === 4 ? this.u32(each) : this.u64(each);
    });
  }

  private u16(at: number): number {
    return this.bytes.view.getUint16(at, this.little);
  }

  private u32(at: number): number {
    return this.bytes.view.getUint32(at, this.little);
  }

  private u64(at: number): number {
    return Number(this.bytes.view.getBigUint64(at, this.little));
  }
}
