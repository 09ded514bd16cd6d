import { describe, expect, it } from 'vitest';
import { psnr, QualityMeter, ssim } from '../../../src/tokenizer/metrics';

/** A ramp under noise, and the same with less contrast and other noise: bytes that NumPy computes alike. */
function imagePair(width: number, height: number): [Uint8Array, Uint8Array] {
  const length = width * height * 3;
  const [first, second] = [noise(length, 1), noise(length, 2)];
  const ramp = (i: number) => Math.floor(((Math.floor(i / 3) % width) * 200) / width);
  return [
    first.map((byte, i) => ramp(i) + Math.floor(byte / 8)),
    second.map((byte, i) => Math.floor((ramp(i) * 3) / 4) + Math.floor(byte / 4)),
  ];
}

/** The high bytes of the linear congruential generator of Numerical Recipes. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

describe('ssim and psnr', () => {
  // structural_similarity(luma(a), luma(b), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
  // of scikit-image 0.26 on 8-bit BT.601 luma.
  it.each([
    { width: 64, height: 48, expected: { ssim: 0.343273, psnr: 19.589312076 } },
    { width: 400, height: 420, expected: { ssim: 0.24615, psnr: 19.557043175 } },
  ])('agree with scikit-image at $width×$height', ({ width, height, expected }) => {
    const [a, b] = imagePair(width, height);
    expect(ssim(a, b, width, height)).toBeCloseTo(expected.ssim, 4);
    expect(psnr(a, b)).toBeCloseTo(expected.psnr, 6);
  });

  it('are 1 and infinite for identical images', () => {
    const [a] = imagePair(32, 32);
    expect(ssim(a, a.slice(), 32, 32)).toBeCloseTo(1, 6);
    expect(psnr(a, a.slice())).toBe(Infinity);
  });

  it('refuse images of different sizes or without room for one window', () => {
    expect(() => psnr(new Uint8Array(3), new Uint8Array(6))).toThrow(RangeError);
    expect(() => ssim(new Uint8Array(300), new Uint8Array(300), 10, 10)).toThrow(RangeError);
    expect(() => ssim(new Uint8Array(768), new Uint8Array(768), 15, 16)).toThrow(RangeError);
  });

  it('are the same of strips of any heights', () => {
    const [width, height] = [40, 60];
    const [a, b] = imagePair(width, height);
    const meter = new QualityMeter(width);
    let top = 0;
    for (const rows of [5, 30, 1, 24]) {
      const strip = [top * width * 3, (top + rows) * width * 3] as const;
      meter.add(a.subarray(...strip), b.subarray(...strip));
      top += rows;
    }
    expect(meter.psnr).toBeCloseTo(psnr(a, b), 12);
    expect(meter.ssim).toBeCloseTo(ssim(a, b, width, height), 12);
  });

  it('have no SSIM of pictures smaller than its window', () => {
    const [a, b] = imagePair(8, 40);
    expect(new QualityMeter(8).add(a, b).ssim).toBeNaN();
  });
});
