/** Bundles of tokenizers that lack a part, held to what PyTorch computes from the same weights. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine';
import type { CropMode, FilterSettings } from '../../src/method/types';
import { bundleFor, sample, tokenizeIn } from './support';

const bundles = join(import.meta.dirname, '../fixtures/bundles');
const settings: FilterSettings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };

/** PyTorch's results for image.png under those settings; results of parts that the model lacks are absent. */
interface Golden {
  readonly globalCodes?: number[];
  readonly patchCodes?: number[];
  readonly entropyBits?: number[];
  readonly surprisalBits?: number[];
  readonly keep?: number[];
  readonly psnr: number;
  readonly ssim: number;
}

const engine = new Engine();
const choose = (name: string) => ({ directory: join(bundles, name), providers: ['cpu'] });

function tokenize(
  name: string,
  file: Uint8Array,
  cropMode: CropMode = 'centre',
  given: Partial<FilterSettings> = settings,
): ReturnType<typeof tokenizeIn> {
  return tokenizeIn(engine, { choice: choose(name), file, settings: given, cropMode });
}

const kinds = [
  { name: 'tiny', globalTokens: 4, patchTokens: 16, filters: true },
  { name: 'fixed-16', globalTokens: 0, patchTokens: 16, filters: false },
  { name: 'fixed-7', globalTokens: 7, patchTokens: 0, filters: false },
  { name: 'patches-only', globalTokens: 0, patchTokens: 16, filters: true },
];

let image: Uint8Array;
let photograph: Uint8Array;

beforeAll(async () => {
  image = await readFile(join(bundles, 'image.png'));
  photograph = await readFile(sample('kodim23.png'));
});

describe.each(kinds)('$name', ({ name, globalTokens, patchTokens, filters }) => {
  let golden: Golden;
  let result: Awaited<ReturnType<typeof tokenize>>;

  beforeAll(async () => {
    golden = JSON.parse(await readFile(join(bundles, name, 'golden.json'), 'utf8')) as Golden;
    result = await tokenize(name, image);
  });

  const near = (actual: Float32Array, expected: readonly number[] = []) => {
    expect(actual).toHaveLength(expected.length);
    expected.forEach((value, i) => expect(actual[i]).toBeCloseTo(value, 2));
  };

  it('is told which parts it has', () => {
    expect(result.model).toMatchObject({ globalTokens, patchTokens, filters });
  });

  it('has the tokens, bits and kept patches that PyTorch has, and none that it lacks', () => {
    const { tokens, reconstruction } = result;
    expect([...tokens.globalCodes]).toEqual(golden.globalCodes ?? []);
    expect([...tokens.patchCodes]).toEqual(golden.patchCodes ?? []);
    near(tokens.entropyBits, golden.entropyBits);
    near(tokens.surprisalBits, golden.surprisalBits);
    expect(tokens.expectedCodes).toHaveLength(filters ? 4 * patchTokens : 0);
    expect([...reconstruction.keep]).toEqual(golden.keep ?? new Array(patchTokens).fill(1));
  });

  it('decodes to the picture that PyTorch decodes to, and is measured alike', async () => {
    const expected = await sharp(join(bundles, name, 'golden.png'))
      .removeAlpha()
      .raw()
      .toBuffer();
    const { rgb, psnr, ssim } = result.reconstruction;
    const error = rgb.reduce((sum, value, i) => sum + Math.abs(value - (expected[i] ?? NaN)), 0) / rgb.length;
    expect(error).toBeLessThan(0.5);
    expect(Math.abs((psnr ?? NaN) - golden.psnr)).toBeLessThan(0.02);
    expect(Math.abs((ssim ?? NaN) - golden.ssim)).toBeLessThan(2e-3);
  });

  it('costs its tokens, of twelve bits each, and a mask only where there is a choice', () => {
    const { keptTokens, totalTokens, payloadBits, maskBits } = result.reconstruction;
    const kept = golden.keep?.filter(Boolean).length ?? patchTokens;
    expect({ keptTokens, totalTokens, payloadBits }).toEqual({
      keptTokens: kept,
      totalTokens: globalTokens + kept,
      payloadBits: 12 * (globalTokens + kept),
    });
    expect(maskBits > 0).toBe(filters);
  });

  it('takes its tokens for every tile', async () => {
    const tiled = await tokenize(name, photograph, 'tiles', { lossRate: 0 });
    const { tokens, reconstruction } = tiled;
    expect(tiled.image.tiles).toEqual({ rows: 8, columns: 12 });
    expect(tokens.globalCodes).toHaveLength(96 * globalTokens);
    expect(tokens.patchCodes).toHaveLength(96 * patchTokens);
    expect(reconstruction.totalTokens).toBe(96 * (globalTokens + patchTokens));
    expect(reconstruction.rgb).toHaveLength(3 * 768 * 512);
    expect(reconstruction.psnr).toBeGreaterThan(10);
  });
});

describe('a picture that is padded', () => {
  /** The photograph in a model image, as `fit` scales and pads it: 64×43 pixels above grey. */
  const padded = () =>
    sharp(photograph)
      .resize(64, 43, { fit: 'fill' })
      .extend({ bottom: 21, background: { r: 128, g: 128, b: 128 } })
      .png()
      .toBuffer();

  it('takes every patch token of a tokenizer that can do without none', async () => {
    const { image: shown, tokens, reconstruction } = await tokenize('fixed-16', photograph, 'fit');
    expect(shown).toMatchObject({ width: 64, height: 43, grid: { rows: 4, columns: 4 } });
    expect(reconstruction).toMatchObject({ keptTokens: 16, totalTokens: 16 });
    const square = await tokenize('fixed-16', await padded());
    const equal = tokens.patchCodes.filter((code, i) => code === square.tokens.patchCodes[i]).length;
    expect(equal, 'codes of the padded square, but for rounding of its pixels').toBeGreaterThanOrEqual(14);
    expect([...tokens.patchCodes.slice(12)], 'the last row is padding alone').toEqual([
      ...square.tokens.patchCodes.slice(12),
    ]);
    const above = square.reconstruction.rgb.subarray(0, reconstruction.rgb.length);
    const error = reconstruction.rgb.reduce((sum, value, i) => sum + Math.abs(value - (above[i] ?? NaN)), 0);
    expect(error / above.length).toBeLessThan(3);
  });

  it('takes no tokens for padding where an expectation can stand in', async () => {
    const { reconstruction } = await tokenize('patches-only', photograph, 'fit', { lossRate: 0 });
    expect(reconstruction.totalTokens).toBe(12);
  });
});

describe('what a tokenizer lacks', () => {
  it('cannot be asked for', async () => {
    const fixed = await tokenize('fixed-7', image);
    await expect(fixed.analyses.rank(settings)).rejects.toMatchObject({
      code: 'bad-settings',
      message:
        'Nothing can be dropped, so nothing is ranked: 7 global tokens, no patch tokens: every image takes 7 tokens.',
    });
    const patches = await tokenize('patches-only', image);
    const all = { tile: 0, layer: 'mean', head: 'mean' } as const;
    await expect(patches.analyses.attention(all)).rejects.toMatchObject({ code: 'bad-settings' });
  });

  it('does not take away what is left', async () => {
    const { analyses } = await tokenize('fixed-7', image);
    const attention = await analyses.attention({ tile: 0, layer: 1, head: 0 });
    const sums = Array.from({ length: 7 }, (_, k) =>
      attention.weights.subarray(16 * k, 16 * (k + 1)).reduce((sum, weight) => sum + weight, 0),
    );
    for (const sum of sums) expect(sum).toBeCloseTo(1, 4);
    const influence = await analyses.influence({ settings, tile: 0, globalToken: 2 });
    expect(influence.change).toHaveLength(16);
    expect(Math.max(...influence.change)).toBeGreaterThan(0);
  });

  it('leaves sequential ranking to patch tokens alone', async () => {
    const sequential = { ...settings, ranking: 'sequential' } as const;
    const { reconstruction, analyses } = await tokenize('patches-only', image, 'centre', sequential);
    expect((await analyses.rank(sequential)).order).toHaveLength(16);
    expect(reconstruction.lostBits).toBeLessThanOrEqual(0.5 * reconstruction.budgetBits);
  });
});

describe('the baselines that are trained', () => {
  // In PyTorch float32, from the same weights.
  it.each([
    { name: 'fixed-256', tokens: 256, psnr: 22.443, ssim: 0.73 },
    { name: 'fixed-57', tokens: 57, psnr: 18.706, ssim: 0.641 },
  ])('have with $name the quality that PyTorch has', async ({ name, tokens, psnr, ssim }) => {
    const { reconstruction } = await tokenizeIn(engine, {
      choice: { directory: join(import.meta.dirname, '../../models', name), providers: ['cpu'] },
      file: await readFile(join(import.meta.dirname, '../fixtures/golden/kodim23-256.png')),
      settings: {},
    });
    expect(reconstruction.totalTokens).toBe(tokens);
    expect(reconstruction.psnr).toBeCloseTo(psnr, 1);
    expect(reconstruction.ssim).toBeCloseTo(ssim, 2);
  });
});

describe('the command line', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tatok-baselines-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('writes what there is, and says that nothing is dropped when asked to drop', async () => {
    const dist = await bundleFor('baselines');
    const run = (...options: string[]) =>
      promisify(execFile)(process.execPath, [
        join(dist, 'cli.js'),
        join(bundles, 'image.png'),
        ...['--provider', 'cpu', '--model', join(bundles, 'fixed-7'), ...options],
      ]);
    const { stdout, stderr } = await run('--json', '--loss-rate', '0.5', '--out', folder);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ globalTokens: 7, patchTokens: 0, filters: false, patchCodes: [], entropyBits: [], keep: [] },
      ...{ keptTokens: 0, totalTokens: 7, payloadBits: 84, maskBits: 0, lossRate: 0 },
    });
    expect(stderr.trim()).toBe(
      'tatok: fixed-7 can drop nothing, so that every token is kept: 7 global tokens, no patch tokens: every image takes 7 tokens.',
    );
    expect((await readdir(folder)).sort()).toEqual([
      'image.input.png',
      'image.reconstruction.png',
      'image.tokens.json',
    ]);
    expect(JSON.parse(await readFile(join(folder, 'image.tokens.json'), 'utf8'))).not.toHaveProperty('patchCodes');
    const people = await run();
    expect(people.stdout).toContain(
      'fixed-7 0.0.1 (7 global tokens, no patch tokens: every image takes 7 tokens) on cpu',
    );
    expect(people.stdout).toContain('· 7 global tokens · 84 bits ·');
  });
});
