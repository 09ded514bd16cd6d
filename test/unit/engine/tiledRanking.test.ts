import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { rankPatches } from '../../../src/method/filter';
import { distortionWeights, rankSequentially } from '../../../src/method/sequential';
import type { DecoderInput, EntropyInput, Graphs } from '../../../src/engine/graphs';
import { TaTok } from '../../../src/engine/pipeline';
import type { StageObserver } from '../../../src/engine/stages';
import { Tiling } from '../../../src/engine/tiles';
import type {
  FilterSettings,
  Picture,
  Ranking,
  RankingCriterion,
  TileProgress,
  Tokens,
} from '../../../src/method/types';
import { modelWith, tinyModel } from '../model';
import { refusalOf } from '../refusal';

const model = modelWith(
  { ...tinyModel, imageSize: { width: 32, height: 32 }, grid: { rows: 4, columns: 4 } },
  { globalTokens: 2, patchTokens: 16, filters: true },
  { kind: 'vq', size: 1000 },
);

/** 5×3 tiles of 32 pixels, those at the right and below a part of one: 17×10 patches. */
const geometry = { width: 4 * 32 + 8, height: 2 * 32 + 16 } as Picture;
const tiling = new Tiling(geometry.width, geometry.height, model);
const rankingRounds = 16;
const settings: FilterSettings = {
  lossRate: 0.5,
  edgePriority: 1,
  budget: 'image',
  ranking: 'sequential',
  rankingRounds,
};

/** Codes stand for the bits that they hold; every visible patch of a tile takes some of the others' there. */
function bitsOf({ codes, visible }: EntropyInput): Float32Array {
  const known = visible.reduce((sum, each) => sum + each, 0);
  return Float32Array.from(codes.patchCodes as Int32Array, (bits, i) =>
    visible[i] === 1 ? 0 : bits * (1 - 0.03 * known),
  );
}

const patchCodes = Int32Array.from({ length: tiling.patches }, (_, i) => 1 + ((i * 7919) % 997));
const tokens = {
  globalCodes: new Int32Array(tiling.count * model.globalTokens),
  patchCodes,
  otherCodes: [],
  entropyBits: Float32Array.from(patchCodes),
  expectedCodes: new Float32Array(tiling.patches * model.expectedDimensions),
  surprisalBits: new Float32Array(),
} satisfies Tokens;

/** Every patch is as grey as its code says, or black where it is dropped. */
function greyOf(code: number): number {
  return code % 256;
}

function paint(greys: (row: number, column: number) => number, rows: number, columns: number): Uint8Array {
  const rgb = new Uint8Array(rows * columns * side * side * 3);
  rgb.forEach((_, i) => {
    const [y, x] = [Math.floor(i / (3 * columns * side)), Math.floor(i / 3) % (columns * side)];
    rgb[i] = greys(Math.floor(y / side), Math.floor(x / side));
  });
  return rgb;
}

function decoded({ codes, keep }: DecoderInput): Uint8Array {
  return paint(
    (row, column) => (keep[4 * row + column] === 1 ? greyOf(Number(codes.patchCodes[4 * row + column])) : 0),
    4,
    4,
  );
}

const side = 8;
const { rows, columns } = tiling.grid;
const picture: Picture = {
  ...geometry,
  rgb: paint((row, column) => greyOf(patchCodes[columns * row + column] ?? 0), rows, columns),
};

async function rank(batch: number, criterion: RankingCriterion = 'sequential', observer?: StageObserver, of = picture) {
  const batches: (readonly EntropyInput[])[] = [];
  const decodings: (readonly DecoderInput[])[] = [];
  const expectedCodes = new Float32Array(16 * model.expectedDimensions);
  const graphs = {
    estimateEntropies: (inputs: readonly EntropyInput[]) => {
      batches.push(inputs);
      return Promise.resolve(inputs.map((input) => ({ entropyBits: bitsOf(input), expectedCodes })));
    },
    decodeAll: (inputs: readonly DecoderInput[]) => {
      decodings.push(inputs);
      return Promise.resolve(inputs.map(decoded));
    },
  } as unknown as Graphs;
  const { ranking } = await new TaTok(model, graphs, batch).rank(
    tokens,
    of,
    { ...settings, ranking: criterion },
    observer,
  );
  return { ranking, batches, decodings };
}

/** {@link bitsOf} of all tiles. */
function estimateEveryTile(visible: Uint8Array): Promise<Float32Array> {
  const all = new Float32Array(tiling.patches);
  for (let tile = 0; tile < tiling.count; tile++) {
    const input = {
      codes: {
        globalCodes: new Int32Array(2),
        patchCodes: tiling.gather(patchCodes, tile, new Int32Array(16)),
        otherCodes: [],
      },
      visible: tiling.gather(visible, tile, new Uint8Array(16)),
    };
    tiling.scatter(bitsOf(input), tile, all);
  }
  return Promise.resolve(all);
}

/** The ranking by distortion of dropped patches with these errors. Kept patches decode to the picture, so that their errors are 0. */
function rankedBy(errors: Float32Array): Promise<Ranking> {
  const weigh = (visible: Uint8Array) =>
    Promise.resolve(
      distortionWeights(
        errors.map((error, i) => (visible[i] === 1 ? 0 : error)),
        new Float32Array(tiling.patches),
        visible,
      ),
    );
  const { entropyBits } = tokens;
  return rankSequentially(entropyBits, estimateEveryTile, tiling.grid, settings.edgePriority, rankingRounds, weigh);
}

describe('the sequential ranking of tiles', () => {
  it('is that of estimating every tile anew in every round', async () => {
    const { entropyBits } = tokens;
    const expected = await rankSequentially(
      entropyBits,
      estimateEveryTile,
      tiling.grid,
      settings.edgePriority,
      rankingRounds,
    );
    const { ranking, decodings } = await rank(16);
    expect(ranking).toEqual(expected);
    expect(decodings).toEqual([]);
  });

  it('estimates no tile that is revealed as far as it holds any of the picture', async () => {
    const { batches } = await rank(16);
    for (const { codes, visible } of batches.flat()) {
      expect(codes.patchCodes.some((code, i) => code > 0 && visible[i] === 0)).toBe(true);
    }
    expect(batches.flat().length).toBeLessThan(15 * tiling.count);
  });

  it('fills batches with tiles of any row', async () => {
    const sizes = async (batch: number) => (await rank(batch)).batches.map(({ length }) => length);
    expect(Math.max(...(await sizes(16)))).toBeGreaterThan(tiling.tiles.columns);
    expect(Math.max(...(await sizes(2)))).toBe(2);
  });
});

describe('the ranking of tiles by entropy', () => {
  it('is that of the whole grid, in one stage that asks the model nothing', async () => {
    const told: unknown[] = [];
    const { ranking, batches, decodings } = await rank(16, 'entropy', (...stage) => void told.push(stage));
    expect(ranking).toEqual(rankPatches(tokens.entropyBits, tiling.grid, settings.edgePriority));
    expect([batches, decodings]).toEqual([[], []]);
    expect(told).toEqual([['rank', undefined]]);
  });
});

it.each(['sequential', 'distortion'] as const)('a ranking leaves the tokens as they are, %s', async (criterion) => {
  const before = structuredClone(tokens);
  await rank(16, criterion);
  expect(tokens).toEqual(before);
});

it('what a ranking is to do is known before: an estimate a round after the first, and by distortion a decoding too', async () => {
  const totals = async (criterion: RankingCriterion) => {
    const told: (TileProgress | undefined)[] = [];
    const stages = new Set<string>();
    await rank(4, criterion, (stage, tiles) => {
      stages.add(stage);
      told.push(tiles);
    });
    expect([...stages]).toEqual(['rank']);
    return new Set(told.map((tiles) => tiles?.total));
  };
  expect([...(await totals('sequential'))]).toEqual([tiling.count * (rankingRounds - 1)]);
  // Two decodings come before the first estimate.
  expect([...(await totals('distortion'))]).toEqual([tiling.count * 2 * rankingRounds]);
});

it('a ranking by distortion is refused where a model drops tokens of a sequence', async () => {
  const graphs = {} as unknown as Graphs;
  const sequence = modelWith(model, { globalTokens: 4, patchTokens: 0, filters: true }, { kind: 'vq', size: 1000 });
  const request = () =>
    new TaTok(sequence, graphs, 1).rank(tokens, picture, { ...settings, ranking: 'distortion' }, undefined);
  const { code, message, advice } = await refusalOf(request);
  expect(code).toBe('bad-settings');
  expect(message).toBe('The ranking by distortion weighs patches, and this model drops tokens of a sequence.');
  expect(advice).toBe('Rank by entropy or sequentially.');
});

describe('the ranking of tiles by distortion', () => {
  it('weighs bits by the error of what is dropped', async () => {
    const expected = await rankedBy(Float32Array.from(patchCodes, (code) => greyOf(code) ** 2));
    const { ranking } = await rank(16, 'distortion');
    expect([...ranking.order]).toEqual([...expected.order]);
    expect(ranking.order).not.toEqual((await rank(16)).ranking.order);
    expect(ranking.totalBits).toBeCloseTo(expected.totalBits, 6);
  });

  it.each(['tiles', 'fit'] as const)(
    'counts the error of the picture’s pixels alone, not of padding, %s',
    async (cropMode) => {
      // The last column of patches has three pixels of eight, the last row two.
      const cut = { ...geometry, cropMode, width: geometry.width - 5, height: geometry.height - 6 };
      const rgb = new Uint8Array(cut.width * cut.height * 3);
      for (let y = 0; y < cut.height; y++) {
        rgb.set(picture.rgb.subarray(3 * geometry.width * y, 3 * (geometry.width * y + cut.width)), 3 * cut.width * y);
      }
      const errors = Float32Array.from(patchCodes, (code, i) => {
        const across = (i + 1) % columns === 0 ? 3 : side;
        const down = i >= columns * (rows - 1) ? 2 : side;
        return (greyOf(code) ** 2 * across * down) / side ** 2;
      });
      const expected = await rankedBy(errors);
      const { ranking } = await rank(16, 'distortion', undefined, { ...cut, rgb });
      expect([...ranking.order]).toEqual([...expected.order]);
      expect(ranking.totalBits).toBeCloseTo(expected.totalBits, 6);
    },
  );

  it.each(['sequential', 'distortion'] as const)('never tells of less progress than before, %s', async (criterion) => {
    const told: TileProgress[] = [];
    await rank(4, criterion, (_stage, tiles) => {
      if (tiles !== undefined) told.push(tiles);
    });
    const [first, last] = [told[0], told.at(-1)];
    expect(told.map(({ done }) => done)).toEqual([...new Set(told.map(({ done }) => done))].sort((a, b) => a - b));
    expect(first?.done).toBe(0);
    expect(last?.done).toBeGreaterThan((last?.total ?? NaN) * 0.8);
    expect(last?.done).toBeLessThan(last?.total ?? NaN);
  });

  it('is the same whatever the batches, none of which is decoded when it may be stopped', async () => {
    const stopped = new Error('stopped');
    const { ranking } = await rank(16, 'distortion');
    expect((await rank(1, 'distortion')).ranking).toEqual(ranking);
    expect((await rank(4, 'distortion')).ranking).toEqual(ranking);
    let decoding = 0;
    let batches = 0;
    const graphs = {
      estimateEntropies: () => Promise.reject(new Error('nothing is estimated so early')),
      decodeAll: async (inputs: readonly DecoderInput[]) => {
        decoding++;
        await setImmediate();
        decoding--;
        return inputs.map(decoded);
      },
    } as unknown as Graphs;
    const stopAtThird = () => {
      expect(decoding).toBe(0);
      if (++batches === 3) throw stopped;
    };
    const ranked = new TaTok(model, graphs, 4).rank(
      tokens,
      picture,
      { ...settings, ranking: 'distortion' },
      stopAtThird,
    );
    await expect(ranked).rejects.toBe(stopped);
  });

  it('decodes every tile twice at first, then those that are estimated anew', async () => {
    const { batches, decodings } = await rank(16, 'distortion');
    expect(decodings.flat().length).toBe(2 * tiling.count + batches.flat().length);
    expect(Math.max(...decodings.map(({ length }) => length))).toBeLessThanOrEqual(16);
  });
});
