import { describe, expect, it } from 'vitest';
import {
  costOf,
  estimatedGrid,
  keepPrefix,
  lengthAt,
  prefixMasks,
  prefixSteps,
  stepRanking,
  stepUnit,
  takesLength,
  tokenBits,
} from '../../../src/method/streams';
import type { ModelDescription, Stream } from '../../../src/method/types';
import { lacking, tinyModel } from '../model';

const codebook = { kind: 'vq', size: 16 } as const;
const sequence: Stream = { name: 'a_codes', role: 'global', shape: [6], grid: null, codebook, prefixSteps: 6 };
const deep: Stream = {
  ...{ name: 'b_codes', role: 'patch', codebook, prefixSteps: 4 },
  shape: [6, 4],
  grid: { rows: 2, columns: 3 },
};
const scales: Stream[] = [1, 2, 3].map((side) => ({
  ...{ name: `s${side}_codes`, role: 'other', codebook, prefixSteps: 1 },
  shape: [side * side],
  grid: { rows: side, columns: side },
}));

function modelOf(...streams: Stream[]): ModelDescription {
  return { ...lacking.fixedPatches, streams, steps: prefixSteps(streams, false) };
}

const oneTile = { grid: { rows: 2, columns: 3 }, tiles: { rows: 1, columns: 1 } };

describe('a prefix', () => {
  it('grows by a token, by a residual code of every cell, or by a scale', () => {
    expect(modelOf(sequence).steps).toEqual(new Array(6).fill({ tokens: 1, bits: 4 }));
    expect(modelOf(deep).steps).toEqual(new Array(4).fill({ tokens: 6, bits: 24 }));
    expect(modelOf(...scales).steps.map(({ tokens }) => tokens)).toEqual([1, 4, 9]);
    expect([[sequence], [deep], scales].map((streams) => stepUnit(modelOf(...streams)))).toEqual([
      'token',
      'residual code',
      'scale',
    ]);
    expect([takesLength(modelOf(deep)), takesLength(tinyModel)]).toEqual([true, false]);
  });

  it('begins with everything that the decoder cannot do without', () => {
    const { steps } = modelOf(sequence, { ...deep, prefixSteps: 0 });
    expect(steps).toHaveLength(6);
    expect(steps[0]).toEqual({ tokens: 25, bits: 100 });
    // A sequence and residual codes need their first, wherever they stand.
    expect(modelOf(sequence, deep).steps.map(({ tokens }) => tokens)).toEqual([7, 1, 1, 1, 1, 1, 6, 6, 6]);
  });

  it('is one step where tokens are dropped one by one', () => {
    expect(prefixSteps([sequence, deep], true)).toEqual([{ tokens: 30, bits: 120 }]);
  });

  it('has a mask of leading steps for every stream, filled one after the other', () => {
    const masks = (length: number) =>
      Object.fromEntries(
        [...prefixMasks(modelOf(sequence, deep), length)].map(([name, mask]) => [name, mask.join('')]),
      );
    expect(masks(1)).toEqual({ a_codes: '100000', b_codes: '1000' });
    expect(masks(6)).toEqual({ a_codes: '111111', b_codes: '1000' });
    expect(masks(8)).toEqual({ a_codes: '111111', b_codes: '1110' });
    expect([...prefixMasks(modelOf(...scales), 2).values()].map((mask) => mask[0])).toEqual([1, 1, 0]);
    const whole = { streams: [sequence], steps: prefixSteps([sequence], true) };
    expect([...prefixMasks(whole, 1).values()][0]).toEqual(new Uint8Array(6).fill(1));
  });

  it('is the shortest that loses at most ε of the bits', () => {
    const lengths = (model: ModelDescription) =>
      [0, 0.24, 0.25, 0.5, 0.99, 1].map((rate) => lengthAt(model, rate).length);
    expect(lengths(modelOf(deep))).toEqual([4, 4, 3, 2, 1, 1]);
    expect(lengths(modelOf(...scales))).toEqual([3, 3, 3, 3, 1, 1]);
    expect(lengthAt(modelOf(deep), 0.5)).toEqual({ length: 2, budgetBits: 96, lostBits: 48 });
    // Rounding takes nothing away: three of ten equal steps are 0.3 of them.
    const ten = modelOf({ ...sequence, shape: [10], prefixSteps: 10 });
    for (let lost = 0; lost < 10; lost++) expect(lengthAt(ten, lost / 10).length).toBe(10 - lost);
  });

  it('is sampled as a ranking of its steps, of which the first stays', () => {
    const { order, cumulativeBits, totalBits } = stepRanking(modelOf(...scales));
    expect([[...order], [...cumulativeBits], totalBits]).toEqual([[2, 1], [0, 36, 52], 56]);
  });

  it('costs its tokens in every tile', () => {
    const model = modelOf(deep);
    const kept = keepPrefix(model, { grid: { rows: 4, columns: 3 }, tiles: { rows: 2, columns: 1 } }, 0.5);
    expect(kept).toMatchObject({ length: 2, budgetBits: 192, lostBits: 96, keptTokens: 12 });
    expect(costOf(model, { rows: 2, columns: 1 }, kept)).toEqual({ totalTokens: 24, payloadBits: 96 });
  });
});

describe('tokens that are dropped one by one', () => {
  it('cost their bits, residual codes of a patch together', () => {
    const { steps: _, ...model } = tinyModel;
    const filtered = { ...model, streams: [sequence, deep], steps: prefixSteps([sequence, deep], true) };
    const kept = { keptTokens: 4, length: 1 };
    expect(costOf(filtered, oneTile.tiles, kept)).toEqual({ totalTokens: 6 + 16, payloadBits: 4 * 22 });
    expect(tokenBits(filtered)).toBe(16);
  });

  it('are those of patches, or of a sequence in all tiles', () => {
    const layout = { grid: { rows: 4, columns: 3 }, tiles: { rows: 2, columns: 1 } };
    expect(estimatedGrid(tinyModel, layout)).toEqual({ rows: 4, columns: 3 });
    expect(estimatedGrid(lacking.fixedGlobals, layout)).toEqual({ rows: 1, columns: 4 });
  });
});
