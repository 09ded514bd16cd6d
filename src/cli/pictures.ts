/** Pictures of a tokenization for `--out`. */
import { rgb as parseColour } from 'd3-color';
import { interpolateViridis } from 'd3-scale-chromatic';
import sharp from 'sharp';
import type { Grid, ModelImage } from '../tokenizer/types';

/** sRGB bytes as PNG. */
export function imagePng(rgb: Uint8Array, size: number): Promise<Buffer> {
  return sharp(rgb, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toBuffer();
}

/** ĥ as viridis, one square per patch, from 0 to log2 V bits, as the inspector's fixed scale. */
export function entropyPng(entropyBits: Float32Array, grid: Grid, codebookSize: number, size: number): Promise<Buffer> {
  const most = Math.log2(codebookSize);
  const cells = Uint8Array.from(
    Array.from(entropyBits, (bits) => {
      const { r, g, b } = parseColour(interpolateViridis(Math.min(1, Math.max(0, bits / most))));
      return [r, g, b];
    }).flat(),
  );
  return sharp(cells, { raw: { width: grid.columns, height: grid.rows, channels: 3 } })
    .resize(size, size, { kernel: 'nearest', fit: 'fill' })
    .png()
    .toBuffer();
}

const hatchPeriod = 6;

/** The model's image with its dropped patches dimmed and hatched: never told by colour alone. */
export function maskPng(image: ModelImage, keep: Uint8Array, grid: Grid): Promise<Buffer> {
  const { size } = image;
  const shown = image.rgb.slice();
  for (let y = 0; y < size; y++) {
    const row = Math.floor((y * grid.rows) / size);
    for (let x = 0; x < size; x++) {
      const patch = row * grid.columns + Math.floor((x * grid.columns) / size);
      if (keep[patch] === 1) continue;
      const light = (x + y) % hatchPeriod === 0 ? 0.55 : 0.25;
      const first = (y * size + x) * 3;
      for (let c = first; c < first + 3; c++) shown[c] = Math.round((image.rgb[c] ?? 0) * light);
    }
  }
  return imagePng(shown, size);
}
