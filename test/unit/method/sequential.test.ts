import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankPatches, selectKept } from '../../../src/method/filter';
import { hiddenCounts, isSequential, rankSequentially, roundsOf, savedDecibels } from '../../../src/method/sequential';

const grid = { rows: 5, columns: 6 };
const patches = 30;
const rounds = 16;

const entropies = fc
  .array(fc.oneof(fc.double({ min: 0, max: 12, noNaN: true }), fc.constantFrom(0, 4)), {
    minLength: patches,
    maxLength: patches,
  })
  .map((values) => Float32Array.from(values));
const edgePriorities = fc.double({ min: 0, max: 5, noNaN: true });
const lossRates = fc.double({ min: 0, max: 1, noNaN: true });
const helps = fc.double({ min: 0, max: 1, noNaN: true });

/** An entropy model: every revealed patch tells about the others, `help` of their bits for all of them together. */
function estimator(entropyBits: Float32Array, help: number) {
  const calls: Uint8Array[] = [];
  const given = (visible: Uint8Array) => {
    const known = visible.reduce((count, each) => count + each, 0) / patches;
    return entropyBits.map((bits, i) => (visible[i] === 1 ? 0 : bits * (1 - help * known)));
  };
  const estimate = (visible: Uint8Array) => {
    calls.push(visible);
    return Promise.resolve(given(visible));
  };
  return { calls, given, estimate };
}

describe('hiddenCounts', () => {
  it('reveals ⌈N·(r/R)²⌉ patches by round r, of two N/16 by the first, and all of them by the last', () => {
    expect(hiddenCounts(256, 16)).toEqual(Array.from({ length: 16 }, (_, r) => 256 - (r + 1) ** 2));
    expect(hiddenCounts(256, 8)).toEqual(Array.from({ length: 8 }, (_, r) => 256 - 4 * (r + 1) ** 2));
    expect(hiddenCounts(256, 2)).toEqual([240, 0]);
    for (let count = 1; count <= 40; count++) expect(hiddenCounts(patches, count).at(-1)).toBe(0);
  });
});

describe('isSequential', () => {
  it('is true of the rankings that reveal patches in rounds', () => {
    expect((['entropy', 'sequential', 'distortion'] as const).filter(isSequential)).toEqual([
      'sequential',
      'distortion',
    ]);
  });
});

describe('roundsOf', () => {
  it('is what the settings say, else what the ranking has by default, and one where there are no rounds', () => {
    expect(roundsOf({ ranking: 'distortion', rankingRounds: 16 })).toBe(16);
    expect(roundsOf({ ranking: 'sequential', rankingRounds: 1 })).toBe(1);
    expect(roundsOf({ ranking: 'entropy', rankingRounds: 16 })).toBe(1);
    expect(roundsOf({ ranking: 'distortion' })).toBeLessThan(roundsOf({ ranking: 'sequential' }));
  });
});

describe('rankSequentially', () => {
  it('orders every patch once and never loses fewer bits for dropping more', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, helps, edgePriorities, async (entropyBits, help, edgePriority) => {
        const { estimate } = estimator(entropyBits, help);
        const { order, cumulativeBits, totalBits } = await rankSequentially(
          entropyBits,
          estimate,
          grid,
          edgePriority,
          rounds,
        );
        expect([...order].sort((a, b) => a - b)).toEqual([...Array(patches).keys()]);
        expect(cumulativeBits[0]).toBe(0);
        expect(cumulativeBits.at(-1)).toBe(totalBits);
        expect([...cumulativeBits].sort((a, b) => a - b)).toEqual([...cumulativeBits]);
      }),
    );
  });

  it('is the one-shot ranking when revealing tells nothing', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, edgePriorities, async (entropyBits, edgePriority) => {
        const { estimate } = estimator(entropyBits, 0);
        const sequential = await rankSequentially(entropyBits, estimate, grid, edgePriority, rounds);
        const oneShot = rankPatches(entropyBits, grid, edgePriority);
        expect(sequential.order).toEqual(oneShot.order);
        sequential.cumulativeBits.forEach((bits, m) => expect(bits).toBeCloseTo(oneShot.cumulativeBits[m] ?? NaN, 6));
      }),
    );
  });

  it('keeps nested sets, and never more than one pass keeps when revealing helps every patch alike', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, helps, lossRates, lossRates, async (entropyBits, help, a, b) => {
        const { estimate } = estimator(entropyBits, help);
        const ranking = await rankSequentially(entropyBits, estimate, grid, 0, rounds);
        const [less, more] = [Math.min(a, b), Math.max(a, b)].map((lossRate) => selectKept(ranking, lossRate, null));
        expect(more?.keep.every((kept, i) => kept <= (less?.keep[i] ?? 0))).toBe(true);
        const oneShot = selectKept(rankPatches(entropyBits, grid, 0), a, null);
        expect(selectKept(ranking, a, null).keptTokens).toBeLessThanOrEqual(oneShot.keptTokens);
      }),
    );
  });

  it('spends at most ε·B on what is hidden, given what was visible when the round of the last kept patch began', async () => {
    await fc.assert(
      fc.asyncProperty(
        entropies,
        helps,
        edgePriorities,
        lossRates,
        async (entropyBits, help, edgePriority, lossRate) => {
          const { estimate, given } = estimator(entropyBits, help);
          const ranking = await rankSequentially(entropyBits, estimate, grid, edgePriority, rounds);
          const { keep, keptTokens, lostBits, budgetBits } = selectKept(ranking, lossRate, null);
          expect(lostBits).toBeLessThanOrEqual(lossRate * budgetBits);
          if (lossRate === 0) return;
          // The rounds that ended before the stop are visible in full; the round under way is not yet told of.
          const complete = hiddenCounts(patches, rounds).filter((left) => left > patches - keptTokens);
          const visibleThen = new Uint8Array(patches);
          for (const patch of ranking.order.subarray(complete.at(-1) ?? patches)) visibleThen[patch] = 1;
          const bits = given(visibleThen).reduce((sum, each, i) => sum + (keep[i] === 1 ? 0 : each), 0);
          expect(lostBits).toBeLessThanOrEqual(bits + 1e-3);
        },
      ),
    );
  });

  it('counts for every stop the least that a longer drop loses, where later rounds learn that patches cost more', async () => {
    // Of 16 patches each round reveals one or more; patch 15 is revealed first, after which each costs 100 bits instead of 1.
    const square = { rows: 4, columns: 4 };
    const first = Float32Array.from({ length: 16 }, (_, i) => 1 + i / 100);
    const estimate = () => Promise.resolve(first.map((bits) => 100 * bits));
    const { order, cumulativeBits, totalBits } = await rankSequentially(first, estimate, square, 0, rounds);
    const all = first.reduce((sum, bits) => sum + bits, 0);
    expect(order[15]).toBe(15);
    expect(totalBits).toBeCloseTo(all, 4);
    // Dropping one patch costs 100 bits by its own round's estimate; but all sixteen together cost 17 by the first round's.
    for (let m = 1; m <= 16; m++) expect(cumulativeBits[m], `${m}`).toBeLessThanOrEqual(all + 1e-4);
    expect(cumulativeBits[1]).toBeCloseTo(all, 4);
    const { keptTokens, lostBits } = selectKept({ order, cumulativeBits, totalBits }, 0.5, null);
    expect([keptTokens, lostBits]).toEqual([16, 0]);
    expect(selectKept({ order, cumulativeBits, totalBits }, 1, null).keptTokens).toBe(0);
  });

  it('estimates once for each round after the first, with everything revealed so far visible', async () => {
    const entropyBits = Float32Array.from({ length: patches }, (_, i) => i + 1);
    const { calls, estimate } = estimator(entropyBits, 0.5);
    await rankSequentially(entropyBits, estimate, grid, 0, rounds);
    const visible = calls.map((call) => call.reduce((count, each) => count + each, 0));
    expect(visible).toEqual(
      hiddenCounts(patches, rounds)
        .slice(0, rounds - 1)
        .map((left) => patches - left),
    );
    expect(calls[0]?.lastIndexOf(1)).toBe(patches - 1);
  });
});

describe('priorities', () => {
  it('are those of the round that revealed a patch, which with the round give the order', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, edgePriorities, helps, async (entropyBits, edgePriority, help) => {
        const { calls, given, estimate } = estimator(entropyBits, help);
        const { order, priorities } = await rankSequentially(entropyBits, estimate, grid, edgePriority, rounds);
        if (priorities === undefined) throw new Error('no priorities');
        const keeping = [...order].reverse();
        const sorted = keeping.map((i) => [priorities.round[i] ?? 0, -(priorities.priority[i] ?? 0)]);
        expect(sorted).toEqual([...sorted].sort(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d));
        for (const i of keeping) {
          const round = priorities.round[i] ?? 0;
          const visible = round === 0 ? new Uint8Array(patches) : (calls[round - 1] ?? new Uint8Array());
          expect(visible[i]).toBe(0);
          const bits = (round === 0 ? entropyBits : given(visible))[i] ?? NaN;
          const [row, column] = [Math.floor(i / grid.columns), i % grid.columns];
          const edge = row === 0 || row === grid.rows - 1 || column === 0 || column === grid.columns - 1;
          expect(priorities.givenBits[i]).toBe(bits);
          expect(priorities.priority[i]).toBe(bits + (edge ? edgePriority : 0));
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('savedDecibels', () => {
  it('is the fall of an error in dB: none where it does not fall, infinite where nothing is left', () => {
    const saved = savedDecibels(Float32Array.of(100, 20, 5, 5, 7, 0), Float32Array.of(1, 10, 5, 6, 0, 0));
    expect(saved[1]).toBeCloseTo(3.0103, 4);
    saved[1] = 3;
    expect([...saved]).toEqual([20, 3, 0, 0, Infinity, 0]);
  });
});
