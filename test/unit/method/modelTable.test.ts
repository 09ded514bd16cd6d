import { describe, expect, it } from 'vitest';
import {
  meanText,
  rowOf,
  settingsText,
  sortedRows,
  tableCsv,
  tableLatex,
  type ImageResult,
} from '../../../src/method/modelTable';

const head = { id: 0, kind: 'model', name: 'tatok_s 1.0', settings: 'ε 0.8' } as const;
const result = (tokens: number, psnr: number | null, ssim: number | null = 0.5): ImageResult => ({
  ...{ tokens, bits: 16 * tokens, bytes: 2 * tokens, pixels: 1000, psnr, ssim },
});

describe('a row of the table of models', () => {
  it('has the means of its images, and says how many there are', () => {
    const row = rowOf(head, [result(10, 20), result(20, 30), { reason: 'cat.png is no image.' }]);
    expect(row).toMatchObject({
      images: 2,
      missing: { count: 1, reason: 'cat.png is no image.' },
      means: { tokens: 15, bits: 240, bytes: 30, bitsPerPixel: 0.24, psnr: 25, ssim: 0.5 },
    });
  });

  it('leaves out what has no number: identical pictures, small ones, tokens of a file', () => {
    const { means } = rowOf(head, [result(10, null, null), { ...result(20, 30), tokens: null }]);
    expect(means).toMatchObject({ tokens: 10, psnr: 30, ssim: 0.5 });
    expect(rowOf(head, [{ reason: 'None.' }]).means.psnr).toBeNull();
    expect(meanText('psnr', rowOf(head, []).means)).toBe('–');
  });

  it('says what was set, as far as it decides anything', () => {
    const settings = { lossRate: 0.8, edgePriority: 1.5, budget: 'image', ranking: 'distortion' } as const;
    expect(settingsText(settings, true, true)).toBe('ε 0.8, by distortion in 2 rounds, image budget, β 1.5');
    expect(settingsText({ ...settings, ranking: 'entropy', edgePriority: 0 }, true, true)).toBe(
      'ε 0.8, by entropy, image budget',
    );
    expect(settingsText(settings, false, true)).toBe('ε 0.8');
    expect(settingsText(settings, false, false)).toBe('every token');
  });
});

describe('the table', () => {
  const rows = [
    rowOf({ ...head, id: 0, name: 'b' }, [result(10, 20)]),
    rowOf({ ...head, id: 1, name: 'a', kind: 'codec' }, [{ reason: 'none ≤ 9 bytes' }]),
    rowOf({ ...head, id: 2, name: 'c' }, [result(5, 31.25)]),
  ];
  const ids = (column: 'name' | 'psnr' | 'tokens', descending: boolean) =>
    sortedRows(rows, column, descending).map(({ id }) => id);

  it('is sorted by any column, rows without a number last', () => {
    expect([ids('psnr', true), ids('psnr', false)]).toEqual([
      [2, 0, 1],
      [0, 2, 1],
    ]);
    expect(ids('tokens', true)).toEqual([0, 2, 1]);
    expect([ids('name', false), ids('name', true)]).toEqual([
      [1, 0, 2],
      [2, 0, 1],
    ]);
  });

  it('is CSV with all digits, and LaTeX with those that are shown', () => {
    expect(tableCsv(rows).split('\n')).toEqual([
      'system,settings,images,missing,reason,tokens,bits,bytes,bits_per_pixel,psnr_db,ssim',
      'b,ε 0.8,1,0,,10,160,20,0.16,20,0.5',
      'a,ε 0.8,0,1,none ≤ 9 bytes,,,,,,',
      'c,ε 0.8,1,0,,5,80,10,0.08,31.25,0.5',
      '',
    ]);
    const latex = tableLatex(rows, 1);
    expect(latex).toContain('b & $\\varepsilon$ 0.8 & 10 & 160 & 20 & 0.16 & 20.00 & 0.500 \\\\');
    expect(latex).toContain('a (0 of 1) & $\\varepsilon$ 0.8 & -- & -- & -- & -- & -- & -- \\\\');
  });
});
