/**
 * FSQ levels of a code: c = Σ_d level_d · Π_{j<d} L_j, dimension 0 fastest.
 * @param levels L_d, product V.
 */
export function codeLevels(code: number, levels: readonly number[]): number[] {
  let rest = code;
  return levels.map((count) => {
    const level = rest % count;
    rest = (rest - level) / count;
    return level;
  });
}
