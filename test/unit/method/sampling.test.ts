import fc from 'fast-check';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { describe, expect, it } from 'vitest';
import { codeLevels } from '../../../src/method/codebook';
import { drawCode, levelProbabilities, probingCodes } from '../../../src/method/sampling';
import { refusalOf } from '../refusal';

const levels = [3, 2, 4];
const toy = [
  [0.5, 0.2, 0.3],
  [0.9, 0.1],
  [0.05, 0.6, 0.25, 0.1],
];

/** q of a code, by its levels. */
const probability = (q: readonly (readonly number[])[], code: number): number =>
  codeLevels(
    code,
    q.map(({ length }) => length),
  ).reduce((product, level, d) => product * (q[d]?.[level] ?? NaN), 1);
const surprisals = (q: readonly (readonly number[])[]) =>
  probingCodes(q.map(({ length }) => length)).map((code) => -Math.log2(probability(q, code)));

describe('the probabilities of levels', () => {
  const distribution = (count: number) =>
    fc.array(fc.double({ min: 1e-6, max: 1, noNaN: true }), { minLength: count, maxLength: count }).map((weights) => {
      const sum = weights.reduce((all, weight) => all + weight, 0);
      return weights.map((weight) => weight / sum);
    });

  it('follow from surprisals alone, of one code more than there are levels to tell apart', () => {
    expect(probingCodes(levels)).toEqual([0, 1, 2, 3, 6, 12, 18]);
    fc.assert(
      fc.property(fc.tuple(...levels.map(distribution)), (q) => {
        const found = levelProbabilities(Float32Array.from(surprisals(q)), levels);
        q.forEach((each, d) => each.forEach((p, level) => expect(found[d]?.[level]).toBeCloseTo(p, 4)));
      }),
    );
  });

  it('are refused where the levels of a code depend on each other, and where bits are missing', async () => {
    // Two dimensions that are always equal, as an entropy model that mixes whole codes may have them.
    const equal = [1, 20, 20, 20].map((bits) => bits);
    for (const bad of [equal, surprisals(toy).slice(1), []]) {
      expect((await refusalOf(() => levelProbabilities(bad, [2, 3]))).message).toMatch(/^Codes cannot be sampled/);
    }
  });
});

describe('codes that are drawn', () => {
  it('are as often what they are as q says (chi-square)', () => {
    const random = xoroshiro128plus(18);
    const draws = 20_000;
    const seen = new Float64Array(24);
    for (let i = 0; i < draws; i++) {
      const code = drawCode(toy, () => uniformFloat64(random));
      seen[code] = (seen[code] ?? 0) + 1;
    }
    const chiSquare = seen.reduce((sum, count, code) => {
      const expected = draws * probability(toy, code);
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // The 99.9 % quantile of chi-square with 23 degrees of freedom.
    expect(chiSquare).toBeLessThan(49.73);
  });

  it('are never those without any probability', () => {
    const q = [
      [0, 1, 0],
      [1, 0],
      [0, 0, 1, 0],
    ];
    for (const uniform of [0, 0.5, 1 - 2 ** -53]) expect(drawCode(q, () => uniform)).toBe(1 + 2 * 6);
    // Rounding left a hair at the end.
    expect(drawCode([[0.3, 0.7 - 1e-9, 0]], () => 1 - 1e-12)).toBe(1);
  });
});
