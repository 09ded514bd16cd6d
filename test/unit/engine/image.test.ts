import sharp, { type Sharp } from 'sharp';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../../src/engine/image';
import type { TatokError } from '../../../src/method/errors';
import { refusalOf } from '../refusal';

const orange = { r: 200, g: 100, b: 50 };
const size = 32;
const model = { imageSize: { width: size, height: size }, resample: 'lanczos3' } as const;

function plain(width = 48, height = 32): Sharp {
  return sharp({ create: { width, height, channels: 3, background: orange } });
}

/** A sharp of already encoded bytes, so that a pipeline of conversions starts at an ordinary file. */
async function encoded(image: Sharp): Promise<Sharp> {
  return sharp(await image.png().toBuffer());
}

/** Left half black, right half white; top row of a quarter of its height red. Tells all eight orientations apart. */
async function asymmetric(width: number, height: number): Promise<Buffer> {
  const half = await sharp({ create: { width: width / 2, height, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  const bar = await sharp({ create: { width, height: height / 4, channels: 3, background: '#f00' } })
    .png()
    .toBuffer();
  return sharp({ create: { width, height, channels: 3, background: '#000' } })
    .composite([
      { input: half, left: width / 2, top: 0 },
      { input: bar, left: 0, top: 0 },
    ])
    .removeAlpha()
    .png()
    .toBuffer();
}

/** How an upright image is turned clockwise and then mirrored to be stored under an EXIF orientation. */
const stored: Record<number, { turn: number; mirror: boolean }> = {
  1: { turn: 0, mirror: false },
  2: { turn: 0, mirror: true },
  3: { turn: 180, mirror: false },
  4: { turn: 180, mirror: true },
  5: { turn: 90, mirror: true },
  6: { turn: 270, mirror: false },
  7: { turn: 270, mirror: true },
  8: { turn: 90, mirror: false },
};

function pixel(rgb: Uint8Array, x: number, y: number): number[] {
  return [...rgb.subarray((y * size + x) * 3, (y * size + x) * 3 + 3)];
}

async function centreColour(file: Uint8Array): Promise<number[]> {
  return pixel((await decodeImage(file, model)).rgb, size / 2, size / 2);
}

function expectColour(actual: number[], expected: readonly number[], tolerance: number): void {
  const worst = Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] ?? NaN))));
  expect(worst, `${actual.join()} instead of ${expected.join()}`).toBeLessThanOrEqual(tolerance);
}

function refusal(file: Uint8Array, options = {}): Promise<TatokError> {
  return refusalOf(() => decodeImage(file, model, options));
}

describe('decodeImage: colours', () => {
  it.each([
    ['png', (image: Sharp) => image.png(), 0],
    ['palette png', (image: Sharp) => image.png({ palette: true }), 1],
    ['jpeg', (image: Sharp) => image.jpeg({ quality: 95 }), 3],
    ['progressive jpeg', (image: Sharp) => image.jpeg({ progressive: true }), 4],
    ['webp', (image: Sharp) => image.webp({ lossless: true }), 0],
    ['gif', (image: Sharp) => image.gif(), 3],
    ['tiff', (image: Sharp) => image.tiff(), 3],
    ['avif', (image: Sharp) => image.avif({ quality: 80 }), 4],
    ['16-bit png', (image: Sharp) => image.toColourspace('rgb16').png(), 1],
    ['Display P3 png', (image: Sharp) => image.withIccProfile('p3').png(), 2],
    ['16-bit Display P3 png', (image: Sharp) => image.toColourspace('rgb16').withIccProfile('p3').png(), 2],
    ['CMYK jpeg', (image: Sharp) => image.toColourspace('cmyk').jpeg({ quality: 100 }), 30],
    ['CMYK tiff with a profile', (image: Sharp) => image.toColourspace('cmyk').withIccProfile('cmyk').tiff(), 30],
  ])('%s', async (_name, convert, tolerance) => {
    const file = await convert(await encoded(plain())).toBuffer();
    expectColour(await centreColour(file), [200, 100, 50], tolerance);
  });

  it.each([
    ['8-bit grey', 'b-w'],
    ['16-bit grey', 'grey16'],
  ] as const)('%s becomes three equal channels', async (_name, space) => {
    const grey = await encoded(sharp({ create: { width: 40, height: 40, channels: 3, background: '#808080' } }));
    const file = await grey.greyscale().toColourspace(space).png().toBuffer();
    expectColour(await centreColour(file), [128, 128, 128], 1);
  });

  it('lays transparency on white', async () => {
    const half = sharp({ create: { width: 40, height: 40, channels: 4, background: { ...orange, alpha: 0.5 } } });
    expectColour(await centreColour(await half.png().toBuffer()), [228, 178, 153], 2);
    const clear = sharp({ create: { width: 40, height: 40, channels: 4, background: { ...orange, alpha: 0 } } });
    expectColour(await centreColour(await clear.webp({ lossless: true }).toBuffer()), [255, 255, 255], 0);
  });

  it.each(['gif', 'webp'] as const)('takes the first frame of an animated %s', async (format) => {
    const frames = [
      await plain().png().toBuffer(),
      await sharp({ create: { width: 48, height: 32, channels: 3, background: '#00f' } })
        .png()
        .toBuffer(),
    ];
    const file = await sharp(frames, { join: { animated: true } })
      .toFormat(format, { lossless: true })
      .toBuffer();
    const image = await decodeImage(file, model);
    expect([image.sourceWidth, image.sourceHeight]).toEqual([48, 32]);
    expectColour(pixel(image.rgb, 16, 16), [200, 100, 50], 3);
  });
});

describe('decodeImage: geometry', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('shows EXIF orientation %d upright', async (orientation) => {
    const upright = await asymmetric(64, 64);
    // The stored pixels are what the orientation's transformation turns into the upright ones: mirrored after turning.
    const { turn, mirror } = stored[orientation] ?? { turn: 0, mirror: false };
    const rotated = await sharp(upright).rotate(turn).png().toBuffer();
    const turned = await sharp(rotated).flop(mirror).png().toBuffer();
    const file = await sharp(turned).withMetadata({ orientation }).png().toBuffer();
    const { rgb } = await decodeImage(file, model);
    expectColour(pixel(rgb, 16, 2), [255, 0, 0], 2);
    expectColour(pixel(rgb, 4, 24), [0, 0, 0], 2);
    expectColour(pixel(rgb, 28, 24), [255, 255, 255], 2);
  });

  it('reports the size after orientation, and the crop in that upright source', async () => {
    const file = await plain(120, 80).jpeg().withMetadata({ orientation: 6 }).toBuffer();
    const image = await decodeImage(file, model);
    expect([image.sourceWidth, image.sourceHeight]).toEqual([80, 120]);
    expect(image.crop).toEqual({ left: 0, top: 20, width: 80, height: 80 });
    expect([image.format, image.width, image.height, image.rgb.length]).toEqual(['jpeg', size, size, size * size * 3]);
  });

  it('scales the short side and crops the centre', async () => {
    const wide = await asymmetric(256, 128);
    const { rgb, crop } = await decodeImage(wide, model);
    expect(crop).toEqual({ left: 64, top: 0, width: 128, height: 128 });
    const expected = await sharp(wide)
      .resize(64, 32, { kernel: 'lanczos3', fit: 'fill' })
      .extract({ left: 16, top: 0, width: 32, height: 32 })
      .raw()
      .toBuffer();
    expect(Buffer.compare(Buffer.from(rgb), expected)).toBe(0);
  });

  it.each([
    [1, 1],
    [1, 3],
    [3, 2],
    [20000, 1],
    [1, 20000],
    [33, 1000],
    [31, 31],
  ])('takes %d×%d pixels', async (width, height) => {
    const { rgb, crop } = await decodeImage(await plain(width, height).png().toBuffer(), model);
    expect(rgb).toHaveLength(size * size * 3);
    expectColour(pixel(rgb, 31, 31), [200, 100, 50], 0);
    expect(crop.left).toBeGreaterThanOrEqual(0);
    expect(crop.top).toBeGreaterThanOrEqual(0);
    expect(crop.left + crop.width).toBeLessThanOrEqual(width);
    expect(crop.top + crop.height).toBeLessThanOrEqual(height);
    expect(Math.min(crop.width, crop.height)).toBeGreaterThan(0);
  });
});

describe('decodeImage: refusals', () => {
  it('of an empty file', async () => {
    expect(await refusal(new Uint8Array())).toMatchObject({ code: 'image-unreadable', message: 'The file is empty.' });
  });

  it('of text named as an image', async () => {
    const error = await refusal(Buffer.from('hello, I am a text file'));
    expect(error).toMatchObject({ code: 'image-unreadable' });
    expect(error.advice).toContain('PNG, JPEG, WebP, GIF, TIFF, AVIF');
  });

  it('of BMP and SVG, by name', async () => {
    const bmp = Buffer.concat([Buffer.from('BM'), Buffer.alloc(100)]);
    expect(await refusal(bmp)).toMatchObject({ code: 'image-unsupported', message: 'BMP images are not supported.' });
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    expect(await refusal(svg)).toMatchObject({ code: 'image-unsupported', message: 'SVG images are not supported.' });
  });

  it.each(['png', 'jpeg', 'webp', 'gif', 'tiff'] as const)('of a %s cut short', async (format) => {
    const noise = Buffer.from(Uint8Array.from({ length: 120 * 90 * 3 }, (_, i) => (i * i * 31) % 251));
    const file = await sharp(noise, { raw: { width: 120, height: 90, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    const error = await refusal(file.subarray(0, Math.floor(file.length / 2)));
    expect(error.code).toBe('image-unreadable');
    expect(error.message).not.toContain('\n');
  });

  it('of more pixels than allowed, before they are decoded', async () => {
    const file = await plain(200, 100).png().toBuffer();
    expect(await refusal(file, { maxMegapixels: 0.015 })).toMatchObject({
      code: 'image-too-large',
      message: 'The image has 200×100 pixels, more than the limit of 0.015 megapixels.',
    });
    // A megapixel has a million pixels: a limit one pixel lower refuses what the limit itself lets pass.
    expect((await refusal(file, { maxMegapixels: 0.019999 })).code).toBe('image-too-large');
    await expect(decodeImage(file, model, { maxMegapixels: 0.02 })).resolves.toMatchObject({ sourceWidth: 200 });
  });

  it('of a header that claims ten billion pixels', async () => {
    const file = await plain().png().toBuffer();
    file.writeUInt32BE(100_000, 16);
    file.writeUInt32BE(100_000, 20);
    file.writeUInt32BE(crc32(file.subarray(12, 29)), 29);
    for (const maxMegapixels of [undefined, 100, 100_000]) {
      // No limit to raise, and no opening anyway.
      expect(await refusal(file, { maxMegapixels })).toMatchObject({
        code: 'image-unsupported',
        message: 'The image has 100000×100000 pixels; more than 268.4 megapixels cannot be decoded.',
        advice: 'Scale it down.',
      });
    }
  });
});

describe('decodeImage: crop modes', () => {
  const decode = async (width: number, height: number, cropMode: 'fit' | 'tiles') => {
    const { rgb, ...geometry } = await decodeImage(await plain(width, height).png().toBuffer(), model, { cropMode });
    expect(rgb).toHaveLength(geometry.width * geometry.height * 3);
    return geometry;
  };

  it.each([
    ['wide', 100, 67, { left: 17, top: 0, width: 68, height: 67 }],
    ['tall', 67, 100, { left: 0, top: 17, width: 67, height: 68 }],
  ])(
    'scales the short side of a %s picture and truncates the long one, as torchvision does',
    async (_, width, height, crop) => {
      const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
      const file = await sharp({ create: { width, height, channels: 3, background: orange, noise } })
        .png()
        .toBuffer();
      const decoded = await decodeImage(file, model);
      expect(decoded.crop).toEqual(crop);
      // 100 · 32 / 67 = 47.8 pixels are 47, of which the middle 32 begin at (47 − 32) / 2, rounded.
      const scaled = width > height ? { width: 47, height: size } : { width: size, height: 47 };
      const window = { left: width > height ? 8 : 0, top: width > height ? 0 : 8, width: size, height: size };
      const wanted = await sharp(
        await sharp(file)
          .resize({ ...scaled, fit: 'fill', kernel: 'lanczos3' })
          .png()
          .toBuffer(),
      )
        .extract(window)
        .removeAlpha()
        .raw()
        .toBuffer();
      expect(Buffer.from(decoded.rgb).equals(wanted)).toBe(true);
    },
  );

  it('fits the long side and keeps the whole picture', async () => {
    expect(await decode(96, 64, 'fit')).toMatchObject({
      cropMode: 'fit',
      crop: { left: 0, top: 0, width: 96, height: 64 },
      width: 32,
      height: 21,
    });
    expect(await decode(8, 16, 'fit')).toMatchObject({ width: 16, height: 32 });
    expect(await decode(2000, 3, 'fit')).toMatchObject({ width: 32, height: 1 });
  });

  it('leaves pictures for tiles as they are', async () => {
    expect(await decode(97, 41, 'tiles')).toMatchObject({
      cropMode: 'tiles',
      crop: { left: 0, top: 0, width: 97, height: 41 },
      width: 97,
      height: 41,
    });
  });
});
