/** Image quality, as image codecs and tokenizers report it. */
import { ssim as windowedSsim } from '@blazediff/ssim';
import { ssimWindow as window } from '../method/quality';

/** The library halves images from 384 pixels on; bands of fewer rows are measured at their own size. */
const bandRows = 256;

/** PSNR and SSIM of pictures that come in strips, from top to bottom: exactly those of the whole, without holding it. */
export class QualityMeter {
  private squares = 0;
  private bytes = 0;
  private similarity = 0;
  private windowRows = 0;
  /** The last rows of the strips before, as luma: windows reach across strips. */
  private readonly former: [a: Uint8Array, b: Uint8Array] = [new Uint8Array(), new Uint8Array()];

  /** @param width of the pictures in pixels. */
  constructor(private readonly width: number) {}

  /** The next rows of both pictures, width·rows·3 sRGB bytes. @throws RangeError when they differ in length. */
  add(a: Uint8Array, b: Uint8Array): this {
    this.squares += squaredError(a, b);
    this.bytes += a.length;
    const [greyA, greyB] = [greyPixels(a, this.former[0]), greyPixels(b, this.former[1])];
    const rowBytes = this.width * 4;
    const windows = greyA.length / rowBytes - window + 1;
    if (this.width >= window) {
      for (let top = 0; top < windows; top += bandRows) {
        const rows = Math.min(bandRows, windows - top);
        const band = [top * rowBytes, (top + rows + window - 1) * rowBytes] as const;
        const [bandA, bandB] = [greyA.subarray(...band), greyB.subarray(...band)];
        this.similarity += rows * windowedSsim(bandA, bandB, undefined, this.width, rows + window - 1);
        this.windowRows += rows;
      }
    }
    const kept = Math.max(0, greyA.length - (window - 1) * rowBytes);
    this.former[0] = greyA.slice(kept);
    this.former[1] = greyB.slice(kept);
    return this;
  }

  /** Peak signal-to-noise ratio over all three channels, dB; null when identical. */
  get psnr(): number | null {
    return this.squares === 0 ? null : 10 * Math.log10((255 * 255 * this.bytes) / this.squares);
  }

  /**
   * Mean structural similarity (Wang et al. 2004) on 8-bit BT.601 luma: 11×11 Gaussian window of σ 1.5 wherever it fits, at the
   * pictures' own resolution; null where none fits.
   */
  get ssim(): number | null {
    return this.windowRows === 0 ? null : this.similarity / this.windowRows;
  }
}

/**
 * RGBA pixels whose three colours are the 8-bit luma, which the library's own luma weights then leave as they are; after those
 * of `before`.
 */
function greyPixels(rgb: Uint8Array, before: Uint8Array): Uint8Array {
  const grey = new Uint8Array(before.length + (rgb.length / 3) * 4);
  grey.set(before);
  for (let from = 0, to = before.length; from < rgb.length; from += 3, to += 4) {
    const luma = Math.round(0.299 * (rgb[from] ?? 0) + 0.587 * (rgb[from + 1] ?? 0) + 0.114 * (rgb[from + 2] ?? 0));
    grey[to] = grey[to + 1] = grey[to + 2] = grey[to + 3] = luma;
  }
  return grey;
}

/** Over all bytes of both pictures. */
function squaredError(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new RangeError(`images of ${a.length} and ${b.length} bytes cannot be compared`);
  let squares = 0;
  for (let i = 0; i < a.length; i++) {
    const error = (a[i] ?? 0) - (b[i] ?? 0);
    squares += error * error;
  }
  return squares;
}

/** Pixels of a picture in an image of the model's size. */
interface Extent {
  readonly width: number;
  readonly height: number;
}

/**
 * Sum of squared differences per patch, over the patch's own pixels of the picture and all channels. Patches at the picture's right and
 * lower edges may hold padding as well, which is nobody's to see.
 *
 * @param reference sRGB bytes of a model image.
 * @param changed another picture of the same size.
 * @param imageWidth pixels along a row of the model image.
 * @param side pixels along a side of a patch.
 * @param extent pixels of the picture, from the upper left corner of the model image; the rest is padding.
 * @returns ⌈height / side⌉·⌈width / side⌉ values in squared 8-bit units, in raster order.
 */
export function squaredErrors(
  reference: Uint8Array,
  changed: Uint8Array,
  imageWidth: number,
  side: number,
  { width, height }: Extent,
): Float64Array {
  const columns = Math.ceil(width / side);
  const squares = new Float64Array(Math.ceil(height / side) * columns);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / side) * columns;
    for (let x = 0, offset = 3 * imageWidth * y; x < width; x++, offset += 3) {
      const red = (changed[offset] ?? 0) - (reference[offset] ?? 0);
      const green = (changed[offset + 1] ?? 0) - (reference[offset + 1] ?? 0);
      const blue = (changed[offset + 2] ?? 0) - (reference[offset + 2] ?? 0);
      const patch = row + Math.floor(x / side);
      squares[patch] = (squares[patch] ?? 0) + red * red + green * green + blue * blue;
    }
  }
  return squares;
}

/** How many pixels of the picture a patch holds; `patch` is its place in raster order. */
export function ownPixels(patch: number, side: number, { width, height }: Extent): number {
  const columns = Math.ceil(width / side);
  const across = Math.min(side, width - side * (patch % columns));
  const down = Math.min(side, height - side * Math.floor(patch / columns));
  return across * down;
}
