import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Collection, type FoundBudget } from '../../../src/method/collectionBudget';
import { lostWith, rankPatches, selectKept } from '../../../src/method/filter';
import { refusalOf } from '../refusal';

interface Vector {
  readonly lost: readonly (readonly number[])[];
  readonly globalTokens: number;
  readonly wanted: number;
  readonly referenceBits: number;
  readonly found: readonly Omit<FoundBudget, 'tokens'>[];
}

/** Written by `python -m tatok golden`, which tries every ε and every B with NumPy. */
const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../fixtures/collection-budgets.json'), 'utf8'),
) as Vector[];

describe('budgets over a collection', () => {
  it.each(vectors.map((vector, i) => [i, vector] as const))('are those of NumPy (%i)', (_, vector) => {
    const collection = new Collection(vector.lost, vector.globalTokens);
    const found = collection.budgetsFor(vector.wanted, vector.referenceBits);
    expect(found).toHaveLength(vector.found.length);
    for (const [i, { spread, ...expected }] of vector.found.entries()) {
      const { spread: ours, tokens, ...rest } = found[i] ?? expect.fail();
      expect(rest).toEqual(expected);
      for (const name of Object.keys(spread) as (keyof typeof spread)[]) {
        expect(ours[name], name).toBeCloseTo(spread[name], 9);
      }
      expect(tokens).toHaveLength(vector.lost.length);
    }
  });

  it('count tokens as the filter does', () => {
    const grid = { rows: 4, columns: 6 };
    const images = Array.from({ length: 5 }, (_, image) =>
      Float32Array.from({ length: 24 }, (_, i) => ((i * 7 + image * 5) % 11) / 2),
    );
    const rankings = images.map((entropy) => rankPatches(entropy, grid, 1.5));
    const collection = new Collection(rankings.map(lostWith), 3);
    for (const lossRate of [0, 0.1, 0.55, 1]) {
      for (const budget of [null, 40]) {
        expect(collection.tokens(lossRate, budget)).toEqual(
          rankings.map((ranking) => 3 + selectKept(ranking, lossRate, budget).keptTokens),
        );
      }
    }
  });

  it('leave out the model’s reference where it cannot give the mean, or is not known', () => {
    const collection = new Collection([[1, 2, 3, 4]], 1);
    expect(collection.budgetsFor(2, 0.5).map(({ kind }) => kind)).toEqual(['image', 'collection']);
    expect(collection.budgetsFor(2, undefined).map(({ kind }) => kind)).toEqual(['image', 'collection']);
    expect(collection.budgetsFor(2, 4).map(({ kind }) => kind)).toEqual(['image', 'reference', 'collection']);
  });

  it.each([
    ['too few', 1],
    ['too many', 5],
    ['no number', NaN],
  ])('refuse a mean of %s tokens with the range', async (_, wanted) => {
    const { code, advice } = await refusalOf(() => new Collection([[1, 2, 3, 4]], 1).budgetsFor(wanted, 4));
    expect([code, advice]).toEqual(['bad-settings', 'Ask for more than 1 and fewer than 5 tokens.']);
  });

  it('refuse a collection without images', async () => {
    expect((await refusalOf(() => new Collection([], 1).budgetsFor(2, 4))).code).toBe('bad-settings');
  });
});
