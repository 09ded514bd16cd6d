import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { distortionWeights, rankSequentially } from '../../../src/method/sequential';
import { rankPatches, selectKept } from '../../../src/method/filter';
import type { Grid } from '../../../src/method/types';

/** Written by `python -m tatok golden` of the training package, which implements the same definition. */
const fixtures = join(import.meta.dirname, '../../fixtures');

interface FilterVector {
  readonly grid: Grid;
  readonly entropyBits: number[];
  readonly settings: { readonly lossRate: number; readonly edgePriority: number };
  readonly budgetBits: number | null;
  readonly keep: number[];
}

interface SequentialVector {
  readonly grid: Grid;
  readonly entropyBits: number[];
  /** The entropy model made up for it: visible patches take `help` times their share of every hidden patch's bits. */
  readonly help: number;
  readonly edgePriority: number;
  /** R. */
  readonly rounds: number;
  /** Of those by distortion: squared errors, which visible patches reduce likewise, and what is left of them with every patch kept. */
  readonly errors?: number[];
  readonly floor?: number[];
  readonly order: number[];
  readonly cumulativeBits: number[];
}

function read<Vector>(name: string): Vector[] {
  return JSON.parse(readFileSync(join(fixtures, name), 'utf8')) as Vector[];
}

const filterVectors = read<FilterVector>('filter-vectors.json');
const sequentialVectors = read<SequentialVector>('sequential-vectors.json');

describe('the filter agrees with the training package', () => {
  it(`in the ${filterVectors.length} kept masks`, () => {
    expect(filterVectors.length).toBeGreaterThan(100);
    for (const { grid, entropyBits, settings, budgetBits, keep } of filterVectors) {
      const ranking = rankPatches(Float32Array.from(entropyBits), grid, settings.edgePriority);
      const selection = selectKept(ranking, settings.lossRate, budgetBits);
      expect([...selection.keep], JSON.stringify({ grid, settings, budgetBits })).toEqual(keep);
    }
  });

  it(`in the ${sequentialVectors.length} sequential rankings`, async () => {
    expect(sequentialVectors.length).toBeGreaterThan(50);
    expect(sequentialVectors.filter(({ errors }) => errors !== undefined).length).toBeGreaterThan(30);
    for (const vector of sequentialVectors) {
      const { grid, entropyBits, help, edgePriority, rounds, errors, floor, order, cumulativeBits } = vector;
      const told = (values: readonly number[], visible: Uint8Array) => {
        const left = 1 - help * (visible.reduce((count, each) => count + each, 0) / visible.length);
        return Float32Array.from(values, (value, i) => (visible[i] === 1 ? 0 : Math.fround(value) * left));
      };
      const estimate = (visible: Uint8Array) => Promise.resolve(told(entropyBits, visible));
      const weigh =
        errors &&
        floor &&
        ((visible: Uint8Array) =>
          Promise.resolve(distortionWeights(told(errors, visible), Float32Array.from(floor), visible)));
      const first = Float32Array.from(entropyBits);
      const ranking = await rankSequentially(first, estimate, grid, edgePriority, rounds, weigh);
      expect([...ranking.order], JSON.stringify({ grid, help, edgePriority, rounds })).toEqual(order);
      ranking.cumulativeBits.forEach((bits, m) => expect(bits).toBeCloseTo(cumulativeBits[m] ?? NaN, 3));
    }
  });
});
