import type { FilterSettings } from '../../src/method/types';

/** ε moves in these steps, by slider, number field and the line of the curve. */
export const lossRateStep = 0.005;

export function equalSettings(a: FilterSettings, b: FilterSettings): boolean {
  return (
    a.lossRate === b.lossRate && a.edgePriority === b.edgePriority && a.budget === b.budget && a.ranking === b.ranking
  );
}

/** The nearest ε that the controls can show, in [0, 1]. */
export function snapLossRate(value: number): number {
  const steps = Math.round(1 / lossRateStep);
  return Math.min(steps, Math.max(0, Math.round(value * steps))) / steps;
}
