import sharp from 'sharp';
import { expect, it } from 'vitest';
import { withPngText } from '../../../src/export/pngText';

const picture = () => sharp({ create: { width: 3, height: 2, channels: 3, background: '#123456' } });

it('text is added to a PNG, which another program reads with the same pixels', async () => {
  const png = await picture().png().toBuffer();
  const text = { Software: 'TaTok Inspector', Settings: '{"lossRate":0.8}', Comment: 'ε ≤ 0.8 “naïve”' };
  const marked = withPngText(png, text);
  const metadata = await sharp(marked).metadata();
  expect(metadata.comments).toEqual(Object.entries(text).map(([keyword, value]) => ({ keyword, text: value })));
  expect(await sharp(marked).raw().toBuffer()).toEqual(await picture().raw().toBuffer());
});

it('an end of text within a text ends nothing', async () => {
  const png = await picture().png().toBuffer();
  const { comments } = await sharp(withPngText(png, { Name: 'a\0b' })).metadata();
  expect(comments).toEqual([{ keyword: 'Name', text: 'ab' }]);
});

it('bytes that are no PNG stay as they are', async () => {
  for (const bytes of [Uint8Array.of(137, 80, 78, 71), new Uint8Array(100), await picture().webp().toBuffer()]) {
    expect(withPngText(bytes, { Name: 'x' })).toBe(bytes);
  }
});
