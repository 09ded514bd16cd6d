import type { FilterSettings, Ranking } from '../../src/method/types';
import { droppedPrefix } from '../../src/method/filter';
import { roundsOf } from '../../src/method/sequential';
import { filterKeys } from '../../src/method/settings';

/** ε moves in these steps, by slider, number field and the line of the curve. */
export const lossRateStep = 0.005;

export function equalSettings(a: FilterSettings, b: FilterSettings): boolean {
  return filterKeys.every((key) => key === 'rankingRounds' || a[key] === b[key]) && roundsOf(a) === roundsOf(b);
}

/** The nearest ε that the controls can show, in [0, 1]. */
export function snapLossRate(value: number): number {
  const steps = Math.round(1 / lossRateStep);
  return Math.min(steps, Math.max(0, Math.round(value * steps))) / steps;
}

/**
 * The ε at which a rate–distortion curve is measured: as good as evenly spaced in tokens (so denser in ε where tokens change
 * fast), each an ε that the slider can show, no two with the same kept set. Ends first, then halves, quarters, …: the shape
 * is seen early.
 *
 * @param budgetBits B; null is the image's own Σĥ.
 */
export function lossRateGrid(ranking: Ranking, budgetBits: number | null, points = 17): number[] {
  const budget = budgetBits ?? ranking.totalBits;
  const most = droppedPrefix(ranking, 1, budgetBits);
  const byDropped = new Map<number, number>();
  for (const share of coarseToFine(points)) {
    const bits = ranking.cumulativeBits[Math.round(most * share)] ?? 0;
    // Up to the next step of the slider; a hair's breadth above a step is rounding.
    const steps = budget === 0 ? 0 : Math.max(0, Math.ceil(bits / budget / lossRateStep - 1e-9));
    const lossRate = Math.min(1, steps / Math.round(1 / lossRateStep));
    const dropped = droppedPrefix(ranking, lossRate, budgetBits);
    if (!byDropped.has(dropped)) byDropped.set(dropped, lossRate);
  }
  return [...byDropped.values()];
}

/** `points` shares of [0, 1], evenly spaced: 0, 1, 1/2, 1/4, 3/4, … */
function coarseToFine(points: number): number[] {
  const last = points - 1;
  const order = new Set([0, last]);
  for (let step = 2 ** Math.ceil(Math.log2(Math.max(1, last))); step >= 1; step /= 2) {
    for (let i = 0; i < last; i += step) order.add(i);
  }
  return [...order].map((i) => i / Math.max(1, last));
}
