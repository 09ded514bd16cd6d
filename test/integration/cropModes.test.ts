import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { readBundle } from '../../src/bundle/manifest';
import { Engine } from '../../src/engine/engine';
import type { ModelChoice } from '../../src/protocol/engineMessages';
import { analysesBy, type Call } from '../../src/protocol/analyses';
import { TatokError } from '../../src/method/errors';
import { QualityMeter } from '../../src/engine/metrics';
import type { CropMode, FilterSettings, TileProgress } from '../../src/method/types';
import { modelDirectory, openIn, sample, tokenizeIn } from './support';

type Tokenized = Awaited<ReturnType<typeof tokenizeIn>>;

const choice: ModelChoice = { directory: modelDirectory, providers: ['cpu'] };
const settings: FilterSettings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };
const engine = new Engine();

function tokenize(file: Uint8Array, cropMode: CropMode, changes: Partial<FilterSettings> = {}): Promise<Tokenized> {
  return tokenizeIn(engine, { choice, file, cropMode, settings: { ...settings, ...changes } });
}

let photograph: Uint8Array;
beforeAll(async () => {
  photograph = await readFile(sample('kodim23.png'));
});

describe('tiles of a photograph of 768×512', () => {
  let whole: Tokenized;
  beforeAll(async () => {
    whole = await tokenize(photograph, 'tiles');
  });

  it('are 3×2, with one grid, one budget and one reconstruction', () => {
    const { image, tokens, reconstruction } = whole;
    expect(image).toMatchObject({ width: 768, height: 512, reduction: 1 });
    expect([image.tiles, image.grid]).toEqual([
      { rows: 2, columns: 3 },
      { rows: 32, columns: 48 },
    ]);
    expect([tokens.globalCodes.length, tokens.patchCodes.length]).toEqual([6 * 32, 32 * 48]);
    expect(reconstruction.totalTokens).toBe(6 * 32 + reconstruction.keptTokens);
    expect(reconstruction.budgetBits).toBeCloseTo(
      tokens.entropyBits.reduce((sum, bits) => sum + bits, 0),
      3,
    );
    const { psnr, ssim } = new QualityMeter(768).add(image.rgb, reconstruction.rgb);
    expect(reconstruction.psnr).toBeCloseTo(psnr ?? NaN, 9);
    expect(reconstruction.ssim).toBeCloseTo(ssim ?? NaN, 9);
  });

  it('are tokenized as each would be alone, in its place', async () => {
    const [row, column] = [1, 2];
    const cut = sharp(photograph).extract({ left: 256 * column, top: 256 * row, width: 256, height: 256 });
    const alone = await tokenize(await cut.png().toBuffer(), 'centre', { lossRate: 0 });
    const first = (row * 3 + column) * 32;
    expect(whole.tokens.globalCodes.subarray(first, first + 32)).toEqual(alone.tokens.globalCodes);
    for (let r = 0; r < 16; r++) {
      const at = (row * 16 + r) * 48 + column * 16;
      expect(whole.tokens.patchCodes.subarray(at, at + 16)).toEqual(
        alone.tokens.patchCodes.subarray(r * 16, (r + 1) * 16),
      );
    }
  });

  it('show the attention of one tile, where it lies', async () => {
    const mean = { layer: 'mean', head: 'mean' } as const;
    const { region, weights } = await whole.analyses.attention({ ...mean, tile: 5 });
    expect(region).toEqual({ row: 16, column: 32, rows: 16, columns: 16 });
    expect(weights).toHaveLength(32 * 256);
    await expect(whole.analyses.attention({ ...mean, tile: 6 })).rejects.toThrow('tile: must be below 6');
  });

  it('are filtered together in a sequential ranking', async () => {
    const sequential = { ...settings, ranking: 'sequential', lossRate: 0.8 } as const;
    const { reconstruction, analyses } = await tokenize(photograph, 'tiles', sequential);
    expect(reconstruction.lostBits).toBeLessThanOrEqual(0.8 * reconstruction.budgetBits);
    expect((await analyses.rank(sequential)).order).toHaveLength(32 * 48);
  });

  it('let a request of one tile in between the batches of their ranking', async () => {
    const { analyses } = whole;
    const order: (number | 'attention')[] = [];
    const sequential = { ...settings, ranking: 'sequential', edgePriority: 0.5 } as const;
    let attention: Promise<unknown> | undefined;
    const onProgress: Call['onProgress'] = ({ tiles }) => {
      expect(tiles?.total).toBe(7 * 6);
      order.push(tiles?.done ?? 0);
      attention ??= analyses.attention({ tile: 1, layer: 0, head: 0 }, { onProgress: () => order.push('attention') });
    };
    const ranked = analyses.rank(sequential, { onProgress });
    await Promise.all([ranked, attention]);
    expect(order[1]).toBe('attention');
    const done = order.filter((step) => step !== 'attention');
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.length).toBeGreaterThan(7);
    expect(done.at(-1)).toBeLessThan(7 * 6);
  });

  it('tell how many are done, and stop between batches', async () => {
    const seen: TileProgress[] = [];
    const onProgress: Call['onProgress'] = ({ stage, tiles }) => {
      if (stage !== 'encode') return;
      if (tiles !== undefined) seen.push(tiles);
      if (tiles?.done === 3) throw new TatokError('cancelled', 'Stop.');
    };
    const params = { choice, file: photograph, cropMode: 'tiles', settings } as const;
    await expect(openIn(engine, params, onProgress)).rejects.toMatchObject({ code: 'cancelled' });
    expect(seen).toEqual([0, 2, 3].map((done) => ({ done, total: 6 })));
  });
});

describe('a photograph scaled to fit', () => {
  it('is all of the picture and none of the padding', async () => {
    const { image, tokens, reconstruction, analyses } = await tokenize(photograph, 'fit', { lossRate: 0 });
    expect(image).toMatchObject({ width: 256, height: 171, tiles: { rows: 1, columns: 1 } });
    expect(image.grid).toEqual({ rows: 11, columns: 16 });
    expect([tokens.patchCodes.length, reconstruction.keptTokens]).toEqual([11 * 16, 11 * 16]);
    expect(reconstruction.rgb).toHaveLength(256 * 171 * 3);
    expect(reconstruction.psnr).toBeCloseTo(new QualityMeter(256).add(image.rgb, reconstruction.rgb).psnr ?? NaN, 9);
    const { region } = await analyses.attention({ tile: 0, layer: 'mean', head: 'mean' });
    expect(region).toEqual({ row: 0, column: 0, rows: 11, columns: 16 });
  });

  it('reckons the reference budget by its own patches', async () => {
    const { reconstruction, model } = await tokenize(photograph, 'fit', { budget: 'reference' });
    expect(reconstruction.budgetBits).toBeCloseTo((model.referenceBudgetBits * 11) / 16, 9);
  });
});

describe('a picture that is shown reduced', () => {
  it('is attended to at full size, with its file', { timeout: 300_000 }, async () => {
    // As few tiles as a picture above the bound can have.
    const file = await sharp(photograph).resize(4002, 1001, { fit: 'cover' }).jpeg().toBuffer();
    const { image, tokens, reconstruction } = await tokenize(file, 'tiles');
    expect(image).toMatchObject({ width: 4002, height: 1001, reduction: 2, grid: { rows: 63, columns: 251 } });
    expect([image.rgb.length, reconstruction.rgb.length]).toEqual([2001 * 501 * 3, 2001 * 501 * 3]);
    // In an engine that has never seen the picture, as after a crash.
    const fresh = new Engine();
    const { manifest } = await readBundle(choice.directory);
    fresh.reopen(1, { choice, file, image, tokens, manifest: JSON.stringify(manifest) });
    const analyses = analysesBy((request, call) => fresh.analyse(1, request, call));
    const { weights } = await analyses.attention({ tile: 63, layer: 0, head: 0 });
    // The last tile holds 162 pixels of width and 233 of height.
    expect(weights).toHaveLength(32 * 11 * 15);
  });
});
