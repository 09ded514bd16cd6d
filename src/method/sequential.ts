/** Sequential ranking: ĥ re-estimated given G and Z_S as the highest-priority patches are revealed. */
import { rankPatches } from './filter';
import type { Grid, Ranking, RankingCriterion } from './types';

/** True if patches are ranked by revealing them in rounds, and dropped ones filled given what is kept. */
export function isSequential(criterion: RankingCriterion): boolean {
  return criterion !== 'entropy';
}

/** R: estimates for one ranking. */
export const sequentialRounds = 16;

/**
 * Patches still hidden after each round, N − ⌈N·(r/R)²⌉: small steps first, where a revealed patch tells most of the others.
 */
export function hiddenCounts(patches: number): number[] {
  return Array.from(
    { length: sequentialRounds },
    (_, round) => patches - Math.ceil((patches * (round + 1) ** 2) / sequentialRounds ** 2),
  );
}

/**
 * Ranks patches by revealing them in rounds, highest priority ĥ_i + β·e_i first, with ĥ re-estimated given G and Z_S.
 *
 * π is the reverse of the order of revelation, and the bits of m dropped patches are Σ_D ĥ of the m still hidden, given what
 * was visible when their round began. Filtering stops at the first point at which Σ_D ĥ ≤ ε·B; the running minimum from the
 * end makes a binary search find that point, so kept sets nest in ε here too.
 *
 * @param first ĥ given G alone, N values in bits.
 * @param estimate ĥ given G and Z_S; `visible` holds 1 for patches in S.
 * @param weigh w_i, N factors of ĥ_i in the priority w_i·ĥ_i + β·e_i; the bits lost stay true ones. Asked after `estimate`.
 */
export async function rankSequentially(
  first: Float32Array,
  estimate: (visible: Uint8Array) => Promise<Float32Array>,
  grid: Grid,
  edgePriority: number,
  weigh?: (visible: Uint8Array) => Promise<Float64Array>,
): Promise<Ranking> {
  const patches = first.length;
  const visible = new Uint8Array(patches);
  const order = new Uint32Array(patches);
  const cumulativeBits = new Float64Array(patches + 1);
  let entropyBits = first;
  for (const left of hiddenCounts(patches)) {
    if (visible.includes(1)) entropyBits = await estimate(visible.slice());
    const weights = await weigh?.(visible.slice());
    const hidden = rankPatches(entropyBits, grid, edgePriority, (patch) => visible[patch] === 0, weights);
    const revealed = hidden.order.subarray(left);
    order.set(revealed, left);
    cumulativeBits.set(hidden.cumulativeBits.subarray(left + 1), left + 1);
    for (const patch of revealed) visible[patch] = 1;
  }
  let least = Infinity;
  for (let m = patches; m >= 0; m--) {
    least = Math.min(least, cumulativeBits[m] ?? 0);
    cumulativeBits[m] = least;
  }
  return { order, cumulativeBits, totalBits: cumulativeBits[patches] ?? 0 };
}

/**
 * w_i = max(0, D_i − D⁰_i), scaled to a mean of 1 over the hidden patches so that the edge priority β stays in bits.
 *
 * The worth of a patch's bits: Dynamic Token Filtering counts how many bits a dropped patch loses, rate–distortion theory what error
 * those bits would have saved.
 *
 * ĥ_i is weighed by w_i, the squared error of patch i as it is decoded now, dropped and filled by its expectation, less what is left
 * with every patch kept; where the picture's edge cuts a patch, that of its part of the picture alone. Bits that decode to what the
 * expectation shows anyway weigh nothing; the sum of lost bits that ε bounds stays that of true bits. The original is needed for it, so a
 * receiver is sent the mask of kept patches, as with surprisal.
 *
 * @param errors D, sum of squared errors over the pixels of each patch with what is visible decoded as kept; N values.
 * @param floor D⁰, the same with every patch kept.
 * @param visible 1 for patches that are no longer ranked.
 */
export function distortionWeights(errors: Float32Array, floor: Float32Array, visible: Uint8Array): Float64Array {
  const saved = Float64Array.from(errors, (error, i) => Math.max(0, error - (floor[i] ?? 0)));
  let sum = 0;
  let hidden = 0;
  visible.forEach((seen, i) => {
    if (seen === 1) return;
    sum += saved[i] ?? 0;
    hidden++;
  });
  // Where nothing is saved anywhere, bits alone decide.
  return sum > 0 ? saved.map((each) => (each * hidden) / sum) : saved.fill(1);
}
