import { describe, expect, it } from 'vitest';
import { eliminate, keptCounts } from '../../../src/method/elimination';

const grid = { rows: 4, columns: 4 };
const tokens = 16;
const rounds = 4;
/** Each token costs its own bits, and half a bit more for every token that is gone. */
const own = Float32Array.from({ length: tokens }, (_, i) => 1 + ((7 * i) % tokens));
const estimate = (visible: Uint8Array) => {
  const gone = visible.reduce((count, seen) => count + 1 - seen, 0);
  return Promise.resolve(own.map((bits) => bits + gone / 2));
};
const isEdge = (i: number) => i < 4 || i >= 12 || i % 4 === 0 || i % 4 === 3;

describe('the priorities of backward elimination', () => {
  it('are those of the round that dropped a token; the first round is kept shortest', async () => {
    const { order, priorities } = await eliminate(own, estimate, grid, 3, rounds);
    if (priorities === undefined) throw new Error('no priorities');
    const counts = [tokens, ...keptCounts(tokens, rounds)];
    for (let round = 0; round < rounds; round++) {
      const [before = 0, left = 0] = counts.slice(round);
      for (const token of order.subarray(tokens - before, tokens - left)) {
        expect(priorities.round[token]).toBe(rounds - 1 - round);
        // A token is estimated given those of the other three parts of what is left.
        const given = priorities.givenBits[token] ?? NaN;
        expect(priorities.priority[token]).toBeCloseTo(given + (isEdge(token) ? 3 : 0), 5);
        if (round === 0) expect(given).toBe(own[token]);
        else expect(given).toBeGreaterThan((own[token] ?? 0) + (tokens - before) / 2);
      }
    }
    expect(new Set(priorities.round)).toEqual(new Set([0, 1, 2, 3]));
  });
});
