import { describe, expect, it } from 'vitest';
import { patchChange, replacementCodes, replacements } from '../../../src/tokenizer/influence';

describe('replacementCodes', () => {
  it('are distinct, of the codebook, never the own, and the same every time', () => {
    for (const own of [0, 1, 2531, 4095]) {
      const codes = replacementCodes(own, 4096);
      expect(new Set(codes).size).toBe(replacements);
      expect(codes.every((code) => Number.isInteger(code) && code >= 0 && code < 4096 && code !== own)).toBe(true);
      expect(replacementCodes(own, 4096)).toEqual(codes);
    }
  });

  it('are spread over the codebook', () => {
    const quarters = replacementCodes(0, 4096).map((code) => Math.floor(code / 1024));
    expect(new Set(quarters).size).toBeGreaterThanOrEqual(3);
  });

  it('are all there are of a small codebook', () => {
    expect(replacementCodes(1, 3).sort()).toEqual([0, 2]);
    expect(replacementCodes(0, 1)).toEqual([]);
  });
});

describe('patchChange', () => {
  const grid = { rows: 2, columns: 2 };
  const reference = new Uint8Array(4 * 4 * 3).fill(100);

  it('is the root mean square over pixels, channels and pictures, in 8-bit units', () => {
    const one = reference.slice();
    // All channels of the patch at the top right, whose pixels are columns 2 and 3 of rows 0 and 1.
    for (const pixel of [2, 3, 6, 7]) one.fill(110, 3 * pixel, 3 * pixel + 3);
    expect([...patchChange(reference, [one], 4, grid)]).toEqual([0, 10, 0, 0]);
    const other = reference.slice();
    other[0] = 94;
    const [first = 0, second = 0] = patchChange(reference, [one, other], 4, grid);
    expect(first).toBeCloseTo(Math.sqrt(36 / 24), 5);
    expect(second).toBeCloseTo(Math.sqrt(100 / 2), 5);
  });

  it('is zero without a change', () => {
    expect([...patchChange(reference, [reference.slice()], 4, grid)]).toEqual([0, 0, 0, 0]);
    expect([...patchChange(reference, [], 4, grid)]).toEqual([0, 0, 0, 0]);
  });
});
