/**
 * Anchors: the photograph in a common image format within the bytes that its tokens take, so that a reconstruction can be judged against
 * something known. A file is made at several sizes and qualities, scaled back to the photograph's size and compared with it. Pure; the
 * engine encodes.
 */
import type { Reconstruction, Size } from './types';

export const codecs = ['webp', 'avif', 'jpeg'] as const;
export type Codec = (typeof codecs)[number];

export const codecNames: Readonly<Record<Codec, string>> = { webp: 'WebP', avif: 'AVIF', jpeg: 'JPEG' };

/** Sides of the encoded picture as shares of the photograph's, ascending. */
export const anchorScales: readonly number[] = [1 / 16, 1 / 12, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1];

/** Qualities of the encoders, ascending. */
export const anchorQualities: readonly number[] = Array.from({ length: 100 }, (_, i) => i + 1);

/** Bytes of a file, and how many of them are its container: headers and tables, as opposed to coded picture. */
export interface FileSize {
  readonly bytes: number;
  readonly containerBytes: number;
}

/** A file, and what it is worth as a picture of the photograph's size. */
export interface AnchorFile extends FileSize, Pick<Reconstruction, 'psnr' | 'ssim'> {
  /** Pixels that were encoded; the picture is scaled back from them. */
  readonly encoded: Size;
  /** Of the encoder, 1 to 100. */
  readonly quality: number;
}

/** The best file of a codec within some bytes. */
export interface AnchorPoint {
  readonly codec: Codec;
  readonly limitBytes: number;
  /** null: no file is so small. */
  readonly file: AnchorFile | null;
  /** The smallest file that any size and quality gave. */
  readonly smallest: FileSize;
}

/** The same with its picture. */
export interface Anchor extends AnchorPoint {
  /** Reduced as the image that is shown, sRGB bytes; null where there is no file. */
  readonly rgb: Uint8Array | null;
}

/** Bytes of a stream of so many bits; the last byte is filled up. */
export function bytesOf({ payloadBits, maskBits }: Pick<Reconstruction, 'payloadBits' | 'maskBits'>): number {
  // Sums of logarithms may exceed a whole number by rounding.
  return Math.ceil((payloadBits + maskBits) / 8 - 1e-9);
}

/** Bits of a stream for each pixel that was tokenized. */
export function bitsPerPixel(
  { payloadBits, maskBits }: Pick<Reconstruction, 'payloadBits' | 'maskBits'>,
  { width, height }: Size,
): number {
  return (payloadBits + maskBits) / (width * height);
}

/** `0.0206`: three figures that count. */
export function bitsPerPixelText(bits: number): string {
  return bits === 0 ? '0' : String(Number(bits.toPrecision(3)));
}

/** One way to encode the photograph. */
export interface Encoding {
  readonly scale: number;
  readonly quality: number;
}

/** Asks of an encoder. Answers are asked for again, so that they are worth keeping. */
export interface Encoder {
  /** Bytes of the file. */
  bytes(encoding: Encoding): Promise<number>;
  /** What it is worth: the higher the better; Infinity where nothing is lost. */
  psnr(encoding: Encoding): Promise<number>;
}

/**
 * The encoding of the highest PSNR among those of at most `limitBytes`: of each scale the highest quality that fits, found by bisection.
 * That is the best of all as long as bytes and PSNR grow with quality, and bytes of the lowest quality with scale.
 *
 * @param scales ascending. @param qualities ascending.
 * @returns undefined where no encoding fits.
 */
export async function bestWithin(
  limitBytes: number,
  encoder: Encoder,
  scales: readonly number[] = anchorScales,
  qualities: readonly number[] = anchorQualities,
): Promise<Encoding | undefined> {
  let best: { readonly encoding: Encoding; readonly psnr: number } | undefined;
  for (const scale of scales) {
    const fits = async (index: number): Promise<boolean> => {
      const quality = qualities[index];
      return quality !== undefined && (await encoder.bytes({ scale, quality })) <= limitBytes;
    };
    if (!(await fits(0))) break;
    let [low, high] = [0, qualities.length];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (await fits(middle)) low = middle;
      else high = middle;
    }
    const encoding = { scale, quality: qualities[low] ?? 1 };
    const psnr = await encoder.psnr(encoding);
    if (best === undefined || psnr > best.psnr) best = { encoding, psnr };
  }
  return best?.encoding;
}

/** Limits of an anchor's curve: a few from the least to the most bytes, evenly by their logarithm. */
export function anchorLimits(leastBytes: number, mostBytes: number, count = 6): number[] {
  const [least, most] = [Math.max(1, leastBytes), Math.max(1, leastBytes, mostBytes)];
  const steps = Array.from({ length: count }, (_, i) => Math.round(least * (most / least) ** (i / (count - 1))));
  return [...new Set(steps)];
}

/** One line on a limit that no file keeps: `none ≤ 173 bytes (smallest 322, 296 of them container)`. */
export function noneWithin({ limitBytes, smallest }: Pick<AnchorPoint, 'limitBytes' | 'smallest'>): string {
  return `none ≤ ${limitBytes} bytes (smallest ${smallest.bytes}, ${smallest.containerBytes} of them container)`;
}
