/** Pictures as models want them, held to what Pillow makes: `tests/test_data.py` holds the same files to Python's own protocol. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../../src/engine/image';
import { resamplings } from '../../../src/method/types';

const root = join(import.meta.dirname, '../../..');
const folder = join(root, 'test/fixtures/resampled');
const vectors = (await readdir(folder)).filter((file) => file.endsWith('.png'));

/** `kodim07-bicubic-64x32.png`: the photograph, the rule, and width and height of the model image. */
function parsed(name: string) {
  const [, source = '', rule, width, height] = /^(\w+)-(\w+)-(\d+)x(\d+)\.png$/.exec(name) ?? [];
  const resample = resamplings.find((each) => each === rule);
  if (resample === undefined) throw new Error(`${name} names no rule`);
  const file =
    source === 'larger' ? join(folder, 'kodim07-adm-64x64.png') : join(root, 'media/samples', `${source}.png`);
  return { file, model: { resample, imageSize: { width: Number(width), height: Number(height) } } };
}

describe('a picture that is resampled', () => {
  it.each(vectors)('has the pixels of Pillow: %s', async (name) => {
    const { file, model } = parsed(name);
    const expected = await sharp(join(folder, name)).removeAlpha().raw().toBuffer();
    const { rgb } = await decodeImage(await readFile(file), model);
    expect(Buffer.from(rgb).equals(expected)).toBe(true);
  });

  it('is the whole of it where it has to lie within the model image', async () => {
    const file = await readFile(join(root, 'media/samples/kodim07.png'));
    const model = { resample: 'bicubic', imageSize: { width: 96, height: 32 } } as const;
    expect(await decodeImage(file, model, { cropMode: 'fit' })).toMatchObject({
      ...{ width: 48, height: 32 },
      crop: { left: 0, top: 0, width: 768, height: 512 },
    });
  });
});
