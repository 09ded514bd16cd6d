import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterTokens } from '../../../src/tokenizer/filter';
import { filterSequentially, sequentialRounds } from '../../../src/tokenizer/sequential';

const grid = { rows: 5, columns: 6 };
const patches = 30;

const entropies = fc
  .array(fc.oneof(fc.double({ min: 0, max: 12, noNaN: true }), fc.constantFrom(0, 4)), {
    minLength: patches,
    maxLength: patches,
  })
  .map((values) => Float32Array.from(values));

const parameters = fc.record({
  lossRate: fc.double({ min: 0, max: 1, noNaN: true }),
  edgePriority: fc.double({ min: 0, max: 5, noNaN: true }),
  budgetBits: fc.option(fc.double({ min: 0, max: 300, noNaN: true })),
});

/** An entropy model: every revealed patch tells about the others, `help` of their bits for all of them together. */
function estimator(entropyBits: Float32Array, help: number) {
  const calls: Uint8Array[] = [];
  const estimate = (visible: Uint8Array) => {
    const known = visible.reduce((count, each) => count + each, 0) / patches;
    const given = entropyBits.map((bits, i) => (visible[i] === 1 ? 0 : bits * (1 - help * known)));
    return { entropyBits: given };
  };
  return {
    calls,
    first: estimate(new Uint8Array(patches)),
    later: (visible: Uint8Array) => {
      calls.push(visible);
      return Promise.resolve(estimate(visible));
    },
  };
}

const helps = fc.double({ min: 0, max: 1, noNaN: true });

describe('filterSequentially', () => {
  it('stops when the hidden patches hold at most ε·B bits, given the kept ones', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, helps, parameters, async (entropyBits, help, given) => {
        const { first, later } = estimator(entropyBits, help);
        const { keep, keptTokens, lostBits, budgetBits, estimate } = await filterSequentially(
          first,
          later,
          grid,
          given,
        );
        expect(lostBits).toBeLessThanOrEqual(given.lossRate * budgetBits);
        expect(keptTokens).toBe(keep.reduce((count, each) => count + each, 0));
        const hidden = estimate.entropyBits.filter((_, i) => keep[i] === 0).reduce((sum, bits) => sum + bits, 0);
        expect(hidden).toBeCloseTo(lostBits, 6);
      }),
    );
  });

  it('reveals more with every round and estimates once for each', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, helps, parameters, async (entropyBits, help, given) => {
        const { first, later, calls } = estimator(entropyBits, help);
        const { keep } = await filterSequentially(first, later, grid, given);
        const sets = [...calls, keep];
        for (const [i, set] of sets.slice(1).entries()) {
          expect(sets[i]?.every((each, patch) => each <= (set[patch] ?? 0))).toBe(true);
        }
        expect(calls.length).toBeLessThanOrEqual(sequentialRounds);
      }),
    );
  });

  it('keeps what one pass keeps when revealing tells nothing, and never more when it helps', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, helps, parameters, async (entropyBits, help, given) => {
        const oneShot = filterTokens(entropyBits, grid, given);
        const silent = estimator(entropyBits, 0);
        const same = await filterSequentially(silent.first, silent.later, grid, given);
        expect(same.keep).toEqual(oneShot.keep);
        const telling = estimator(entropyBits, help);
        const fewer = await filterSequentially(telling.first, telling.later, grid, { ...given, edgePriority: 0 });
        const oneShotFlat = filterTokens(entropyBits, grid, { ...given, edgePriority: 0 });
        expect(fewer.keptTokens).toBeLessThanOrEqual(oneShotFlat.keptTokens);
      }),
    );
  });

  it('keeps everything at ε = 0 without another estimate, and nothing at ε = 1 of the image’s bits', async () => {
    await fc.assert(
      fc.asyncProperty(entropies, parameters, async (entropyBits, given) => {
        const { first, later, calls } = estimator(entropyBits, 0.5);
        const all = await filterSequentially(first, later, grid, { ...given, lossRate: 0 });
        expect([all.keptTokens, all.lostBits, calls.length]).toEqual([patches, 0, 0]);
        const none = await filterSequentially(first, later, grid, { ...given, lossRate: 1, budgetBits: null });
        expect([none.keptTokens, calls.length]).toEqual([0, 0]);
      }),
    );
  });

  it('reveals ⌈k / (R − r)⌉ patches of highest priority in round r', async () => {
    const entropyBits = Float32Array.from({ length: patches }, (_, i) => i + 1);
    const { first, later, calls } = estimator(entropyBits, 0);
    const given = { lossRate: 0.1, edgePriority: 0, budgetBits: null };
    const { keptTokens } = await filterSequentially(first, later, grid, given);
    const revealed = calls.map((visible) => visible.reduce((count, each) => count + each, 0));
    let left = keptTokens;
    const expected = Array.from({ length: sequentialRounds }, (_, round) => {
      left -= Math.ceil(left / (sequentialRounds - round));
      return keptTokens - left;
    });
    expect(revealed).toEqual(expected);
    expect(calls[0]?.lastIndexOf(0)).toBe(patches - 1 - (expected[0] ?? 0));
  });
});
