import { describe, expect, it } from 'vitest';
import { lossRateOf } from '../../../../webview/state/targets';
import { sequenceJson, sequencePython } from '../../../../webview/experiments/sequence';
import { droppedPrefix, rankPatches } from '../../../../src/method/filter';

describe('the ε of a target', () => {
  const grid = { rows: 8, columns: 8 };
  const bits = Float32Array.from({ length: 64 }, (_, i) => ((i * 37) % 61) / 7 + 0.01);

  it.each([null, 17.3, 1e6])('drops exactly so many patches, whatever the rounding: budget %s', (budget) => {
    const ranking = rankPatches(bits, grid, 0.3);
    const most = droppedPrefix(ranking, 1, budget);
    for (let dropped = 0; dropped <= most; dropped++) {
      expect(droppedPrefix(ranking, lossRateOf(ranking, dropped, budget), budget)).toBe(dropped);
    }
  });

  it('drops patches without any bits too, all of them together', () => {
    const ranking = rankPatches(
      Float32Array.from({ length: 64 }, (_, i) => (i < 10 ? 0 : 1)),
      grid,
      0,
    );
    expect(droppedPrefix(ranking, lossRateOf(ranking, 4, null), null)).toBe(10);
    expect(droppedPrefix(ranking, lossRateOf(ranking, 12, null), null)).toBe(12);
    const nothing = rankPatches(new Float32Array(64), grid, 0);
    expect(lossRateOf(nothing, 0, null)).toBe(0);
  });
});

describe('the token sequence', () => {
  const source = {
    image: { grid: { rows: 2, columns: 2 }, tiles: { rows: 1, columns: 1 } },
    model: { name: 'tiny\nimport os', version: '1', globalTokens: 2, patchTokens: 4 },
    tokens: { globalCodes: Int32Array.of(7, 8), patchCodes: Int32Array.of(1, 2, 3, 4) },
    keep: Uint8Array.of(0, 1, 0, 1),
  };

  it('has global tokens first, then the kept patches with positions', () => {
    expect(JSON.parse(sequenceJson(source, { name: 'a.png' }))).toEqual({
      image: 'a.png',
      model: { name: 'tiny\nimport os', version: '1' },
      grid: { rows: 2, columns: 2 },
      globalCodes: [7, 8],
      patchPositions: [
        [0, 1],
        [1, 1],
      ],
      patchCodes: [2, 4],
    });
  });

  it('is Python, whatever the names', () => {
    expect(sequencePython(source, { name: 'a\u2028b.png' })).toBe(
      [
        '# a\ufffdb.png: tokens of tiny\ufffdimport os 1',
        'grid = (2, 2)',
        'global_codes = [7, 8]',
        'patch_positions = [(0, 1), (1, 1)]',
        'patch_codes = [2, 4]',
        '',
      ].join('\n'),
    );
  });

  it('has codes of 64 bits, lists of residual ones, and no patches of a model without', () => {
    const wide = {
      ...source,
      tokens: { globalCodes: BigInt64Array.of(2n ** 60n, 1n), patchCodes: Int32Array.from({ length: 8 }, (_, i) => i) },
    };
    expect(sequencePython(wide, { name: 'a' })).toContain('global_codes = [1152921504606846976, 1]');
    expect(sequencePython(wide, { name: 'a' })).toContain('patch_codes = [[2, 3], [6, 7]]');
    const model = { ...source.model, patchTokens: 0 };
    expect(sequencePython({ ...source, model }, { name: 'a' })).toContain('patch_codes = []');
  });
});
