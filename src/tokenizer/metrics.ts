/** Image quality, as image codecs and tokenizers report it. */
import { ssim as windowedSsim } from '@blazediff/ssim';

/** Peak signal-to-noise ratio over all three channels, dB; Infinity when identical. Both are sRGB bytes of one length. */
export function psnr(a: Uint8Array, b: Uint8Array): number {
  requireSameLength(a, b);
  let squares = 0;
  for (let i = 0; i < a.length; i++) {
    const error = (a[i] ?? 0) - (b[i] ?? 0);
    squares += error * error;
  }
  return squares === 0 ? Infinity : 10 * Math.log10((255 * 255 * a.length) / squares);
}

const window = 11;
/** The library halves images from 384 pixels on; bands of fewer rows are measured at their own size. */
const bandRows = 256;

/**
 * Mean structural similarity (Wang et al. 2004) on 8-bit BT.601 luma: 11×11 Gaussian window of σ 1.5 wherever it fits, at the
 * images' own resolution. Both are `width`×`height`×3 sRGB bytes, at least 11×11.
 */
export function ssim(a: Uint8Array, b: Uint8Array, width: number, height: number): number {
  requireSameLength(a, b);
  if (a.length !== width * height * 3 || Math.min(width, height) < window) {
    throw new RangeError(
      `${a.length} bytes are not an RGB image of ${width}×${height} pixels, at least ${window}×${window}`,
    );
  }
  const [greyA, greyB] = [greyPixels(a), greyPixels(b)];
  const windows = height - window + 1;
  let sum = 0;
  for (let top = 0; top < windows; top += bandRows) {
    const rows = Math.min(bandRows, windows - top);
    const band = [top * width * 4, (top + rows + window - 1) * width * 4] as const;
    const mean = windowedSsim(greyA.subarray(...band), greyB.subarray(...band), undefined, width, rows + window - 1);
    sum += mean * rows;
  }
  return sum / windows;
}

/** RGBA pixels whose three colours are the 8-bit luma, which the library's own luma weights then leave as they are. */
function greyPixels(rgb: Uint8Array): Uint8Array {
  const pixels = rgb.length / 3;
  const grey = new Uint8Array(pixels * 4);
  for (let i = 0; i < pixels; i++) {
    const luma = 0.299 * (rgb[i * 3] ?? 0) + 0.587 * (rgb[i * 3 + 1] ?? 0) + 0.114 * (rgb[i * 3 + 2] ?? 0);
    grey.fill(Math.round(luma), i * 4, i * 4 + 4);
  }
  return grey;
}

function requireSameLength(a: Uint8Array, b: Uint8Array): void {
  if (a.length !== b.length) throw new RangeError(`images of ${a.length} and ${b.length} bytes cannot be compared`);
}
