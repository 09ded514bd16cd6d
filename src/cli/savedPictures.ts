/** Pictures of a tokenization for `--out`, in the size in which the image is shown. */
import { rgb as parseColour } from 'd3-color';
import { interpolateViridis } from 'd3-scale-chromatic';
import sharp from 'sharp';
import { patchSide, shownSize } from '../method/patch';
import { tokenBits } from '../method/streams';
import type { ModelDescription, ShownImage } from '../method/types';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** sRGB bytes as PNG. */
export function imagePng(rgb: Uint8Array, size: Size): Promise<Buffer> {
  return sharp(rgb, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();
}

/** ĥ as viridis, one square per patch, from 0 to log2 V bits, as the inspector's fixed scale. */
export function entropyPng(entropyBits: Float32Array, image: ShownImage, model: ModelDescription): Promise<Buffer> {
  const most = tokenBits(model);
  const cells = Array.from(entropyBits, (bits) => {
    const { r, g, b } = parseColour(interpolateViridis(Math.min(1, Math.max(0, bits / most))));
    return [r, g, b] as const;
  });
  return imagePng(
    mapPixels(image, model, (patch) => cells[patch] ?? [0, 0, 0]),
    shownSize(image),
  );
}

const hatchPeriod = 6;

/** The image with its dropped patches dimmed and hatched, so that colour is not their only mark. */
export function maskPng(image: ShownImage, keep: Uint8Array, model: ModelDescription): Promise<Buffer> {
  const { width } = shownSize(image);
  const shown = mapPixels(image, model, (patch, pixel) => {
    const from = 3 * pixel;
    const colour = [image.rgb[from] ?? 0, image.rgb[from + 1] ?? 0, image.rgb[from + 2] ?? 0] as const;
    if (keep[patch] === 1) return colour;
    const light = ((pixel % width) + Math.floor(pixel / width)) % hatchPeriod === 0 ? 0.55 : 0.25;
    return [Math.round(colour[0] * light), Math.round(colour[1] * light), Math.round(colour[2] * light)];
  });
  return imagePng(shown, shownSize(image));
}

/** Pixels of an image's size from what each is and which patch it lies in. */
function mapPixels(
  image: ShownImage,
  model: ModelDescription,
  colour: (patch: number, pixel: number) => readonly [number, number, number],
): Uint8Array {
  const { width, height } = shownSize(image);
  const side = patchSide(model) / image.reduction;
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0, pixel = 0; y < height; y++) {
    const row = Math.floor(y / side) * image.grid.columns;
    for (let x = 0; x < width; x++, pixel++) rgb.set(colour(row + Math.floor(x / side), pixel), 3 * pixel);
  }
  return rgb;
}
