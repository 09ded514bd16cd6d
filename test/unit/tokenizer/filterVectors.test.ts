import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filterTokens } from '../../../src/tokenizer/filter';
import type { Grid } from '../../../src/tokenizer/types';

interface Vector {
  readonly grid: Grid;
  readonly entropyBits: number[];
  readonly settings: { readonly lossRate: number; readonly edgePriority: number };
  readonly budgetBits: number | null;
  readonly keep: number[];
}

const path = join(import.meta.dirname, '../../fixtures/filter-vectors.json');
const vectors = JSON.parse(readFileSync(path, 'utf8')) as Vector[];

describe('filterTokens', () => {
  it(`keeps what the training package’s filter keeps, ${vectors.length} times`, () => {
    expect(vectors.length).toBeGreaterThan(10);
    for (const { grid, entropyBits, settings, budgetBits, keep } of vectors) {
      const filtered = filterTokens(Float32Array.from(entropyBits), grid, { ...settings, budgetBits });
      expect([...filtered.keep], JSON.stringify({ grid, settings, budgetBits })).toEqual(keep);
    }
  });
});
