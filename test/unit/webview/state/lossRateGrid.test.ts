import { describe, expect, it } from 'vitest';
import { droppedPrefix, rankPatches } from '../../../../src/method/filter';
import { lossRateGrid, snapLossRate } from '../../../../webview/state/lossRate';

const grid = { rows: 16, columns: 16 };
/** Most patches hold little, few hold much: tokens change fast where ε is small. */
const ranking = rankPatches(
  Float32Array.from({ length: 256 }, (_, i) => 0.2 + 10 * (i / 256) ** 4),
  grid,
  0,
);

describe('lossRateGrid', () => {
  const lossRates = lossRateGrid(ranking, null);
  const dropped = lossRates.map((lossRate) => droppedPrefix(ranking, lossRate, null));

  it('holds both ends first, and only what the slider can show', () => {
    expect(lossRates.slice(0, 2)).toEqual([0, 1]);
    expect(lossRates).toHaveLength(17);
    for (const lossRate of lossRates) expect(lossRate).toBe(snapLossRate(lossRate));
  });

  it('is even in tokens, so dense where they change with ε', () => {
    expect(new Set(dropped).size).toBe(dropped.length);
    const sorted = dropped.toSorted((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++) expect((sorted[i] ?? 0) - (sorted[i - 1] ?? 0)).toBeLessThan(40);
    expect(lossRates.filter((lossRate) => lossRate < 0.5).length).toBeGreaterThan(8);
  });

  it('ends where the reference budget drops no more, and measures nothing twice', () => {
    const capped = lossRateGrid(ranking, ranking.totalBits / 4);
    expect(Math.max(...capped)).toBeLessThanOrEqual(1);
    const kept = capped.map((lossRate) => droppedPrefix(ranking, lossRate, ranking.totalBits / 4));
    expect(Math.max(...kept)).toBe(droppedPrefix(ranking, 1, ranking.totalBits / 4));
    expect(new Set(kept).size).toBe(kept.length);
    const flat = rankPatches(new Float32Array(256), grid, 0);
    expect(lossRateGrid(flat, null)).toEqual([0]);
  });
});
