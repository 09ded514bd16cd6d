import { describe, expect, it } from 'vitest';
import { tinyTokenization } from './tokenization';
import { patchesCsv, patchesJson } from '../../../src/export/patches';

describe('patches as CSV', () => {
  it('have one line each, in raster order', () => {
    expect(patchesCsv(tinyTokenization).split('\n')).toEqual([
      'row,column,index,code,levels,entropy_bits,surprisal_bits,rank,kept,edge,mean_red,mean_green,mean_blue',
      '0,0,0,0,0 0,0,0.25,6,0,1,4,4,7',
      '0,1,1,1,1 0,0.5,0.75,5,0,1,12,4,7',
      '0,2,2,2,0 1,1,1.25,4,0,1,20,4,7',
      '1,0,3,3,1 1,1.5,1.75,3,0,1,4,12,7',
      '1,1,4,4,0 2,2,2.25,2,1,1,12,12,7',
      '1,2,5,5,1 2,2.5,2.75,1,1,1,20,12,7',
      '',
    ]);
  });
});

describe('patches as JSON', () => {
  it('say what made them', () => {
    expect(JSON.parse(patchesJson('cat.png', tinyTokenization))).toMatchObject({
      image: 'cat.png',
      model: { name: 'tiny', version: '0', codebookSize: 6, levels: [2, 3] },
      source: { width: 64, height: 48, crop: { left: 0 } },
      settings: { lossRate: 0.4, conditioning: 'global' },
      grid: { rows: 2, columns: 3 },
      budgetBits: 7.5,
      psnr: null,
      keptTokens: 2,
      totalTokens: 4,
    });
  });

  it('are records of the same facts as the table', () => {
    const { patches } = JSON.parse(patchesJson('cat.png', tinyTokenization)) as { patches: unknown[] };
    expect(patches).toHaveLength(6);
    expect(patches[4]).toEqual({
      row: 1,
      column: 1,
      index: 4,
      code: 4,
      levels: [0, 2],
      entropyBits: 2,
      surprisalBits: 2.25,
      rank: 2,
      kept: true,
      edge: true,
      rgb: [12, 12, 7],
    });
  });
});
