import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkerboardRank,
  droppedPrefix,
  edgePatches,
  keepEvery,
  keepRanks,
  maskBits,
  rankPatches,
  selectKept,
} from '../../../src/method/filter';
import type { Grid } from '../../../src/method/types';

/** Entropies as models give them: spread, exactly 0, or equal to others. */
const bits = fc.oneof(
  { weight: 3, arbitrary: fc.double({ min: 0, max: 12, noNaN: true }) },
  fc.constantFrom(0, 0.5, 3),
);

const grids: fc.Arbitrary<Grid> = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  columns: fc.integer({ min: 1, max: 9 }),
});

const images = grids.chain((grid) =>
  fc
    .array(bits, { minLength: grid.rows * grid.columns, maxLength: grid.rows * grid.columns })
    .map((values) => ({ grid, entropyBits: Float32Array.from(values) })),
);

const parameters = fc.record({
  lossRate: fc.double({ min: 0, max: 1, noNaN: true }),
  edgePriority: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20, noNaN: true })),
  budgetBits: fc.option(fc.double({ min: 0, max: 500, noNaN: true })),
});

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
const droppedBits = (keep: Uint8Array, entropyBits: Float32Array) => sum(entropyBits.filter((_, i) => keep[i] === 0));
const tolerance = 1e-9;

interface Parameters {
  readonly lossRate: number;
  readonly edgePriority: number;
  readonly budgetBits: number | null;
}

const filtered = (entropyBits: Float32Array, grid: Grid, { lossRate, edgePriority, budgetBits }: Parameters) =>
  selectKept(rankPatches(entropyBits, grid, edgePriority), lossRate, budgetBits);

/** The definition, word for word and slow. */
function byDefinition(
  entropyBits: Float32Array,
  grid: Grid,
  { lossRate, edgePriority, budgetBits }: Parameters,
): number[] {
  const tieBreak = checkerboardRank(grid);
  const cells = [...entropyBits].map((h, i) => {
    const [row, column] = [Math.floor(i / grid.columns), i % grid.columns];
    const ring = row === 0 || column === 0 || row === grid.rows - 1 || column === grid.columns - 1;
    return { i, h, priority: h + (ring ? edgePriority : 0), rank: tieBreak[i] ?? 0 };
  });
  cells.sort((a, b) => a.priority - b.priority || a.rank - b.rank);
  const keep = cells.map(() => 1);
  if (lossRate === 0) return keep;
  const budget = budgetBits ?? sum(cells.map(({ h }) => h));
  for (let m = cells.length; m >= 0; m--) {
    const prefix = cells.slice(0, m);
    if (sum(prefix.map(({ h }) => h)) > lossRate * budget) continue;
    for (const { i } of prefix) keep[i] = 0;
    return keep;
  }
  return keep;
}

describe('checkerboardRank', () => {
  it('is Bayer’s matrix on a power-of-two square', () => {
    expect([...checkerboardRank({ rows: 4, columns: 4 })]).toEqual([
      0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5,
    ]);
  });

  it('is a permutation on any grid', () => {
    fc.assert(
      fc.property(grids, (grid) => {
        const ranks = [...checkerboardRank(grid)].sort((a, b) => a - b);
        expect(ranks).toEqual(ranks.map((_, i) => i));
      }),
    );
  });

  it('spreads every quarter of a 16×16 grid evenly over its 2×2 blocks', () => {
    const rank = checkerboardRank({ rows: 16, columns: 16 });
    for (let block = 0; block < 64; block++) {
      const [row, column] = [2 * Math.floor(block / 8), 2 * (block % 8)];
      const cells = [0, 1, 16, 17].map((offset) => rank[row * 16 + column + offset] ?? -1);
      expect(cells.map((value) => Math.floor(value / 64)).sort()).toEqual([0, 1, 2, 3]);
    }
  });
});

describe('edgePatches', () => {
  it('marks 60 of 16×16 patches, and all of a grid without inside', () => {
    expect(sum(edgePatches({ rows: 16, columns: 16 }))).toBe(60);
    expect(sum(edgePatches({ rows: 2, columns: 7 }))).toBe(14);
    expect([...edgePatches({ rows: 3, columns: 3 })]).toEqual([1, 1, 1, 1, 0, 1, 1, 1, 1]);
  });
});

describe('rankPatches and selectKept', () => {
  it('is the definition', () => {
    fc.assert(
      fc.property(images, parameters, ({ grid, entropyBits }, given) => {
        expect([...filtered(entropyBits, grid, given).keep]).toEqual(byDefinition(entropyBits, grid, given));
      }),
      { numRuns: 500 },
    );
  });

  it('never loses more true bits than ε·B, whatever β', () => {
    fc.assert(
      fc.property(images, parameters, ({ grid, entropyBits }, given) => {
        const { keep, budgetBits, lostBits } = filtered(entropyBits, grid, given);
        expect(lostBits).toBeLessThanOrEqual(given.lossRate * budgetBits);
        expect(droppedBits(keep, entropyBits)).toBeCloseTo(lostBits, 6);
      }),
    );
  });

  it('drops as much as it may: one patch more would cost too many bits', () => {
    fc.assert(
      fc.property(images, parameters, ({ grid, entropyBits }, given) => {
        const ranking = rankPatches(entropyBits, grid, given.edgePriority);
        const { keptTokens, lostBits, budgetBits } = selectKept(ranking, given.lossRate, given.budgetBits);
        const next = ranking.order[ranking.order.length - keptTokens];
        if (given.lossRate === 0 || next === undefined) return;
        expect(lostBits + (entropyBits[next] ?? 0)).toBeGreaterThan(given.lossRate * budgetBits);
      }),
    );
  });

  it('nests: a larger ε drops a superset', () => {
    const rates = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));
    fc.assert(
      fc.property(images, parameters, rates, ({ grid, entropyBits }, given, [a, b]) => {
        const strict = filtered(entropyBits, grid, { ...given, lossRate: Math.min(a, b) }).keep;
        const loose = filtered(entropyBits, grid, { ...given, lossRate: Math.max(a, b) }).keep;
        expect(loose.every((kept, i) => kept <= (strict[i] ?? 0))).toBe(true);
      }),
    );
  });

  it('keeps everything at ε = 0, even patches of exactly 0 bits', () => {
    fc.assert(
      fc.property(images, parameters, ({ grid, entropyBits }, given) => {
        const { keptTokens, lostBits } = filtered(entropyBits, grid, { ...given, lossRate: 0 });
        expect([keptTokens, lostBits]).toEqual([entropyBits.length, 0]);
      }),
    );
  });

  it('keeps nothing at ε = 1 of the image’s own bits, whatever the rounding', () => {
    fc.assert(
      fc.property(images, parameters, ({ grid, entropyBits }, { edgePriority }) => {
        const all = { lossRate: 1, edgePriority, budgetBits: null };
        expect(filtered(entropyBits, grid, all).keptTokens).toBe(0);
      }),
    );
  });

  it('breaks ties by the checkerboard', () => {
    fc.assert(
      fc.property(grids, fc.double({ min: 0.01, max: 1, noNaN: true }), (grid, lossRate) => {
        const entropyBits = new Float32Array(grid.rows * grid.columns).fill(2);
        const { keep, keptTokens } = filtered(entropyBits, grid, { lossRate, edgePriority: 0, budgetBits: null });
        const dropped = keep.length - keptTokens;
        expect([...keep]).toEqual([...checkerboardRank(grid)].map((rank) => Number(rank >= dropped)));
      }),
    );
  });

  it('counts the kept tokens of its mask', () => {
    fc.assert(
      fc.property(images, parameters, ({ grid, entropyBits }, given) => {
        const { keep, keptTokens } = filtered(entropyBits, grid, given);
        expect(keptTokens).toBe(sum(keep));
      }),
    );
  });

  it('prefers edge patches when β is above every entropy', () => {
    const grid = { rows: 6, columns: 6 };
    const entropyBits = Float32Array.from({ length: 36 }, (_, i) => 1 + (i % 5));
    const { keep, keptTokens } = filtered(entropyBits, grid, {
      lossRate: 0.2,
      edgePriority: 100,
      budgetBits: null,
    });
    expect(keptTokens).toBeLessThan(36);
    expect(edgePatches(grid).every((edge, i) => edge === 0 || keep[i] === 1)).toBe(true);
  });

  it('refuses entropies that do not fill the grid', () => {
    expect(() => rankPatches(new Float32Array(3), { rows: 2, columns: 2 }, 0)).toThrow(
      new RangeError('3 entropies do not fill a grid of 2×2 patches'),
    );
  });

  it('finds the kept set of 16,384 patches by a binary search of the sums of bits', () => {
    const grid = { rows: 128, columns: 128 };
    const ranking = rankPatches(
      Float32Array.from({ length: 16384 }, (_, i) => (i * 7919) % 997),
      grid,
      1,
    );
    let reads = 0;
    const cumulativeBits = new Proxy(ranking.cumulativeBits, {
      get(sums, key) {
        reads++;
        return Reflect.get(sums, key) as unknown;
      },
    });
    const linear = (allowance: number) => ranking.cumulativeBits.findLastIndex((bits) => bits <= allowance);
    for (const lossRate of [0.01, 0.37, 0.99, 1]) {
      reads = 0;
      const dropped = droppedPrefix({ ...ranking, cumulativeBits }, lossRate, null);
      expect(dropped).toBe(linear(lossRate * ranking.totalBits));
      expect(reads).toBeLessThanOrEqual(15);
    }
  });
});

describe('without a filter', () => {
  it('every patch token is kept, at no bits of a budget', () => {
    expect(keepEvery(3)).toEqual({ keep: Uint8Array.of(1, 1, 1), keptTokens: 3, budgetBits: 0, lostBits: 0 });
  });
});

describe('keepRanks', () => {
  it('gives 1 to the patch that is dropped last, and N to the one that is dropped first', () => {
    expect(keepRanks(Uint32Array.of(2, 0, 3, 1))).toEqual(Uint32Array.of(3, 1, 4, 2));
  });
});

describe('token accounting', () => {
  it('is log2 of the number of masks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 40 }), (patches, some) => {
        const kept = Math.min(some, patches);
        let masks = 1n;
        for (let i = 1; i <= kept; i++) masks = (masks * BigInt(patches - i + 1)) / BigInt(i);
        expect(maskBits(patches, kept)).toBeCloseTo(Math.log2(Number(masks)), 8);
      }),
    );
    expect(Math.abs(maskBits(256, 41) - maskBits(256, 215))).toBeLessThan(tolerance);
    expect(maskBits(256, 256)).toBe(0);
  });
});
