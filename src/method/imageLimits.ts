/** How large an image may be, as a file and in pixels: checked before anything is read or decoded. */
import { TatokError } from './errors';

/** Bytes: more than an uncompressed picture of 268 megapixels and 8 bits has. */
export const mostFileBytes = 2 ** 30;

/** sharp's own limit, 0x3FFF², in pixels: a larger picture is not decoded whatever the settings say. */
const mostPixels = 0x3fff ** 2;

/** @throws TatokError image-unsupported for a file that is not read into memory. */
export function requireFileSize(bytes: number): void {
  if (bytes <= mostFileBytes) return;
  throw new TatokError(
    'image-unsupported',
    `The file has ${megabytes(bytes)} MB; more than ${megabytes(mostFileBytes)} MB cannot be read.`,
    'Scale the image down, or compress it.',
  );
}

/**
 * @param maxMegapixels a limit that the user may raise; absent: none but sharp's.
 * @throws TatokError image-too-large, or image-unsupported beyond what can be decoded.
 */
export function requirePixelLimit(width: number, height: number, maxMegapixels: number | undefined): void {
  const pixels = width * height;
  if (pixels > mostPixels) {
    throw new TatokError(
      'image-unsupported',
      `The image has ${width}×${height} pixels; more than ${megapixels(mostPixels)} megapixels cannot be decoded.`,
      'Scale it down.',
    );
  }
  if (maxMegapixels === undefined || pixels <= maxMegapixels * 1e6) return;
  throw new TatokError(
    'image-too-large',
    `The image has ${width}×${height} pixels, more than the limit of ${megapixels(maxMegapixels * 1e6)} megapixels.`,
    'Scale it down, or raise the limit of megapixels.',
  );
}

function megapixels(pixels: number): string {
  return Number((pixels / 1e6).toPrecision(4)).toString();
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
