import type { FilterSettings, ModelDescription, Ranking, TileLayout } from '../../src/method/types';
import { droppedPrefix, firstWhere } from '../../src/method/filter';
import { costOf } from '../../src/method/streams';
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

/** The least ε that leaves so many tokens or fewer. */
export interface TokenMark {
  readonly tokens: number;
  readonly lossRate: number;
}

/** Multiples of smaller powers of two are no rounder than others. */
const leastRound = 8;

/**
 * Round numbers of tokens along the axis of ε, as many as have room: first the ends, then multiples of ever smaller powers of two.
 *
 * @param sampled the ranking, or the steps of a prefix.
 * @param budgetBits B; null is the image's own Σĥ.
 * @param apart the least distance of two marks, as a share of the axis.
 * @returns marks by ascending ε.
 */
export function tokenMarks(
  sampled: Ranking,
  budgetBits: number | null,
  model: Pick<ModelDescription, 'streams' | 'steps' | 'filters'>,
  { tiles }: Pick<TileLayout, 'tiles'>,
  apart: number,
): TokenMark[] {
  const { order, cumulativeBits, totalBits } = sampled;
  const budget = budgetBits ?? totalBits;
  const after = (dropped: number): number =>
    costOf(model, tiles, {
      keptTokens: order.length - dropped,
      length: model.filters ? model.steps.length : model.steps.length - dropped,
    }).totalTokens;
  const last = droppedPrefix(sampled, 1, budgetBits);
  const [most, least] = [after(0), after(last)];
  const marks: TokenMark[] = [{ tokens: most, lossRate: 0 }];
  if (budget === 0 || least === most) return marks;
  marks.push({ tokens: least, lossRate: 1 });
  for (let step = 2 ** Math.floor(Math.log2(most)); step >= leastRound && marks.length < 1 / apart; step /= 2) {
    for (let tokens = step * Math.ceil((least + 1) / step); tokens < most; tokens += step) {
      const dropped = firstWhere(0, last, (count) => after(count) <= tokens);
      const lossRate = (cumulativeBits[dropped] ?? 0) / budget;
      if (marks.every((mark) => Math.abs(mark.lossRate - lossRate) >= apart)) marks.push({ tokens, lossRate });
    }
  }
  return marks.sort((a, b) => a.lossRate - b.lossRate);
}
