import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codebookSize, codeLevels } from '../../../src/method/codebook';

const levels = [8, 8, 8, 8];

describe('finite scalar quantisation', () => {
  it('counts dimension 0 fastest', () => {
    expect(codebookSize(levels)).toBe(4096);
    expect(codeLevels(2817, levels)).toEqual([1, 0, 4, 5]);
    expect(codeLevels(1, [3, 5])).toEqual([1, 0]);
    expect(codeLevels(3, [3, 5])).toEqual([0, 1]);
  });

  it('gives every code its own levels', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 5 }),
        fc.nat(),
        (counts, some) => {
          const code = some % codebookSize(counts);
          const place = counts.map((_, d) => codebookSize(counts.slice(0, d)));
          const found = codeLevels(code, counts);
          expect(found.every((level, d) => level >= 0 && level < (counts[d] ?? 0))).toBe(true);
          expect(found.reduce((sum, level, d) => sum + level * (place[d] ?? 0), 0)).toBe(code);
        },
      ),
    );
  });

  it.each([-1, 4096, 1.5, NaN])('refuses %d', (code) => {
    expect(() => codeLevels(code, levels)).toThrow(RangeError);
  });
});
