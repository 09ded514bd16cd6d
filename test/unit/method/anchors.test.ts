import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anchorLimits,
  bestWithin,
  bitsPerPixel,
  bitsPerPixelText,
  bytesOf,
  noneWithin,
  type Encoding,
} from '../../../src/method/anchors';

/** Files of random sizes and worth: bytes and PSNR grow with quality, the smallest file of a scale with the scale. */
const tables = fc
  .record({
    scales: fc.integer({ min: 1, max: 5 }),
    qualities: fc.integer({ min: 1, max: 12 }),
    seeds: fc.array(fc.nat({ max: 60 }), { minLength: 60, maxLength: 60 }),
    worth: fc.array(fc.nat({ max: 9 }), { minLength: 60, maxLength: 60 }),
  })
  .map(({ scales, qualities, seeds, worth }) => {
    let least = 40;
    return Array.from({ length: scales }, (_, s) => {
      least += seeds[s] ?? 0;
      let [bytes, psnr] = [least, worth[s] ?? 0];
      return Array.from({ length: qualities }, (_, q) => {
        if (q > 0) {
          bytes += seeds[s * 12 + q] ?? 0;
          psnr += worth[s * 12 + q] ?? 0;
        }
        return { bytes, psnr };
      });
    });
  });

describe('the search for the best file within some bytes', () => {
  it('finds what trying every size and quality finds', async () => {
    await fc.assert(
      fc.asyncProperty(tables, fc.integer({ min: 0, max: 700 }), async (table, limit) => {
        const at = ({ scale, quality }: Encoding) => {
          const file = table[scale]?.[quality];
          if (file === undefined) throw new Error('there is no such file');
          return file;
        };
        const found = await bestWithin(
          limit,
          { bytes: async (encoding) => at(encoding).bytes, psnr: async (encoding) => at(encoding).psnr },
          [...table.keys()],
          [...(table[0] ?? []).keys()],
        );
        const fitting = table.flat().filter(({ bytes }) => bytes <= limit);
        if (fitting.length === 0) expect(found).toBeUndefined();
        else {
          if (found === undefined) throw new Error('nothing was found');
          expect(at(found).bytes).toBeLessThanOrEqual(limit);
          expect(at(found).psnr).toBe(Math.max(...fitting.map(({ psnr }) => psnr)));
        }
      }),
      { seed: 6, numRuns: 400 },
    );
  });

  it('makes few files: a bisection for every size that fits, one for the first that does not', async () => {
    const made = new Set<string>();
    const bytes = async ({ scale, quality }: Encoding) => {
      made.add(`${scale} ${quality}`);
      return 100 * scale + quality;
    };
    const psnr = async ({ scale }: Encoding) => scale;
    expect(await bestWithin(250, { bytes, psnr }, [1, 2, 3, 4])).toEqual({ scale: 2, quality: 50 });
    expect(made.size).toBeLessThanOrEqual(2 * 8 + 1);
    expect([...made].some((name) => name.startsWith('4'))).toBe(false);
  });

  it('takes a file without loss for the best', async () => {
    const psnr = async ({ quality }: Encoding) => (quality === 1 ? 30 : Infinity);
    expect(await bestWithin(9, { bytes: async () => 9, psnr }, [1], [1, 2])).toEqual({ scale: 1, quality: 2 });
  });
});

describe('the size of a stream', () => {
  it('is whole bytes, and bits for each pixel', () => {
    expect(bytesOf({ payloadBits: 876, maskBits: 4 })).toBe(110);
    expect(bytesOf({ payloadBits: 876, maskBits: 4.001 })).toBe(111);
    // As sums of logarithms are.
    expect(bytesOf({ payloadBits: 880, maskBits: 1e-13 })).toBe(110);
    expect(bitsPerPixel({ payloadBits: 1300, maskBits: 11 }, { width: 256, height: 256 })).toBeCloseTo(0.02, 4);
    expect([0, 0.020004, 1 / 3, 12.5].map(bitsPerPixelText)).toEqual(['0', '0.02', '0.333', '12.5']);
  });

  it('that no file has is told with the smallest there is', () => {
    expect(noneWithin({ limitBytes: 173, smallest: { bytes: 322, containerBytes: 296 } })).toBe(
      'none ≤ 173 bytes (smallest 322, 296 of them container)',
    );
  });

  it('of a curve goes from the least to the most, each once', () => {
    expect(anchorLimits(100, 1600, 5)).toEqual([100, 200, 400, 800, 1600]);
    expect(anchorLimits(3, 3)).toEqual([3]);
    expect(anchorLimits(0, 1)).toEqual([1]);
  });
});
