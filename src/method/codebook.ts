/**
 * Finite scalar quantisation (Mentzer et al. 2023): a code is one level per dimension, dimension 0 varying fastest,
 * c = Σ_d level_d · Π_{j<d} L_j.
 */

/** V = Π L_d. */
export function codebookSize(levels: readonly number[]): number {
  return levels.reduce((size, count) => size * count, 1);
}

/** Levels of a code, one per dimension. @throws RangeError for a code outside [0, V). */
export function codeLevels(code: number, levels: readonly number[]): number[] {
  if (!Number.isInteger(code) || code < 0 || code >= codebookSize(levels)) {
    throw new RangeError(`code ${code} is not in [0, ${codebookSize(levels)})`);
  }
  let rest = code;
  return levels.map((count) => {
    const level = rest % count;
    rest = (rest - level) / count;
    return level;
  });
}
