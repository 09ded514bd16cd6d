import { describe, expect, it } from 'vitest';
import { droppedPrefix, rankPatches } from '../../../../src/method/filter';
import { stepRanking } from '../../../../src/method/streams';
import { syntheticModel } from '../../../webview/fixture/synthetic';
import { modelWith } from '../../model';
import { lossRateGrid, snapLossRate, tokenMarks } from '../../../../webview/state/lossRate';

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

describe('tokenMarks', () => {
  const model = syntheticModel(256, 16);
  const image = { tiles: { rows: 1, columns: 1 } };
  const marks = tokenMarks(ranking, null, model, image, 0.05);

  it('has both ends and round numbers between, none nearer to each other than asked for', () => {
    expect(marks[0]).toEqual({ tokens: 288, lossRate: 0 });
    expect(marks.at(-1)).toEqual({ tokens: 32, lossRate: 1 });
    expect(marks.length).toBeGreaterThan(6);
    for (const { tokens } of marks) expect(tokens % 8).toBe(0);
    for (let i = 1; i < marks.length; i++)
      expect((marks[i]?.lossRate ?? 0) - (marks[i - 1]?.lossRate ?? 0)).toBeGreaterThanOrEqual(0.05);
    expect(marks.map(({ tokens }) => tokens)).toContain(128);
  });

  it('stands at the least ε that leaves so many', () => {
    for (const { tokens, lossRate } of marks.slice(1, -1)) {
      expect(32 + 256 - droppedPrefix(ranking, lossRate, null), `${tokens}`).toBe(tokens);
      expect(32 + 256 - droppedPrefix(ranking, lossRate - 1e-9, null), `${tokens}`).toBe(tokens + 1);
    }
  });

  it('ends with what the reference budget leaves, and is one mark where nothing can be dropped', () => {
    const budget = ranking.totalBits * 2;
    expect(tokenMarks(ranking, budget, model, image, 0.05).at(-1)?.tokens).toBe(32);
    const half = tokenMarks(ranking, ranking.totalBits / 2, model, image, 0.05).at(-1);
    expect(half).toEqual({ tokens: 32 + 256 - droppedPrefix(ranking, 0.5, null), lossRate: 1 });
    const flat = rankPatches(new Float32Array(256), { rows: 16, columns: 16 }, 0);
    expect(tokenMarks(flat, null, model, image, 0.05)).toEqual([{ tokens: 288, lossRate: 0 }]);
  });

  it('counts the steps of a prefix', () => {
    const prefix = modelWith(
      model,
      { globalTokens: 64, patchTokens: 0, filters: false, prefix: true },
      { kind: 'vq', size: 8 },
    );
    const of = tokenMarks(stepRanking(prefix), null, prefix, image, 0.1);
    expect(of[0]).toEqual({ tokens: 64, lossRate: 0 });
    expect(of).toContainEqual({ tokens: 32, lossRate: 0.5 });
    expect(of.at(-1)?.tokens).toBe(1);
  });
});
