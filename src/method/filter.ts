/**
 * Dynamic Token Filtering (DTF), pure: no node, no vscode, bundled into the webview too.
 *
 * Given ĥ (bits per patch), ε, β and a budget B: order the patches by ascending priority p_i = ĥ_i + β·e_i (π), drop the
 * longest prefix of π whose true bits sum to at most ε·B. The order uses β, the constraint does not, and the sets nest: a
 * larger ε drops a superset.
 */
import type { Grid, ModelDescription, Ranking, TileLayout } from './types';

/** Which patches stay under one ε. */
export interface Selection {
  /** N values, of patches or of a sequence's tokens: 1 = kept (S), 0 = dropped (D). */
  readonly keep: Uint8Array;
  /** |S|. */
  readonly keptTokens: number;
  /** B in bits. */
  readonly budgetBits: number;
  /** Σ_{i∈D} ĥ_i in bits, at most ε·B. */
  readonly lostBits: number;
}

/**
 * Tie-break: the rank, in [0, N), of every cell in the recursive checkerboard (Bayer's ordered dither) order, in raster order.
 *
 * Any prefix of that order is spread evenly over the grid, where raster order would clump.
 */
export function checkerboardRank(grid: Grid): Uint32Array {
  const values = ditherMatrix(grid);
  const rank = new Uint32Array(values.length);
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => at(values, a) - at(values, b));
  order.forEach((cell, position) => (rank[cell] = position));
  return rank;
}

/** Bayer's threshold matrix of the smallest power-of-two square that covers the grid, cut to the grid: distinct values. */
function ditherMatrix({ rows, columns }: Grid): Float64Array {
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let value = 0;
      for (let size = 1; size < Math.max(rows, columns); size *= 2) {
        const low = Math.floor(row / size) % 2;
        const right = Math.floor(column / size) % 2;
        // One 2×2 step of the recursion, [[0, 2], [3, 1]]; the finest step weighs most, so neighbours are far apart.
        value = value * 4 + (low ? (right ? 1 : 3) : right ? 2 : 0);
      }
      values[row * columns + column] = value;
    }
  }
  return values;
}

/** e_i: 1 on the outer ring of the grid, else 0, in raster order. */
export function edgePatches(grid: Grid): Uint8Array {
  return Uint8Array.from({ length: grid.rows * grid.columns }, (_, patch) => Number(isEdgePatch(patch, grid)));
}

/** True if a patch lies on the outer ring of the grid. */
export function isEdgePatch(patch: number, { rows, columns }: Grid): boolean {
  const row = Math.floor(patch / columns);
  const column = patch % columns;
  return row === 0 || row === rows - 1 || column === 0 || column === columns - 1;
}

/**
 * π and its cumulative conditional entropy. Depends on ĥ, the grid and β, not on ε.
 *
 * @param entropyBits ĥ, N non-negative values in bits.
 * @param among only these patches take part (a sequential ranking takes the hidden ones); all when absent.
 * @param weights N factors of ĥ in the priority; the bits that are summed stay true ones. 1 when absent.
 * @throws RangeError when there is not one entropy per cell.
 */
export function rankPatches(
  entropyBits: Float32Array | Float64Array,
  grid: Grid,
  edgePriority: number,
  among?: (patch: number) => boolean,
  weights?: Float32Array | Float64Array,
): Ranking {
  const patches = grid.rows * grid.columns;
  if (entropyBits.length !== patches) {
    throw new RangeError(`${entropyBits.length} entropies do not fill a grid of ${grid.rows}×${grid.columns} patches`);
  }
  const edge = edgePatches(grid);
  const rank = checkerboardRank(grid);
  const priority = Float64Array.from(entropyBits, (bits, i) => (weights?.[i] ?? 1) * bits + edgePriority * at(edge, i));
  const order = Uint32Array.from(priority.keys())
    .filter((i) => among?.(i) ?? true)
    .sort((a, b) => at(priority, a) - at(priority, b) || at(rank, a) - at(rank, b));
  const cumulativeBits = new Float64Array(order.length + 1);
  order.forEach((patch, m) => (cumulativeBits[m + 1] = at(cumulativeBits, m) + at(entropyBits, patch)));
  const priorities = { priority, givenBits: Float64Array.from(entropyBits), round: new Uint8Array(patches) };
  return { order, cumulativeBits, totalBits: at(cumulativeBits, order.length), priorities };
}

/**
 * m*, the length of the dropped prefix of π: the largest m with Σ_{j≤m} ĥ_π(j) ≤ ε·B. O(log N).
 *
 * ε = 0 keeps everything, even patches whose entropy is exactly 0. `budgetBits` null is the image budget B = Σĥ, the end of the
 * same cumulative sum, so that ε = 1 drops everything whatever the rounding.
 */
export function droppedPrefix(ranking: Ranking, lossRate: number, budgetBits: number | null): number {
  if (!(lossRate > 0)) return 0;
  const allowance = lossRate * (budgetBits ?? ranking.totalBits);
  return firstWhere(1, ranking.order.length + 1, (dropped) => at(ranking.cumulativeBits, dropped) > allowance) - 1;
}

/** The least whole number in [first, last] that a condition holds for; it holds for all that are greater, and is taken to for `last`. */
export function firstWhere(first: number, last: number, holds: (value: number) => boolean): number {
  let [low, high] = [first, last];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Kept and dropped patches under ε. One binary search and one pass over the mask: cheap enough for every slider event. */
export function selectKept(ranking: Ranking, lossRate: number, budgetBits: number | null): Selection {
  const dropped = droppedPrefix(ranking, lossRate, budgetBits);
  const keep = new Uint8Array(ranking.order.length).fill(1);
  for (let m = 0; m < dropped; m++) keep[at(ranking.order, m)] = 0;
  return {
    keep,
    keptTokens: keep.length - dropped,
    budgetBits: budgetBits ?? ranking.totalBits,
    lostBits: at(ranking.cumulativeBits, dropped),
  };
}

/** Every one of some patch tokens: what a model without an entropy model is left with. */
export function keepEvery(patchTokens: number): Selection {
  return { keep: new Uint8Array(patchTokens).fill(1), keptTokens: patchTokens, budgetBits: 0, lostBits: 0 };
}

/** Place of every patch in the order of keeping, 1 = dropped last, from π. */
export function keepRanks(order: Uint32Array): Uint32Array {
  const rank = new Uint32Array(order.length);
  order.forEach((patch, position) => (rank[patch] = order.length - position));
  return rank;
}

/** Bits of every patch and of all that are dropped before it, N values in raster order: what ε·B must hold for it to be dropped. */
export function lostWith({ order, cumulativeBits }: Ranking): Float64Array {
  const lost = new Float64Array(order.length);
  order.forEach((patch, position) => (lost[patch] = at(cumulativeBits, position + 1)));
  return lost;
}

/**
 * B of the reference budget, bits: the model's reference per patch, for as many patches as the picture has; of a model without patch
 * tokens its mean per model image.
 */
export function referenceBudget(
  model: Pick<ModelDescription, 'grid' | 'patchTokens' | 'referenceBudgetBits'>,
  { grid, tiles }: TileLayout,
): number {
  if (model.patchTokens === 0) return model.referenceBudgetBits * tiles.rows * tiles.columns;
  return (model.referenceBudgetBits * (grid.rows * grid.columns)) / (model.grid.rows * model.grid.columns);
}

/** Bits that transmitting the kept mask costs: log2 C(N, k), as an exact sum of logarithms. */
export function maskBits(patches: number, kept: number): number {
  let bits = 0;
  for (let i = 1; i <= Math.min(kept, patches - kept); i++) bits += Math.log2((patches - i + 1) / i);
  return bits;
}

/** Checked read: an index outside the array is a programming error, not a missing value. */
function at(values: ArrayLike<number>, index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError(`index ${index} outside ${values.length} values`);
  return value;
}
