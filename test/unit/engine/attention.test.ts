import { describe, expect, it } from 'vitest';
import { attentionMap } from '../../../src/engine/attention';
import { tinyModel } from '../model';

const { grid } = tinyModel;
const cells = 2 * 6;
/** [L, H, K, N] whose values tell their place. */
const attention = Float32Array.from({ length: 4 * cells }, (_, i) => i);

describe('attentionMap', () => {
  it('takes one layer and head', () => {
    const { weights } = attentionMap(attention, tinyModel, grid, 1, 0);
    expect([...weights]).toEqual([...attention.subarray(2 * cells, 3 * cells)]);
  });

  it('averages over heads, layers or both', () => {
    expect(attentionMap(attention, tinyModel, grid, 1, 'mean').weights[0]).toBe(2.5 * cells);
    expect(attentionMap(attention, tinyModel, grid, 'mean', 1).weights[0]).toBe(2 * cells);
    expect(attentionMap(attention, tinyModel, grid, 'mean', 'mean').weights[5]).toBe(1.5 * cells + 5);
  });

  it('leaves out the patches of padding', () => {
    const { weights } = attentionMap(attention, tinyModel, { rows: 1, columns: 2 }, 0, 0);
    expect([...weights]).toEqual([0, 1, 6, 7]);
  });

  it.each([-1, 2, 0.5])('refuses layer and head %d', (choice) => {
    expect(() => attentionMap(attention, tinyModel, grid, choice, 0)).toThrow('The model has no layer');
    expect(() => attentionMap(attention, tinyModel, grid, 0, choice)).toThrow('The model has no head');
  });
});
