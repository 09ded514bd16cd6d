/**
 * Facts that containers of images hold and decoders ignore: the meaning of samples, the number of pages or frames, and
 * whether it is a kind that can be read at all. Refusals name the kind; damage is found by the decoder.
 */
import { crc32 } from 'node:zlib';
import { TatokError } from '../method/errors';
import { cameraCurve, gammaSpace, type Chromaticities, type ColourSpace } from './colour';
import { inspectIsoMedia } from './heif';
import {
  Bytes,
  formatAdvice,
  knownSpace,
  pageOf,
  unspecified,
  unsupported,
  type Container,
  type Rectangle,
} from './imageFormats';
import type { Size } from '../method/types';
import { inspectTiff, isTiff } from './tiff';

/**
 * Finds out what a file is.
 *
 * @throws TatokError image-unsupported for a kind of image that is not read, image-unreadable for a file that is not an image.
 */
export function inspectContainer(file: Uint8Array): Container {
  const bytes = new Bytes(file);
  try {
    if (bytes.startsWith('\x89PNG\r\n\x1a\n')) return inspectPng(bytes);
    if (bytes.startsWith('\xff\xd8\xff')) return inspectJpeg(bytes);
    if (bytes.startsWith('GIF87a') || bytes.startsWith('GIF89a')) return inspectGif(bytes);
    if (bytes.startsWith('RIFF') && bytes.text(8, 4) === 'WEBP') return inspectWebp(bytes);
    if (isTiff(bytes)) return inspectTiff(bytes);
    if (bytes.text(4, 4) === 'ftyp') return inspectIsoMedia(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TatokError('image-unreadable', 'The image is damaged or cut short (its header points beyond its end).');
  }
  const other = otherKinds.find(([, matches]) => matches(bytes));
  if (other !== undefined) throw unsupported(`${other[0]} images are not supported`);
  throw new TatokError('image-unreadable', 'The file is not an image of a supported format.', formatAdvice);
}

const starts =
  (...signatures: string[]) =>
  (bytes: Bytes) =>
    signatures.some((signature) => bytes.startsWith(signature));

/** Kinds of images that people have and that are not read. */
const otherKinds: readonly (readonly [name: string, matches: (bytes: Bytes) => boolean])[] = [
  ['BMP', starts('BM')],
  [
    'SVG',
    (bytes) =>
      /^\uFEFF?\s*<(?:svg|(?:\?xml|!--|!DOCTYPE)[\s\S]*<svg)\b/i.test(
        new TextDecoder().decode(bytes.data.subarray(0, 4096)),
      ),
  ],
  ['PDF', starts('%PDF')],
  ['Photoshop', starts('8BPS')],
  ['JPEG XL', starts('\xff\x0a', '\0\0\0\x0cJXL ')],
  ['JPEG 2000', starts('\0\0\0\x0cjP  ', '\xff\x4f\xff\x51')],
  ['JPEG XR', starts('II\xbc\x01')],
  ['Icon', starts('\0\0\x01\0', 'icns')],
  ['OpenEXR', starts('v/1\x01')],
  ['Radiance HDR', starts('#?RADIANCE', '#?RGBE')],
  ['Netpbm', (bytes) => /^P[1-7][\s#]/.test(bytes.text(0, 3))],
  ['QOI', starts('qoif')],
  ['DDS', starts('DDS ')],
  ['FITS', starts('SIMPLE  =')],
  ['DICOM', (bytes) => bytes.text(128, 4) === 'DICM'],
];

// PNG --------------------------------------------------------------------------------------------------------------------------

/** Bytes of the chunks that are read here. */
const chunkLengths = new Map([
  ['acTL', 8],
  ['cHRM', 32],
  ['cICP', 4],
  ['gAMA', 4],
]);

/** Numbers in a gAMA chunk that libpng, and so every browser, takes for a gamma. */
const leastGamma = 16;
const mostGamma = 625_000_000;

function inspectPng(bytes: Bytes): Container {
  const chunks = new Map<string, number>();
  let animated = false;
  for (let at = 8; at + 12 <= bytes.length; at += 12 + bytes.u32(at)) {
    const type = bytes.text(at + 4, 4);
    // The first picture is the animation's first frame where its frame control comes before it.
    if (type === 'IDAT') break;
    if (type === 'fcTL') animated = true;
    // What has another length than its kind, or a wrong checksum, says nothing; decoders pass it over too.
    const length = chunkLengths.get(type);
    if (!chunks.has(type) && (length === undefined || length === bytes.u32(at)) && isSound(bytes, at)) {
      chunks.set(type, at + 8);
    }
  }
  const frames = chunks.get('acTL');
  return {
    format: 'png',
    file: bytes.data,
    page: animated && frames !== undefined ? pageOf('frame', 0, bytes.u32(frames)) : undefined,
    space: pngSpace(bytes, chunks),
  };
}

/** True if the checksum of the chunk at `at` is that of its name and data. */
function isSound(bytes: Bytes, at: number): boolean {
  const end = at + 8 + bytes.u32(at);
  return bytes.u32(end) === crc32(bytes.data.subarray(at + 4, end));
}

/** PNG (third edition), 4.3: cICP before iCCP, sRGB, and gAMA with cHRM. */
function pngSpace(bytes: Bytes, chunks: ReadonlyMap<string, number>): ColourSpace | undefined {
  const coded = chunks.get('cICP');
  if (coded !== undefined) {
    const [primaries, transfer, matrix, fullRange] = [0, 1, 2, 3].map((i) => bytes.u8(coded + i));
    if (primaries !== unspecified && transfer !== unspecified) {
      if (matrix !== 0 || fullRange !== 1) throw unsupported('PNG images of a video range or matrix are not supported');
      return knownSpace('PNG', primaries, transfer, cameraCurve.png);
    }
  }
  if (chunks.has('iCCP') || chunks.has('sRGB')) return undefined;
  const gamma = chunks.get('gAMA');
  if (gamma === undefined || bytes.u32(gamma) < leastGamma || bytes.u32(gamma) > mostGamma) return undefined;
  const primaries = chunks.get('cHRM');
  // Alone, this is how programs of old say sRGB.
  if (bytes.u32(gamma) === 45455 && primaries === undefined) return undefined;
  const chromaticities = primaries === undefined ? undefined : pngChromaticities(bytes, primaries);
  return gammaSpace(bytes.u32(gamma) / 1e5, chromaticities);
}

function pngChromaticities(bytes: Bytes, at: number): Chromaticities {
  const [wx = 0, wy = 0, rx = 0, ry = 0, gx = 0, gy = 0, bx = 0, by = 0] = Array.from(
    { length: 8 },
    (_, i) => bytes.u32(at + 4 * i) / 1e5,
  );
  return [wx, wy, rx, ry, gx, gy, bx, by];
}

// JPEG -------------------------------------------------------------------------------------------------------------------------

/** Processes of ITU-T T.81 and its successors that are not decoded, by frame marker. */
const otherProcesses = new Map([
  [0xc3, 'Lossless'],
  [0xc5, 'Hierarchical'],
  [0xc6, 'Hierarchical'],
  [0xc7, 'Hierarchical'],
  [0xcb, 'Lossless'],
  [0xcd, 'Hierarchical'],
  [0xce, 'Hierarchical'],
  [0xcf, 'Hierarchical'],
  [0xf7, 'LS'],
]);

/** Markers without a length: restart, the start of the image, and one for temporary use of encoders. */
const isAlone = (marker: number) => marker === 1 || (marker >= 0xd0 && marker <= 0xd8);

function inspectJpeg(bytes: Bytes): Container {
  const faults = new HarmlessFaults(bytes);
  // The lowest bit that was sent of each coefficient, by component.
  const sent = new Map<number, Int8Array>();
  let progressive = false;
  let inScan = false;
  let at = 2;
  while (at + 2 <= bytes.length) {
    const marker = bytes.u8(at + 1);
    if (bytes.u8(at) !== 0xff || marker === 0xff || marker === 0 || isAlone(marker)) {
      // Entropy-coded data, stuffed bytes and restart markers, and what fills gaps between markers.
      const next = bytes.data.indexOf(0xff, at + 1);
      if (next < 0) break;
      const isMarker = bytes.u8(at) === 0xff && marker !== 0;
      if (!inScan) faults.stray(isMarker ? at + 2 : at, next);
      at = next;
      continue;
    }
    if (marker === 0xd9) return { format: 'jpeg', file: faults.mended() };
    if (at + 4 > bytes.length) break;
    const process = otherProcesses.get(marker);
    if (process !== undefined) throw unsupported(`JPEG images of this kind (${process}) are not supported`);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame && bytes.u8(at + 4) !== 8) {
      throw unsupported(`JPEG images of ${bytes.u8(at + 4)} bits a channel are not supported`);
    }
    if (isFrame) faults.noteFrame(bytes.u8(at + 9));
    if (marker === 0xc2 || marker === 0xca) {
      progressive = true;
      const components = bytes.u8(at + 9);
      for (let i = 0; i < components; i++) sent.set(bytes.u8(at + 10 + 3 * i), new Int8Array(64).fill(1));
    }
    if (marker === 0xda && progressive) noteScan(bytes, at + 4, sent);
    else faults.noteSegment(marker, at);
    inScan = marker === 0xda;
    at += 2 + bytes.u16(at + 2);
  }
  const complete = [...sent.values()].every((lowest) => lowest.every((bit) => bit === 0));
  return { format: 'jpeg', file: faults.mended(), lacksEnd: { complete } };
}

/**
 * Faults of a JPEG that change no pixel. libjpeg warns of them, and tells of its first warning alone: they are mended before it reads the
 * file, or they would hide that samples are lost.
 */
class HarmlessFaults {
  /** Bytes between segments, which every decoder skips. */
  private readonly strays: { readonly start: number; readonly end: number }[] = [];
  /** Bytes that are written over. */
  private readonly others: { readonly at: number; readonly value: number }[] = [];
  /** Where Adobe's segments state the transformation of colours. */
  private readonly transforms: number[] = [];
  private components = 0;

  constructor(private readonly bytes: Bytes) {}

  stray(start: number, end: number): void {
    if (start < end) this.strays.push({ start, end });
  }

  noteFrame(components: number): void {
    this.components = components;
  }

  noteSegment(marker: number, at: number): void {
    const { bytes } = this;
    const end = at + 2 + bytes.u16(at + 2);
    // Of JFIF there is but version 1.
    if (marker === 0xe0 && bytes.text(at + 4, 5) === 'JFIF\0' && end > at + 9)
      this.others.push({ at: at + 9, value: 1 });
    if (marker === 0xee && bytes.text(at + 4, 5) === 'Adobe' && end > at + 15) this.transforms.push(at + 15);
    // A scan without progression has all coefficients, whatever it says.
    if (marker === 0xda && end >= at + 8) {
      [0, 63, 0].forEach((value, i) => this.others.push({ at: end - 3 + i, value }));
    }
  }

  /** The file, or a copy without them. */
  mended(): Uint8Array {
    const { data } = this.bytes;
    // Of three components libjpeg takes any transformation that it does not know for YCbCr, of four for YCCK.
    const value = this.components === 4 ? 2 : 1;
    const transforms = this.transforms.filter((at) => data[at] !== 0).map((at) => ({ at, value }));
    const changes = [...this.others, ...transforms].filter((change) => data[change.at] !== change.value);
    if (changes.length === 0 && this.strays.length === 0) return data;
    const copy = Uint8Array.from(data);
    for (const change of changes) copy[change.at] = change.value;
    let from = 0;
    const parts = this.strays.map(({ start, end }) => {
      const part = copy.subarray(from, start);
      from = end;
      return part;
    });
    return Buffer.concat([...parts, copy.subarray(from)]);
  }
}

/** Notes which coefficients a scan of a progressive JPEG brings, and how precisely. */
function noteScan(bytes: Bytes, at: number, sent: ReadonlyMap<number, Int8Array>): void {
  const components = bytes.u8(at);
  const end = at + 1 + 2 * components;
  const [first, last, precision] = [bytes.u8(end), bytes.u8(end + 1), bytes.u8(end + 2) & 15];
  for (let i = 0; i < components; i++) sent.get(bytes.u8(at + 1 + 2 * i))?.fill(precision, first, last + 1);
}

// GIF and WebP -----------------------------------------------------------------------------------------------------------------

function inspectGif(bytes: Bytes): Container {
  const stated = { width: bytes.u16le(6), height: bytes.u16le(8) };
  const afterTable = (at: number, flags: number) => at + (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let frames = 0;
  let canvas: Container['canvas'];
  let at = afterTable(13, bytes.u8(10));
  while (at < bytes.length) {
    const kind = bytes.u8(at);
    if (kind === 0x3b) break;
    if (kind === 0x2c) {
      // The decoder says of a frame that is cut short that it is.
      if (at + 10 > bytes.length) break;
      const side = (offset: number) => bytes.u16le(at + offset);
      if (frames === 0) canvas = canvasOf(stated, { left: side(1), top: side(3), width: side(5), height: side(7) });
      frames++;
      at = afterTable(at + 10, bytes.u8(at + 9)) + 1;
    } else if (kind === 0x21) {
      at += 2;
    } else {
      break;
    }
    while (at < bytes.length && bytes.u8(at) !== 0) at += 1 + bytes.u8(at);
    at++;
  }
  return { format: 'gif', file: bytes.data, page: pageOf('frame', 0, frames), canvas };
}

function inspectWebp(bytes: Bytes): Container {
  if (bytes.text(12, 4) !== 'VP8X') return { format: 'webp', file: bytes.data };
  let frames = 0;
  for (let at = 12; at + 8 <= bytes.length;) {
    if (bytes.text(at, 4) === 'ANMF') frames++;
    const length = bytes.u32le(at + 4);
    at += 8 + length + (length % 2);
  }
  return { format: 'webp', file: bytes.data, page: pageOf('frame', 0, frames) };
}

/** A canvas that its first frame does not fit on grows, as browsers have it. */
function canvasOf(stated: Size, covered: Rectangle): Container['canvas'] {
  return {
    width: Math.max(stated.width, covered.left + covered.width),
    height: Math.max(stated.height, covered.top + covered.height),
    covered,
  };
}
