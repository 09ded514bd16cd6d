/** Sequential ranking: ĥ re-estimated given G and Z_S as the highest-priority patches are revealed. */
import { rankPatches } from './filter';
import type { FilterSettings, Grid, ModelDescription, Ranking, RankingCriterion } from './types';

/** True if patches are ranked by revealing them in rounds, and dropped ones filled given what is kept. */
export function isSequential(criterion: RankingCriterion): boolean {
  return criterion !== 'entropy';
}

/**
 * The criterion that a model ranks by when another is asked for. Entropies given the other tokens are estimated anew as tokens are dropped:
 * an order that takes them all at once is no better than chance, since neighbours that tell of each other go together.
 */
export function criterionOf(
  { givenOthers }: Pick<ModelDescription, 'givenOthers'>,
  asked: RankingCriterion,
): RankingCriterion {
  return givenOthers ? 'sequential' : asked;
}

/** Rounds by default. A round by distortion takes a decoding more than one of ĥ alone: `models/benchmarks/rankings.md`. */
const defaultRounds: Readonly<Record<RankingCriterion, number>> = { entropy: 1, sequential: 8, distortion: 2 };

/** The greatest R that settings may ask for. */
export const mostRounds = 64;

/** R: the rounds of a ranking under some settings; 1 where the criterion knows no rounds. */
export function roundsOf({ ranking, rankingRounds }: Pick<FilterSettings, 'ranking' | 'rankingRounds'>): number {
  return isSequential(ranking) ? (rankingRounds ?? defaultRounds[ranking]) : defaultRounds[ranking];
}

/**
 * Patches still hidden after each round, N − ⌈N·(r/R)²⌉: small steps first, where a revealed patch tells most of the others.
 * Two rounds reveal N/16 first and not N/4, for the same reason.
 */
export function hiddenCounts(patches: number, rounds: number): number[] {
  const power = rounds === 2 ? 4 : 2;
  return Array.from({ length: rounds }, (_, round) => patches - Math.ceil(patches * ((round + 1) / rounds) ** power));
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
 * @param rounds R; 1 ranks by `first` alone.
 * @param weigh w_i, N factors of ĥ_i in the priority d_i·w_i·ĥ_i + β·e_i; the bits lost stay true ones. Asked after `estimate`. d_i is below 1
 *   beside a patch of more worth, see `dampBesideBetter`.
 */
export async function rankSequentially(
  first: Float32Array,
  estimate: (visible: Uint8Array) => Promise<Float32Array>,
  grid: Grid,
  edgePriority: number,
  rounds: number,
  weigh?: (visible: Uint8Array) => Promise<Float64Array>,
): Promise<Ranking> {
  const patches = first.length;
  const visible = new Uint8Array(patches);
  const order = new Uint32Array(patches);
  const cumulativeBits = new Float64Array(patches + 1);
  const priorities = {
    priority: new Float64Array(patches),
    givenBits: new Float64Array(patches),
    round: new Uint8Array(patches),
  };
  let entropyBits = first;
  for (const [round, left] of hiddenCounts(patches, rounds).entries()) {
    if (visible.includes(1)) entropyBits = await estimate(visible.slice());
    const weights = await weigh?.(visible.slice());
    const damped = weights && dampBesideBetter(weights, entropyBits, grid, visible);
    const hidden = rankPatches(entropyBits, grid, edgePriority, (patch) => visible[patch] === 0, damped);
    const revealed = hidden.order.subarray(left);
    order.set(revealed, left);
    cumulativeBits.set(hidden.cumulativeBits.subarray(left + 1), left + 1);
    for (const patch of revealed) {
      visible[patch] = 1;
      priorities.priority[patch] = hidden.priorities?.priority[patch] ?? 0;
      priorities.givenBits[patch] = entropyBits[patch] ?? 0;
      priorities.round[patch] = round;
    }
  }
  let least = Infinity;
  for (let m = patches; m >= 0; m--) {
    least = Math.min(least, cumulativeBits[m] ?? 0);
    cumulativeBits[m] = least;
  }
  return { order, cumulativeBits, totalBits: cumulativeBits[patches] ?? 0, priorities };
}

/**
 * 10·log10(D / D⁰) of every patch, dB: by how much its own error falls when it is kept. Infinite where nothing is left of it, 0 where keeping
 * it changes nothing or for the worse.
 *
 * @param errors D, @param floor D⁰, as {@link distortionWeights} takes them.
 */
export function savedDecibels(errors: Float32Array, floor: Float32Array): Float64Array {
  return Float64Array.from(errors, (error, i) => {
    const least = floor[i] ?? 0;
    return error <= least ? 0 : 10 * Math.log10(error / least);
  });
}

/** Steps to the eight neighbours of a patch, with the share κ of its worth that a better one there takes. */
const neighbours = [-1, 0, 1]
  .flatMap((down) => [-1, 0, 1].map((across) => ({ down, across, share: down === 0 || across === 0 ? 0.3 : 0.15 })))
  .filter(({ down, across }) => down !== 0 || across !== 0);

/**
 * w_i·Π (1 − κ_j) over the hidden neighbours j that are worth more, w_j·ĥ_j > w_i·ĥ_i: what a patch shows tells something of the next one,
 * of which a round that reveals both at once does not know yet. κ is 0.3 beside and 0.15 at a corner: on photographs two rounds choose
 * with it 0.1 dB better at equal tokens (`models/benchmarks/rankings.md`).
 */
function dampBesideBetter(
  weights: Float64Array,
  entropyBits: Float32Array,
  grid: Grid,
  visible: Uint8Array,
): Float64Array {
  const { rows, columns } = grid;
  const worth = weights.map((weight, i) => (visible[i] === 1 ? -1 : weight * (entropyBits[i] ?? 0)));
  return weights.map((weight, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    let left = 1;
    for (const { down, across, share } of neighbours) {
      const inside = row + down >= 0 && row + down < rows && column + across >= 0 && column + across < columns;
      if (inside && (worth[i + down * columns + across] ?? 0) > (worth[i] ?? 0)) left *= 1 - share;
    }
    return weight * left;
  });
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
