import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  codeBinary,
  codeBits,
  codebookSize,
  codeLevels,
  codeOfLevels,
  describeCodebook,
  isWide,
} from '../../../src/method/codebook';

const levels = [8, 8, 8, 8];
const sizeOf = (counts: readonly number[]) => codebookSize({ kind: 'fsq', levels: counts });

describe('finite scalar quantisation', () => {
  it('counts dimension 0 fastest', () => {
    expect(codebookSize({ kind: 'fsq', levels })).toBe(4096);
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
          const code = some % sizeOf(counts);
          const place = counts.map((_, d) => sizeOf(counts.slice(0, d)));
          const found = codeLevels(code, counts);
          expect(found.every((level, d) => level >= 0 && level < (counts[d] ?? 0))).toBe(true);
          expect(found.reduce((sum, level, d) => sum + level * (place[d] ?? 0), 0)).toBe(code);
          expect(codeOfLevels(found, counts)).toBe(code);
        },
      ),
    );
  });

  it.each([-1, 4096, 1.5, NaN])('refuses %d', (code) => {
    expect(() => codeLevels(code, levels)).toThrow(RangeError);
  });

  it.each([[[8, 0, 0, 0]], [[0, -1, 0, 0]], [[0, 0, 0.5, 0]], [[0, 0, 0]]])(
    'has no code for the levels %j',
    (chosen) => {
      expect(() => codeOfLevels(chosen, levels)).toThrow(RangeError);
    },
  );
});

describe('other codebooks', () => {
  it('have codes of bits, bit 0 first, also of 62', () => {
    expect(codeBinary(6, 4)).toBe('0110');
    expect(codeBinary(2n ** 61n, 62)).toBe(`${'0'.repeat(61)}1`);
    expect(() => codeBinary(16, 4)).toThrow(RangeError);
    expect(codeLevels(2n ** 61n, new Array<number>(62).fill(2))[61]).toBe(1);
  });

  it('cost log2 of their size, and latents what their numbers take', () => {
    expect(codeBits({ kind: 'vq', size: 4096 })).toBe(12);
    expect(codeBits({ kind: 'bits', bits: 32 })).toBe(32);
    expect(codeBits({ kind: 'continuous', dimensions: 4 })).toBe(128);
    expect([31, 32].map((bits) => isWide({ kind: 'bits', bits }))).toEqual([false, true]);
  });

  it('are named by what their codes are', () => {
    expect(describeCodebook({ kind: 'fsq', levels: [8, 8] })).toBe('64 [8 8]');
    expect(describeCodebook({ kind: 'vq', size: 4096 })).toBe('4096 vectors');
    expect(describeCodebook({ kind: 'bits', bits: 18 })).toBe('18 bits');
    expect(describeCodebook({ kind: 'continuous', dimensions: 4 })).toBe('latents of 4 numbers');
  });
});
