import { describe, expect, it } from 'vitest';
import { fixedGlobalsTokenization, fixedPatchesTokenization, tinyTokenization } from './tokenization';
import { patchesCsv, patchesJson } from '../../../src/export/patches';
import { tokensRecord } from '../../../src/export/tokens';

describe('patches as CSV', () => {
  it('have one line each, in raster order', () => {
    expect(patchesCsv(tinyTokenization).split('\n')).toEqual([
      'row,column,index,code,levels,entropy_bits,surprisal_bits,given_bits,priority,round,rank,lost_bits,kept,edge,mean_red,mean_green,mean_blue',
      '0,0,0,0,0 0,0,0.25,0,0,0,6,0,0,1,4,4,7',
      '0,1,1,1,1 0,0.5,0.75,0.5,0.5,0,5,0.5,0,1,12,4,7',
      '0,2,2,2,0 1,1,1.25,1,1,0,4,1.5,0,1,20,4,7',
      '1,0,3,3,1 1,1.5,1.75,1.5,1.5,0,3,3,0,1,4,12,7',
      '1,1,4,4,0 2,2,2.25,2,2,0,2,5,1,1,12,12,7',
      '1,2,5,5,1 2,2.5,2.75,2.5,2.5,0,1,7.5,1,1,20,12,7',
      '',
    ]);
  });
});

describe('patches of a model that keeps every token', () => {
  it('have no columns of a filter, and no colour where there is only padding', () => {
    expect(patchesCsv(fixedPatchesTokenization).split('\n')).toEqual([
      'row,column,index,code,levels,edge,mean_red,mean_green,mean_blue',
      '0,0,0,0,0 0,1,4,4,7',
      '0,1,1,1,1 0,1,12,4,7',
      '0,2,2,2,0 1,1,20,4,7',
      '1,0,3,3,1 1,1,,,',
      '1,1,4,4,0 2,1,,,',
      '1,2,5,5,1 2,1,,,',
      '',
    ]);
  });

  it('are not said to be filtered', () => {
    const record = JSON.parse(patchesJson('cat.png', fixedPatchesTokenization)) as Record<string, unknown>;
    expect(record).toMatchObject({ keptTokens: 6, totalTokens: 6 });
    for (const key of ['settings', 'budgetBits', 'lostBits']) expect(record).not.toHaveProperty(key);
    expect(record['patches']).toContainEqual({ row: 1, column: 0, index: 3, code: 3, levels: [1, 1], edge: true });
  });
});

describe('tokens as JSON', () => {
  it('are those that the model has, with the mask of what was kept where some can be dropped', () => {
    expect(tokensRecord(tinyTokenization)).toMatchObject({ globalCodes: [1, 5], keep: [0, 0, 0, 0, 1, 1] });
    const patches = tokensRecord(fixedPatchesTokenization);
    expect(patches).toMatchObject({ patchCodes: [0, 1, 2, 3, 4, 5] });
    expect(Object.keys(patches)).not.toContain('globalCodes');
    expect(Object.keys(patches)).not.toContain('keep');
    const globals = tokensRecord(fixedGlobalsTokenization);
    expect(globals).toMatchObject({ globalCodes: [1, 5] });
    expect(Object.keys(globals)).not.toContain('patchCodes');
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
      givenBits: 2,
      priority: 2,
      round: 0,
      rank: 2,
      lostBits: 5,
      kept: true,
      edge: true,
      rgb: [12, 12, 7],
    });
  });
});
