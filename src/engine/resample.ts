/**
 * Resampling as Pillow does it (libImaging/Resample.c of 13.0), to the last bit: a separable convolution whose kernel is stretched by the scale
 * where a picture becomes smaller, with weights in fixed point and 8 bits between the two passes. Tokenizers are trained and measured
 * with these pixels. libvips has the same kernels, but shrinks in two steps and rounds elsewhere: it differs by up to 18 of 255 on
 * photographs, more than a code may bear.
 */
import type { CropRectangle, Size } from '../method/types';

interface Kernel {
  /** Where it becomes 0. */
  readonly support: number;
  readonly at: (x: number) => number;
}

/** Keys' cubic convolution with a = −0.5. */
const bicubic: Kernel = {
  support: 2,
  at: (x) => {
    const distance = Math.abs(x);
    if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1;
    return distance < 2 ? ((-0.5 * distance + 2.5) * distance - 4) * distance + 2 : 0;
  },
};

const bilinear: Kernel = { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };

/** The mean of what a pixel covers. */
const box: Kernel = { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };

const kernels = { bicubic, bilinear, box } as const;

/** Bits of the fixed-point weights: what is left of 32 for 8 bits of a pixel, a sign and a sum above 1. */
const precision = 32 - 8 - 2;

/** The pixels that one pixel of the result is made of, and the weights of each. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

/** Weights for every pixel along one side. @param from pixels before. @param to pixels after. */
function tapsFor(from: number, to: number, { support, at }: Kernel): Taps[] {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach + 0.5));
    const raw = Float64Array.from({ length: end - first }, (_tap, x) => at((x + first - centre + 0.5) * (1 / stretch)));
    const sum = raw.reduce((all, weight) => all + weight, 0);
    const weights = Int32Array.from(raw, (weight) => {
      const scaled = (sum === 0 ? weight : weight * (1 / sum)) * 2 ** precision;
      return Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
    return { first, weights };
  });
}

/** A picture of another size. @param rgb sRGB bytes, three a pixel. */
export function resample(rgb: Uint8Array, from: Size, to: Size, kernel: keyof typeof kernels): Uint8Array {
  const across = from.width === to.width ? rgb : alongRows(rgb, from, tapsFor(from.width, to.width, kernels[kernel]));
  return from.height === to.height
    ? across
    : alongColumns(across, to.width, tapsFor(from.height, to.height, kernels[kernel]));
}

function alongRows(rgb: Uint8Array, { width, height }: Size, taps: readonly Taps[]): Uint8Array {
  const result = new Uint8Array(3 * taps.length * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, weights } of taps) {
      let [red, green, blue] = [half, half, half];
      for (let i = 0, at = 3 * (y * width + first); i < weights.length; i++, at += 3) {
        const weight = weights[i] ?? 0;
        red += weight * (rgb[at] ?? 0);
        green += weight * (rgb[at + 1] ?? 0);
        blue += weight * (rgb[at + 2] ?? 0);
      }
      result[to++] = clipped(red);
      result[to++] = clipped(green);
      result[to++] = clipped(blue);
    }
  }
  return result;
}

function alongColumns(rgb: Uint8Array, width: number, taps: readonly Taps[]): Uint8Array {
  const row = 3 * width;
  const result = new Uint8Array(row * taps.length);
  const sums = new Int32Array(row);
  taps.forEach(({ first, weights }, y) => {
    sums.fill(half);
    weights.forEach((weight, i) => {
      const from = (first + i) * row;
      for (let x = 0; x < row; x++) sums[x] = (sums[x] ?? 0) + weight * (rgb[from + x] ?? 0);
    });
    for (let x = 0; x < row; x++) result[y * row + x] = clipped(sums[x] ?? 0);
  });
  return result;
}

/** Added to a sum, so that cutting its bits off rounds it. */
const half = 1 << (precision - 1);

function clipped(sum: number): number {
  return Math.min(255, Math.max(0, sum >> precision));
}

/** Halved by averaging as long as it is at least twice as large as the model image on both sides: the first step of ADM's protocol. */
export function halvedFor(rgb: Uint8Array, from: Size, image: Size): { readonly rgb: Uint8Array; readonly size: Size } {
  let [halved, size] = [rgb, from];
  while (Math.min(size.width / image.width, size.height / image.height) >= 2) {
    const next = { width: Math.floor(size.width / 2), height: Math.floor(size.height / 2) };
    halved = resample(halved, size, next, 'box');
    size = next;
  }
  return { rgb: halved, size };
}

/** A part of a picture of some width. */
export function croppedTo(rgb: Uint8Array, { width }: Size, { left, top, ...window }: CropRectangle): Uint8Array {
  const result = new Uint8Array(3 * window.width * window.height);
  for (let y = 0; y < window.height; y++) {
    const from = 3 * ((top + y) * width + left);
    result.set(rgb.subarray(from, from + 3 * window.width), 3 * y * window.width);
  }
  return result;
}
