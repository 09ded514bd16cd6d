/**
 * Backward elimination: the order of dropping where a token's entropy is that given the other tokens, which start visible. Python's
 * `tatok.elimination` holds the same.
 *
 * A frozen tokenizer has no tokens that every estimate is given: with nothing visible each picture has the same entropies, and a ranking that
 * reveals tokens from there is no better than chance.
 */
import { rankPatches } from './filter';
import type { Grid, Ranking } from './types';

/** Passes of the model that estimate every token given the others, each a quarter of them. */
export const parts = 4;

/** ĥ of every token given the visible ones (1), N values in bits; those of visible tokens are not read. */
export type EstimateGiven = (visible: Uint8Array) => Promise<Float32Array>;

/**
 * Which of the four parts each token is estimated with, in raster order: cells of a 2×2 checkerboard, every fourth of a row. Tokens of one
 * part are estimated together, without each other. No two of them are neighbours, which tell most of each other.
 */
export function quarters({ rows, columns }: Grid): Uint8Array {
  return Uint8Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return rows === 1 ? column % 4 : 2 * (row % 2) + (column % 2);
  });
}

/** The visible tokens of each of the four passes: `visible` without those of a part. */
export function withoutQuarters(visible: Uint8Array, grid: Grid): Uint8Array[] {
  const part = quarters(grid);
  return Array.from({ length: parts }, (_, own) => visible.map((seen, i) => Number(seen === 1 && part[i] !== own)));
}

/** Tokens still kept after each round, ⌈N·((R − r)/R)²⌉: large steps first, where what is left tells most of what goes. */
export function keptCounts(tokens: number, rounds: number): number[] {
  return Array.from({ length: rounds }, (_, r) => Math.ceil((tokens * (rounds - r - 1) ** 2) / rounds ** 2));
}

/** Passes of the model that {@link eliminate} takes. */
export function eliminationPasses(rounds: number): number {
  return parts * (rounds - 1) + rounds;
}

/**
 * Drops tokens in R = `rounds`, those first that the others tell most of: the least H(z_i | the other visible tokens) + β·e_i.
 *
 * π is the order of dropping. The bits that m dropped tokens lose are Σ H(z_i | Z_S) over them, given the tokens S that are left when their
 * round ends, fewer than are left at m: a bound on H(Z_D | Z_S) from above. A token beside one that goes in the same round waits, see
 * {@link apart}. The running minimum from the end makes kept sets nest in ε, as in `rankSequentially`.
 *
 * @param first H(z_i | all other tokens), N values in bits.
 */
export async function eliminate(
  first: Float32Array,
  estimate: EstimateGiven,
  grid: Grid,
  edgePriority: number,
  rounds: number,
): Promise<Ranking> {
  const tokens = first.length;
  const visible = new Uint8Array(tokens).fill(1);
  const order = new Uint32Array(tokens);
  const cumulativeBits = new Float64Array(tokens + 1);
  const priorities = {
    priority: new Float64Array(tokens),
    givenBits: new Float64Array(tokens),
    round: new Uint8Array(tokens),
  };
  let dropped = 0;
  for (const [round, left] of keptCounts(tokens, rounds).entries()) {
    const bits = dropped === 0 ? first : await givenOthers(estimate, visible, grid);
    const among = rankPatches(bits, grid, edgePriority, (token) => visible[token] === 1);
    const goes = apart(among.order, tokens - dropped - left, grid);
    order.set(goes, dropped);
    for (const token of goes) {
      visible[token] = 0;
      priorities.priority[token] = among.priorities?.priority[token] ?? 0;
      priorities.givenBits[token] = bits[token] ?? 0;
      // What goes first is kept shortest.
      priorities.round[token] = rounds - 1 - round;
    }
    const before = dropped;
    dropped += goes.length;
    const givenLeft = await estimate(visible.slice());
    let lost = 0;
    for (let m = 0; m < dropped; m++) {
      lost += givenLeft[order[m] ?? 0] ?? 0;
      if (m >= before) cumulativeBits[m + 1] = lost;
    }
  }
  let least = Infinity;
  for (let m = tokens; m >= 0; m--) {
    least = Math.min(least, cumulativeBits[m] ?? 0);
    cumulativeBits[m] = least;
  }
  return { order, cumulativeBits, totalBits: cumulativeBits[tokens] ?? 0, priorities };
}

/** H(z_i | the other visible tokens) of every visible token, in four passes. */
async function givenOthers(estimate: EstimateGiven, visible: Uint8Array, grid: Grid): Promise<Float32Array> {
  const part = quarters(grid);
  const bits = new Float32Array(visible.length);
  for (const [own, mask] of withoutQuarters(visible, grid).entries()) {
    const given = await estimate(mask);
    given.forEach((value, i) => {
      if (part[i] === own) bits[i] = value;
    });
  }
  return bits;
}

/**
 * The first `count` tokens of `order`, those left out that lie beside an earlier one, until no others are left. Two neighbours tell of each
 * other: either can go, but after one has gone the other is not what it was estimated to be.
 */
function apart(order: Uint32Array, count: number, { rows, columns }: Grid): number[] {
  const taken = new Uint8Array(rows * columns);
  const chosen: number[] = [];
  const waiting: number[] = [];
  for (const token of order) {
    const [row, column] = [Math.floor(token / columns), token % columns];
    const beside =
      (row > 0 && taken[token - columns] === 1) ||
      (row + 1 < rows && taken[token + columns] === 1) ||
      (column > 0 && taken[token - 1] === 1) ||
      (column + 1 < columns && taken[token + 1] === 1);
    if (beside) waiting.push(token);
    else {
      taken[token] = 1;
      chosen.push(token);
    }
  }
  return [...chosen, ...waiting].slice(0, count);
}
