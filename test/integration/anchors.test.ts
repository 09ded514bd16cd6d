import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { beforeAll, describe, expect, it } from 'vitest';
import { CodecLadder, containerBytes } from '../../src/engine/codecs';
import { Engine } from '../../src/engine/engine';
import { anchorScales, codecs, type Codec } from '../../src/method/anchors';
import { modelDirectory, openIn, sample } from './support';

const settings = { lossRate: 0.4, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;

type Opened = Awaited<ReturnType<typeof openIn>>;
let opened: Opened;

beforeAll(async () => {
  const file = await readFile(sample('kodim23.png'));
  opened = await openIn(new Engine(), { choice: { directory: modelDirectory, providers: ['cpu'] }, file, settings });
});

/** PSNR of two pictures, by its definition. */
function psnr(a: Uint8Array, b: Uint8Array): number {
  const squares = a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) ** 2, 0);
  return 10 * Math.log10((255 ** 2 * a.length) / Math.max(squares, Number.MIN_VALUE));
}

describe.each(codecs)('%s of a photograph', (codec) => {
  it('within some bytes is a picture of the photograph, and worth what its figures say', async () => {
    const { file, rgb, smallest } = await opened.analyses.anchor({ codec, bytes: 700 });
    if (file === null || rgb === null) throw new Error('there is no file');
    expect(file.bytes).toBeLessThanOrEqual(700);
    expect(file.bytes).toBeGreaterThan(smallest.bytes);
    expect(file.containerBytes).toBeLessThan(file.bytes);
    expect(rgb).toHaveLength(opened.image.rgb.length);
    expect(file.psnr).toBeCloseTo(psnr(opened.image.rgb, rgb), 6);
    expect(file.psnr).toBeGreaterThan(15);
  });

  it('has a curve that rises with the bytes, and none below its smallest file', async () => {
    const points = await opened.analyses.anchorCurve({ codec, bytes: [20, 500, 900] });
    expect(points[0]).toMatchObject({ codec, limitBytes: 20, file: null });
    const worth = points.slice(1).map(({ file }) => file?.psnr ?? expect.fail('no file'));
    expect(worth).toEqual([...worth].sort((a, b) => a - b));
    expect(await opened.analyses.anchor({ codec, bytes: 20 })).toMatchObject({ file: null, rgb: null });
  });

  it('is the best of every size and quality, of a small photograph', async () => {
    const [width, height, limit] = [48, 32, 420];
    const rgb = await sharp(sample('kodim05.png')).resize(width, height, { fit: 'fill' }).raw().toBuffer();
    const { file } = await new CodecLadder(codec, { rgb, width, height }).within(limit, () => undefined);
    let best = -Infinity;
    for (const scale of anchorScales) {
      const size = [Math.round(scale * width), Math.round(scale * height)] as const;
      for (let quality = 1; quality <= 100; quality += 1) {
        const encoded = await encode(codec, rgb, width, height, size, quality);
        // Bytes grow with quality but for a few.
        if (encoded.length > 1.3 * limit) break;
        if (encoded.length > limit) continue;
        const decoded = await sharp(encoded).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer();
        best = Math.max(best, psnr(rgb, decoded));
      }
    }
    // An encoder's bytes do not always grow with its quality.
    expect(file?.psnr).toBeGreaterThan(best - 0.25);
    expect(file?.psnr).toBeLessThanOrEqual(best + 1e-9);
  });
});

function encode(
  codec: Codec,
  rgb: Uint8Array,
  width: number,
  height: number,
  [across, down]: readonly [number, number],
  quality: number,
): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  const scaled = across === width ? image : image.resize(across, down, { fit: 'fill' });
  if (codec === 'webp') return scaled.webp({ quality, effort: 6 }).toBuffer();
  if (codec === 'avif') return scaled.avif({ quality, effort: 4, chromaSubsampling: '4:2:0' }).toBuffer();
  return scaled.jpeg({ quality, mozjpeg: true }).toBuffer();
}

describe('the container of a file', () => {
  const flat = () => sharp({ create: { width: 64, height: 64, channels: 3, background: '#808080' } });

  it('of WebP is 20 bytes, by its specification, and more with metadata', async () => {
    expect(containerBytes('webp', await flat().webp().toBuffer())).toBe(20);
    const tagged = await flat()
      .webp()
      .withExif({ IFD0: { Copyright: 'somebody' } })
      .toBuffer();
    expect(containerBytes('webp', tagged)).toBeGreaterThan(60);
  });

  it('is all but the coded picture, which is longer of a busy one by what the file is longer', async () => {
    const noise = sharp({
      create: {
        width: 64,
        height: 64,
        channels: 3,
        background: '#000',
        noise: { type: 'gaussian', mean: 128, sigma: 30 },
      },
    });
    for (const codec of ['jpeg', 'avif'] as const) {
      // Huffman tables of its own make the header of a JPEG another one.
      const file = (image: Sharp) =>
        (codec === 'jpeg' ? image.jpeg({ optimiseCoding: false }) : image.avif()).toBuffer();
      const [plain, busy] = [await file(flat()), await file(noise.clone())];
      expect(busy.length).toBeGreaterThan(plain.length + 100);
      expect(Math.abs(containerBytes(codec, busy) - containerBytes(codec, plain)), codec).toBeLessThanOrEqual(4);
    }
  });
});

it.each(['webp', 'gif'] as const)('a sweep of ε as %s has a frame of every reconstruction', async (format) => {
  const lossRates = [0, 0.5, 1];
  const file = await opened.analyses.sweep({ settings, lossRates, format });
  const { pages, pageHeight, width, loop, delay } = await sharp(file, { animated: true }).metadata();
  expect({ pages, pageHeight, width, loop }).toEqual({ pages: 3, pageHeight: 256, width: 256, loop: 0 });
  expect(delay?.at(-1)).toBeGreaterThan(delay?.[0] ?? Infinity);
  for (const [page, lossRate] of lossRates.entries()) {
    const { rgb } = await opened.analyses.reconstruct({ ...settings, lossRate });
    const frame = await sharp(file, { page }).removeAlpha().raw().toBuffer();
    expect(psnr(rgb, frame), `ε ${lossRate}`).toBeGreaterThan(25);
  }
});

it('an anchor that nobody waits for is ended between two files', async () => {
  const source = new CancellationTokenSource();
  const asked = opened.analyses.anchor({ codec: 'avif', bytes: 3000 }, { token: source.token });
  source.cancel();
  await expect(asked).rejects.toMatchObject({ code: 'cancelled' });
});
