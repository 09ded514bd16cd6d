/** Types of the readers of containers: formats, a container's description of its samples, refusals, and bytes by their place. */
import { TatokError } from '../method/errors';
import type { PageChoice, Size } from '../method/types';
import { codedSpace, type ColourSpace } from './colour';

/** Formats that are read, by sharp's names, AVIF by its own. */
export const readableFormats = {
  png: 'PNG',
  jpeg: 'JPEG',
  webp: 'WebP',
  gif: 'GIF',
  tiff: 'TIFF',
  avif: 'AVIF',
} as const;

export type ReadableFormat = keyof typeof readableFormats;

/** Advice on another kind of file. */
export const formatAdvice = `Convert it to one of ${Object.values(readableFormats).join(', ')}.`;

/** A rectangle of the picture, in pixels. */
export interface Rectangle extends Size {
  readonly left: number;
  readonly top: number;
}

/** A file that is to be decoded, and how. */
export interface Container {
  readonly format: ReadableFormat;
  /** The file, or a copy without what keeps the decoder from the first page. */
  readonly file: Uint8Array;
  /** Which of several pages or frames is decoded; absent where there is one. */
  readonly page?: PageChoice | undefined;
  /** The space of the samples, over any ICC profile; absent: that of the profile, or sRGB. */
  readonly space?: ColourSpace | undefined;
  /** Colours are multiplied by alpha. */
  readonly premultiplied?: boolean | undefined;
  /** What a GIF's picture is: a canvas, as large as its first frame at least, and the part of it that this frame covers. */
  readonly canvas?: (Size & { readonly covered: Rectangle }) | undefined;
  readonly tiff?: TiffSamples | undefined;
  /** Of a JPEG that ends without its marker: whether every scan is there that its picture needs. */
  readonly lacksEnd?: { readonly complete: boolean } | undefined;
}

/** Strips or tiles that are compressed with Deflate. */
export interface DeflatedBlocks {
  /** Where they are in the file, each place once: blocks that are alike may share one. */
  readonly streams: readonly { readonly offset: number; readonly length: number }[];
  /** Bytes that one of them unpacks to. */
  readonly blockBytes: number;
}

/** How a TIFF's samples are meant. */
export interface TiffSamples {
  readonly kind: 'unsigned' | 'signed' | 'float';
  /** Samples of a pixel. */
  readonly count: number;
  /** How many of them are colour. */
  readonly colours: number;
  /** Index of the one that is alpha. */
  readonly alpha: number | undefined;
  /** Streams of Deflate, which end with a checksum. */
  readonly deflated: DeflatedBlocks;
}

export function unsupported(what: string, advice = formatAdvice): TatokError {
  return new TatokError('image-unsupported', `${what}.`, advice);
}

/** Several frames or pages, and which of them is decoded. */
export function pageOf(unit: PageChoice['unit'], index: number, count: number): PageChoice | undefined {
  return count > 1 ? { unit, number: index + 1, count } : undefined;
}

/** Code points of Rec. ITU-T H.273 that mean "unspecified". */
export const unspecified = 2;

const highDynamicRange = new Map([
  [16, 'PQ'],
  [18, 'HLG'],
]);

/** @throws TatokError image-unsupported where samples in that space cannot be shown as sRGB. */
export function knownSpace(
  format: string,
  primaries = 0,
  transfer = 0,
  camera: (value: number) => number,
): ColourSpace {
  const range = highDynamicRange.get(transfer);
  if (range !== undefined) {
    throw unsupported(`${format} images of high dynamic range (${range}) are not supported`, 'Convert it to sRGB.');
  }
  const space = codedSpace(primaries, transfer, camera);
  if (space !== undefined) return space;
  const codes = `primaries ${primaries}, transfer ${transfer}`;
  throw unsupported(`${format} images of this colour space (${codes}) are not supported`, 'Convert it to sRGB.');
}

/** A file's bytes by their place. Numbers are big-endian unless stated otherwise; those beyond the end throw a RangeError. */
export class Bytes {
  readonly length: number;
  readonly view: DataView;

  constructor(readonly data: Uint8Array) {
    this.length = data.length;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  /** Latin-1 text; shorter where the file ends. */
  text(at: number, length: number): string {
    return String.fromCharCode(...this.data.subarray(at, at + length));
  }

  startsWith(signature: string): boolean {
    return this.text(0, signature.length) === signature;
  }

  u8(at: number): number {
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    return this.view.getUint16(at);
  }

  u32(at: number): number {
    return this.view.getUint32(at);
  }

  u64(at: number): number {
    return Number(this.view.getBigUint64(at));
  }

  u16le(at: number): number {
    return this.view.getUint16(at, true);
  }

  u32le(at: number): number {
    return this.view.getUint32(at, true);
  }
}
