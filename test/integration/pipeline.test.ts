import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadBundle } from '../../src/engine/loadModel';
import { Engine } from '../../src/engine/engine';
import type { ModelChoice } from '../../src/protocol/engineMessages';
import type { Call } from '../../src/protocol/analyses';
import { rankPatches, selectKept } from '../../src/method/filter';
import type { Graphs } from '../../src/engine/graphs';
import { readBundle } from '../../src/bundle/manifest';
import { hiddenCounts } from '../../src/method/sequential';
import type { FilterSettings, Stage } from '../../src/method/types';
import { modelDirectory, openIn, sample, tokenizeIn } from './support';

const choice: ModelChoice = { directory: modelDirectory, providers: ['cpu'] };
const settings: FilterSettings = { lossRate: 0.4, edgePriority: 0, budget: 'image', ranking: 'entropy' };
const patches = 256;

const engine = new Engine();
let file: Uint8Array;
let result: Awaited<ReturnType<typeof tokenizeIn>>;
/** The same graphs, to compute the pipeline's expected inputs with. */
let graphs: Graphs;
const stages: Stage[] = [];

beforeAll(async () => {
  file = await readFile(sample('kodim23.png'));
  result = await tokenizeIn(engine, { choice, file, settings }, ({ stage }) => {
    if (stages.at(-1) !== stage) stages.push(stage);
  });
  ({ graphs } = await loadBundle(await readBundle(modelDirectory), choice));
});

describe('tokenize', () => {
  it('runs the stages in order and times each', () => {
    expect(stages).toEqual(['read', 'load', 'encode', 'entropy', 'rank', 'filter', 'decode', 'metrics']);
    expect(Object.keys(result.timings)).toEqual(stages);
    expect(Object.values(result.timings).every((milliseconds) => milliseconds >= 0)).toBe(true);
  });

  it('gives codes of the codebook, entropies within its bits and expectations within its cube', () => {
    const { globalCodes, patchCodes, entropyBits, surprisalBits, expectedCodes } = result.tokens;
    expect([globalCodes.length, patchCodes.length, expectedCodes.length]).toEqual([32, patches, patches * 6]);
    expect([...globalCodes, ...patchCodes].every((code) => code >= 0 && code < 65_536)).toBe(true);
    expect(entropyBits.every((bits) => bits >= 0 && bits <= 16)).toBe(true);
    expect(surprisalBits.every((bits) => bits >= 0 && Number.isFinite(bits))).toBe(true);
    expect(expectedCodes.every((coordinate) => Math.abs(coordinate) <= 1 + 1e-6)).toBe(true);
  });

  it('filters by its own entropies and counts what is left', () => {
    const { reconstruction, tokens, model } = result;
    const ranking = rankPatches(tokens.entropyBits, model.grid, settings.edgePriority);
    const filtered = selectKept(ranking, settings.lossRate, null);
    expect(reconstruction.keep).toEqual(filtered.keep);
    expect(reconstruction.totalTokens).toBe(32 + filtered.keptTokens);
    expect(reconstruction.payloadBits).toBe(16 * reconstruction.totalTokens);
    expect(reconstruction.actualLossRate).toBeLessThanOrEqual(settings.lossRate);
    expect(reconstruction.actualLossRate).toBeCloseTo(reconstruction.lostBits / reconstruction.budgetBits, 12);
  });

  it('is the same every time', async () => {
    const again = await tokenizeIn(engine, { choice, file, settings });
    expect(again.tokens).toEqual(result.tokens);
    expect(again.reconstruction).toEqual(result.reconstruction);
    expect(again.timings.load).toBeUndefined();
  });

  it('reckons ε against the reference bits when told to', async () => {
    const { reconstruction } = await tokenizeIn(engine, {
      choice,
      file,
      settings: { ...settings, budget: 'reference' },
    });
    expect(reconstruction.budgetBits).toBe(result.model.referenceBudgetBits);
    expect(reconstruction.lostBits).toBeLessThanOrEqual(settings.lossRate * reconstruction.budgetBits);
  });
});

describe('tokens', () => {
  it('come with the picture told of before the model is loaded', async () => {
    const fresh = new Engine();
    const told: string[] = [];
    const {
      image,
      tokens,
      settings: resolved,
    } = await openIn(
      fresh,
      { choice, file, settings: { lossRate: 0.3 } },
      ({ stage }) => void told.push(stage),
      (picture) => {
        told.push('picture');
        expect(picture.image).toEqual(result.image);
        expect(picture.settings).toEqual({ ...picture.model.defaults, lossRate: 0.3 });
      },
    );
    expect(told).toEqual(['read', 'picture', 'load', 'encode', 'entropy']);
    expect([image, tokens]).toEqual([result.image, result.tokens]);
    expect(resolved.lossRate).toBe(0.3);
  });

  it('are ranked once for each β, criterion and number of rounds', async () => {
    const seen: Stage[] = [];
    const rank = (changes: Partial<FilterSettings>) =>
      result.analyses.rank({ ...settings, ...changes }, { onProgress: ({ stage }) => void seen.push(stage) });
    // Reconstructing has ranked them under these settings.
    const ranking = await rank({ lossRate: 0.9 });
    expect(ranking).toEqual(rankPatches(result.tokens.entropyBits, result.model.grid, 0));
    expect(seen).toEqual([]);
    const inRounds = { ranking: 'sequential', edgePriority: 1, rankingRounds: 4 } as const;
    const sequential = await rank(inRounds);
    expect(seen).toEqual(Array.from({ length: 3 }, () => 'rank'));
    expect(await rank({ ...inRounds, budget: 'reference' })).toBe(sequential);
    expect(await rank({ ...inRounds, rankingRounds: 5 })).not.toBe(sequential);
    expect(sequential.order).toHaveLength(patches);
  });
});

describe('reconstruct', () => {
  const reconstruct = (changes: Partial<FilterSettings>) => result.analyses.reconstruct({ ...settings, ...changes });

  it('decodes the same tokens anew under other settings, without encoding, and once for the same settings', async () => {
    const { timings, ...reconstruction } = await reconstruct({ lossRate: 0.7 });
    expect(Object.keys(timings)).toEqual(['filter', 'decode', 'metrics']);
    expect(await reconstruct({ lossRate: 0.7 })).toEqual({ ...reconstruction, timings: {} });
    const again = await tokenizeIn(engine, { choice, file, settings: { ...settings, lossRate: 0.7 } });
    expect(again.reconstruction).toEqual(reconstruction);
  });

  it('gets better with every token kept', async () => {
    const qualities = [];
    for (const lossRate of [1, 0.8, 0.4, 0]) {
      const { keptTokens, psnr } = await reconstruct({ lossRate });
      qualities.push({ keptTokens, psnr });
    }
    expect(qualities.map(({ keptTokens }) => keptTokens).sort((a, b) => a - b)).toEqual(
      qualities.map(({ keptTokens }) => keptTokens),
    );
    expect(qualities.map(({ psnr }) => psnr ?? NaN).sort((a, b) => a - b)).toEqual(qualities.map(({ psnr }) => psnr));
    expect([qualities.at(0)?.keptTokens, qualities.at(-1)?.keptTokens]).toEqual([0, patches]);
  });

  it('re-estimates entropies given the kept patches when sequential', async () => {
    const { keep, keptTokens, entropyBits, lostBits, budgetBits } = await reconstruct({ ranking: 'sequential' });
    expect(entropyBits).toEqual((await graphs.estimateEntropy(result.tokens, keep)).entropyBits);
    expect(keep.every((kept, i) => kept === 0 || entropyBits[i] === 0)).toBe(true);
    expect(lostBits).toBeLessThanOrEqual(settings.lossRate * budgetBits);
    // Given G alone more would be open.
    const givenGlobals = result.tokens.entropyBits.reduce((sum, bits, i) => sum + (keep[i] === 0 ? bits : 0), 0);
    expect(givenGlobals).toBeGreaterThan(lostBits);
    // Bits that the kept patches explain of the others must not be counted again.
    expect(keptTokens).toBeLessThan(result.reconstruction.keptTokens);
  });

  it.each([0.2, 0.4, 0.8])(
    'loses in a sequential ranking what is open given what was visible when the last round began, ε = %s',
    async (lossRate) => {
      const sequential = { ...settings, ranking: 'sequential', lossRate, rankingRounds: 16 } as const;
      const ranking = await result.analyses.rank(sequential);
      const { keptTokens, lostBits } = await reconstruct(sequential);
      const dropped = patches - keptTokens;
      // The round that revealed the last of the kept patches began with these hidden, the first with all.
      const hidden = Math.min(patches, ...hiddenCounts(patches, 16).filter((left) => left >= dropped));
      const visible = new Uint8Array(patches);
      for (const patch of ranking.order.subarray(hidden)) visible[patch] = 1;
      const { entropyBits } = await graphs.estimateEntropy(result.tokens, visible);
      const open = ranking.order.subarray(0, dropped).reduce((sum, patch) => sum + (entropyBits[patch] ?? NaN), 0);
      expect(lostBits).toBeCloseTo(open, 9);
      expect(lostBits).toBeGreaterThan(0);
    },
  );

  it('comes closer to the photograph by distortion, with no more tokens and within the same bits', async () => {
    const sequential = await reconstruct({ ranking: 'sequential', lossRate: 0.8 });
    const distortion = await reconstruct({ ranking: 'distortion', lossRate: 0.86 });
    expect(distortion.keptTokens).toBeLessThanOrEqual(sequential.keptTokens);
    expect(distortion.keptTokens).toBeGreaterThan(0);
    // On 24 photographs 0.9 dB at equal tokens.
    expect(distortion.psnr).toBeGreaterThan((sequential.psnr ?? NaN) + 0.3);
    expect(distortion.lostBits).toBeLessThanOrEqual(0.86 * distortion.budgetBits);
    expect(distortion.entropyBits).toEqual((await graphs.estimateEntropy(result.tokens, distortion.keep)).entropyBits);
  });

  it('refuses settings out of range', async () => {
    await expect(reconstruct({ lossRate: 1.5 })).rejects.toMatchObject({ code: 'bad-message' });
  });
});

describe('measure', () => {
  const measure = (changes: Partial<FilterSettings>, lossRates: number[], onProgress?: Call['onProgress']) =>
    result.analyses.measure({ settings: { ...settings, ...changes }, lossRates }, { onProgress });

  it.each(['entropy', 'sequential', 'distortion'] as const)(
    'gives in a ranking by %s, as one batch, what single reconstructions give',
    async (ranking) => {
      const measured = await measure({ ranking }, [0.9, 0.2, 0.5]);
      expect(measured.map(({ lossRate }) => lossRate)).toEqual([0.9, 0.2, 0.5]);
      for (const { lossRate, ...point } of measured) {
        const single = await result.analyses.reconstruct({ ...settings, ranking, lossRate });
        const { keptTokens, totalTokens, payloadBits, maskBits } = single;
        expect(point).toMatchObject({ keptTokens, totalTokens, payloadBits, maskBits });
        // Another batch size sums in another order: a byte here and there is rounded differently.
        expect(point.psnr).toBeCloseTo(single.psnr ?? NaN, 2);
        expect(point.ssim).toBeCloseTo(single.ssim ?? NaN, 3);
      }
    },
  );

  it('measures nothing twice', async () => {
    const seen: Stage[] = [];
    const first = await measure({}, [0.35, 0.55]);
    const again = await measure({}, [0.55, 0.75, 0.35], ({ stage }) => void seen.push(stage));
    expect(again[0]).toBe(first[1]);
    expect(again[2]).toBe(first[0]);
    await measure({}, [0.35, 0.55, 0.75], ({ stage }) => void seen.push(stage));
    expect(seen).toEqual(['filter', 'decode', 'metrics']);
  });
});

describe('influence', () => {
  const influence = (globalToken: number, changes: Partial<FilterSettings> = {}) =>
    result.analyses.influence({ settings: { ...settings, ...changes }, tile: 0, globalToken });

  it('says what changes when a token is replaced, the same every time', async () => {
    const { globalToken, change } = await influence(3);
    expect(globalToken).toBe(3);
    expect(change).toHaveLength(patches);
    expect(change.every((value) => value >= 0 && value <= 255)).toBe(true);
    expect(Math.max(...change)).toBeGreaterThan(1);
    expect(await influence(3)).toMatchObject({ globalToken, change });
  });

  it.each(['entropy', 'sequential'] as const)('is larger where no patch is kept, %s', async (ranking) => {
    const mean = ({ change }: { change: Float32Array }) => change.reduce((sum, value) => sum + value, 0) / patches;
    const [all, none] = [await influence(5, { lossRate: 0, ranking }), await influence(5, { lossRate: 1, ranking })];
    expect(mean(none)).toBeGreaterThan(mean(all));
  });

  it('refuses a token that the model does not have', async () => {
    await expect(influence(32)).rejects.toMatchObject({ code: 'bad-message' });
  });
});

describe('attention', () => {
  it('has rows that sum to 1 in every layer and head, and in their means', async () => {
    const { attentionLayers, attentionHeads, globalTokens } = result.model;
    const layers = Array.from({ length: attentionLayers }, (_, i) => i);
    const heads = Array.from({ length: attentionHeads }, (_, i) => i);
    const pairs = [...layers.flatMap((l) => heads.map((h) => [l, h] as const)), ['mean', 'mean'] as const];
    for (const [layer, head] of pairs) {
      const { weights } = await result.analyses.attention({ tile: 0, layer, head });
      expect(weights).toHaveLength(globalTokens * patches);
      for (let k = 0; k < globalTokens; k++) {
        const sum = weights.subarray(k * patches, (k + 1) * patches).reduce((total, weight) => total + weight, 0);
        expect(sum).toBeCloseTo(1, 4);
      }
    }
  });

  it('encodes an image once for all its layers and heads', async () => {
    const seen: Stage[] = [];
    const { analyses } = await openIn(engine, { choice, file, settings });
    const onProgress: Call['onProgress'] = ({ stage }) => void seen.push(stage);
    await analyses.attention({ tile: 0, layer: 0, head: 0 }, { onProgress });
    await analyses.attention({ tile: 0, layer: 1, head: 'mean' }, { onProgress });
    expect(seen).toEqual(['encode']);
  });
});
