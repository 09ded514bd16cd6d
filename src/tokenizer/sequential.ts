/** Sequential conditioning: ĥ re-estimated given G and Z_S as the highest-priority patches are revealed. */
import { droppedPrefix, rankPatches, type FilterParameters, type Selection } from './filter';
import type { Grid } from './types';

/** R: by then the rounds have revealed everything that the estimates asked for. */
export const sequentialRounds = 8;

/** The kept set and the estimate, given what is kept, that it was settled on. */
export interface SequentialSelection<Estimate> extends Selection {
  readonly estimate: Estimate;
}

/**
 * Reveals patches in rounds until the hidden ones hold at most ε·B bits.
 *
 * Round r re-estimates ĥ given the visible patches, filters the hidden ones in one shot, and of the k patches that this would
 * keep reveals the ⌈k / max(1, R − r)⌉ of highest priority. The image budget is Σĥ of the first estimate.
 *
 * @param first the estimate with nothing visible.
 * @param estimate ĥ given G and Z_S: bits of N patches, 0 for visible ones. `visible` holds 1 for patches in S.
 */
export async function filterSequentially<Estimate extends { readonly entropyBits: Float32Array }>(
  first: Estimate,
  estimate: (visible: Uint8Array) => Promise<Estimate>,
  grid: Grid,
  { lossRate, edgePriority, budgetBits }: FilterParameters,
): Promise<SequentialSelection<Estimate>> {
  const budget = budgetBits ?? rankPatches(first.entropyBits, grid, edgePriority).totalBits;
  const visible = new Uint8Array(first.entropyBits.length);
  if (!(lossRate > 0)) {
    return { keep: visible.fill(1), keptTokens: visible.length, budgetBits: budget, lostBits: 0, estimate: first };
  }
  let current = first;
  for (let round = 0; ; round++) {
    const hidden = rankPatches(current.entropyBits, grid, edgePriority, (patch) => visible[patch] === 0);
    const kept = hidden.order.length - droppedPrefix(hidden, lossRate, budget);
    if (kept === 0) {
      const keptTokens = visible.length - hidden.order.length;
      return { keep: visible, keptTokens, budgetBits: budget, lostBits: hidden.totalBits, estimate: current };
    }
    const revealed = Math.ceil(kept / Math.max(1, sequentialRounds - round));
    for (const patch of hidden.order.subarray(-revealed)) visible[patch] = 1;
    current = await estimate(visible.slice());
  }
}
