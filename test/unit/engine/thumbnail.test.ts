import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { makeThumbnail } from '../../../src/engine/thumbnail';
import { refusalOf } from '../refusal';

const photograph = () => readFile(join(import.meta.dirname, '../../../media/samples/kodim23.png'));

it('a thumbnail is a small JPEG of the centre, in the shape of the model’s image', async () => {
  const jpeg = await makeThumbnail({ file: await photograph(), width: 96, height: 96 });
  const { format, width, height } = await sharp(jpeg).metadata();
  expect([format, width, height]).toEqual(['jpeg', 96, 96]);
  expect(jpeg.length).toBeLessThan(12_000);
  // The centre square of 768×512, by sharp alone.
  const expected = await sharp(await photograph())
    .extract({ left: 128, top: 0, width: 512, height: 512 })
    .resize(96, 96)
    .raw()
    .toBuffer();
  const pixels = await sharp(jpeg).raw().toBuffer();
  const error = pixels.reduce((sum, value, i) => sum + Math.abs(value - (expected[i] ?? 0)), 0) / pixels.length;
  expect(error).toBeLessThan(6);
});

it('there is none of an image that is damaged, or beyond the limit of megapixels', async () => {
  const file = await photograph();
  const size = { width: 96, height: 96 };
  expect((await refusalOf(() => makeThumbnail({ file: file.subarray(0, 5000), ...size }))).code).toBe(
    'image-unreadable',
  );
  expect((await refusalOf(() => makeThumbnail({ file, ...size, maxMegapixels: 0.3 }))).code).toBe('image-too-large');
});
