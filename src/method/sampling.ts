/**
 * Sampling codes from q(z_i | G, Z_S) of an entropy model whose output factorises over the dimensions of finite scalar quantisation,
 * q(z_i) = Π_d q_d(level). Its graph gives the surprisal of one code alone, and that is enough: codes that differ in one level have
 * surprisals that differ by log2 of the ratio of that level's probabilities. Pure.
 */
import { TatokError } from './errors';

/**
 * Codes whose surprisals tell every q_d: that of the lowest levels, then each that differs from it in one level, dimension after dimension:
 * 1 + Σ_d (L_d − 1) codes.
 *
 * @param levels L_d; dimension 0 varies fastest.
 */
export function probingCodes(levels: readonly number[]): number[] {
  const codes = [0];
  let stride = 1;
  for (const count of levels) {
    for (let level = 1; level < count; level++) codes.push(level * stride);
    stride *= count;
  }
  return codes;
}

/** Bits by which surprisals of a factorised q may miss each other: half precision in a graph of many layers. */
const tolerance = 0.5;

/**
 * q_d of one token, a list of L_d probabilities for each dimension.
 *
 * @param surprisalBits −log2 q(z) of {@link probingCodes}, in their order.
 * @throws TatokError bad-settings for surprisals that no factorised q has.
 */
export function levelProbabilities(surprisalBits: ArrayLike<number>, levels: readonly number[]): number[][] {
  const lowest = surprisalBits[0] ?? NaN;
  let next = 1;
  const ratios = levels.map((count) => [
    1,
    ...Array.from({ length: count - 1 }, () => 2 ** (lowest - (surprisalBits[next++] ?? NaN))),
  ]);
  const sums = ratios.map((each) => each.reduce((sum, ratio) => sum + ratio, 0));
  // −log2 q of the lowest levels, as it follows from what the others are relative to it.
  const followed = sums.reduce((bits, sum) => bits + Math.log2(sum), 0);
  if (!(Math.abs(followed - lowest) <= tolerance)) {
    throw new TatokError(
      'bad-settings',
      'Codes cannot be sampled: the entropy model of this tokenizer does not treat the levels of a code independently.',
    );
  }
  return ratios.map((each, d) => each.map((ratio) => ratio / (sums[d] ?? 1)));
}

/**
 * A code drawn from Π_d q_d by inversion, dimension after dimension.
 *
 * @param probabilities those of {@link levelProbabilities}.
 * @param uniform a number in [0, 1), asked once for each dimension.
 */
export function drawCode(probabilities: readonly (readonly number[])[], uniform: () => number): number {
  let [code, stride] = [0, 1];
  for (const each of probabilities) {
    let rest = uniform();
    // Rounding may leave a little at the end: the last level that has any probability.
    let level = each.findLastIndex((probability) => probability > 0);
    for (const [i, probability] of each.entries()) {
      rest -= probability;
      if (rest >= 0) continue;
      level = i;
      break;
    }
    code += level * stride;
    stride *= each.length;
  }
  return code;
}
