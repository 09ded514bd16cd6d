import { describe, expect, it } from 'vitest';
import { QualityMeter } from '../../../src/engine/metrics';

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

describe('SSIM and PSNR', () => {
  // structural_similarity(luma(a), luma(b), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
  // of scikit-image 0.26 on 8-bit BT.601 luma.
  it.each([
    { width: 64, height: 48, expected: { ssim: 0.343273, psnr: 19.589312076 } },
    { width: 400, height: 420, expected: { ssim: 0.24615, psnr: 19.557043175 } },
  ])('agree with scikit-image at $width×$height', ({ width, height, expected }) => {
    const [a, b] = imagePair(width, height);
    const quality = new QualityMeter(width).add(a, b);
    expect(quality.ssim).toBeCloseTo(expected.ssim, 4);
    expect(quality.psnr).toBeCloseTo(expected.psnr, 6);
  });

  it('are 1 and infinite for identical images', () => {
    const [a] = imagePair(32, 32);
    const quality = new QualityMeter(32).add(a, a.slice());
    expect(quality.ssim).toBeCloseTo(1, 6);
    expect(quality.psnr).toBeNull();
  });

  it('refuse pictures of different sizes', () => {
    expect(() => new QualityMeter(1).add(new Uint8Array(3), new Uint8Array(6))).toThrow(RangeError);
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
    const whole = new QualityMeter(width).add(a, b);
    expect(meter.psnr).toBeCloseTo(whole.psnr ?? NaN, 12);
    expect(meter.ssim).toBeCloseTo(whole.ssim ?? NaN, 12);
  });

  it.each([
    [10, 40],
    [40, 10],
  ])('have no SSIM of pictures smaller than its window: %i×%i', (width, height) => {
    const [a, b] = imagePair(width, height);
    const { psnr, ssim } = new QualityMeter(width).add(a, b);
    expect(ssim).toBeNull();
    expect(psnr).toBeGreaterThan(10);
  });
});
