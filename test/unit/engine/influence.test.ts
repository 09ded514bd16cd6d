import { mean } from 'd3-array';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { patchChange, replacementCodes, replacements } from '../../../src/engine/influence';

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
  const whole = { width: 4, height: 4 };
  const reference = new Uint8Array(4 * 4 * 3).fill(100);

  it('is the root mean square over pixels, channels and pictures, in 8-bit units', () => {
    const one = reference.slice();
    // All channels of the patch at the top right, whose pixels are columns 2 and 3 of rows 0 and 1.
    for (const pixel of [2, 3, 6, 7]) one.fill(110, 3 * pixel, 3 * pixel + 3);
    expect([...patchChange(reference, [one], 4, 2, whole)]).toEqual([0, 10, 0, 0]);
    const other = reference.slice();
    other[0] = 94;
    const [first = 0, second = 0] = patchChange(reference, [one, other], 4, 2, whole);
    expect(first).toBeCloseTo(Math.sqrt(36 / 24), 5);
    expect(second).toBeCloseTo(Math.sqrt(100 / 2), 5);
  });

  it('is zero without a change', () => {
    expect([...patchChange(reference, [reference.slice()], 4, 2, whole)]).toEqual([0, 0, 0, 0]);
    expect([...patchChange(reference, [], 4, 2, whole)]).toEqual([0, 0, 0, 0]);
  });

  it('is that of the picture’s own pixels where padding cuts a patch', () => {
    const changed = reference.slice();
    // The one pixel of the picture in the patch at the lower right, and all of the padding.
    changed.fill(106, 3 * (2 * 4 + 2), 3 * (2 * 4 + 2) + 3);
    for (const pixel of [3, 7, 11, 12, 13, 14, 15]) changed.fill(250, 3 * pixel, 3 * pixel + 3);
    expect([...patchChange(reference, [changed], 4, 2, { width: 3, height: 3 })]).toEqual([0, 0, 0, 6]);
    // Patches wholly in padding have none.
    expect([...patchChange(reference, [changed], 4, 2, { width: 2, height: 3 })]).toEqual([0, 0]);
  });

  it('agrees with patches collected pixel by pixel, whatever the padding', () => {
    const size = 12;
    const bytes = fc.uint8Array({ minLength: size * size * 3, maxLength: size * size * 3 });
    const extent = fc.record({ width: fc.integer({ min: 1, max: size }), height: fc.integer({ min: 1, max: size }) });
    fc.assert(
      fc.property(
        bytes,
        fc.array(bytes, { minLength: 1, maxLength: 3 }),
        extent,
        (before, after, { width, height }) => {
          const squares = new Map<string, number[]>();
          for (let i = 0; i < before.length; i++) {
            const [x, y] = [Math.floor(i / 3) % size, Math.floor(i / 3 / size)];
            if (x >= width || y >= height) continue;
            const patch = `${Math.floor(y / 4)} ${Math.floor(x / 4)}`;
            const changes = after.map((picture) => ((picture[i] ?? 0) - (before[i] ?? 0)) ** 2);
            squares.set(patch, [...(squares.get(patch) ?? []), ...changes]);
          }
          // Raster order: patches were met row by row, from left to right.
          const expected = [...squares.values()].map((values) => Math.fround(Math.sqrt(mean(values) ?? NaN)));
          const values = [...patchChange(before, after, size, 4, { width, height })];
          expect(values.length).toBe(expected.length);
          values.forEach((value, patch) => expect(value).toBeCloseTo(expected[patch] ?? NaN, 3));
        },
      ),
    );
  });
});
