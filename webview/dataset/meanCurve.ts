/** Mean rate and distortion over images, with their spread. */
import { mean, quantile } from 'd3-array';
import type { CurvePoint, ImageCurve } from '../../src/protocol/dataset';

export interface MeanPoint {
  readonly lossRate: number;
  /** Images with a PSNR: identical pictures have none. */
  readonly images: number;
  /** Means over these images; PSNR in dB. */
  readonly tokens: number;
  readonly bits: number;
  readonly psnr: number;
  /** 10th and 90th percentile of PSNR over images, linear between them. */
  readonly low: number;
  readonly high: number;
}

/** Means over curves at each ε that all of them have, in ascending order of the rate. */
export function meanCurve(curves: readonly ImageCurve[]): MeanPoint[] {
  const byRate = new Map<number, (CurvePoint & { readonly psnr: number })[]>();
  for (const { points } of curves) {
    for (const point of points) {
      const { psnr } = point;
      if (psnr === null) continue;
      const known = byRate.get(point.lossRate) ?? [];
      byRate.set(point.lossRate, [...known, { ...point, psnr }]);
    }
  }
  return [...byRate]
    .map(([lossRate, points]) => {
      const psnr = points.map((point) => point.psnr);
      return {
        lossRate,
        images: points.length,
        tokens: mean(points, ({ tokens }) => tokens) ?? NaN,
        bits: mean(points, ({ bits }) => bits) ?? NaN,
        psnr: mean(psnr) ?? NaN,
        low: quantile(psnr, 0.1) ?? NaN,
        high: quantile(psnr, 0.9) ?? NaN,
      };
    })
    .sort((a, b) => a.tokens - b.tokens);
}
