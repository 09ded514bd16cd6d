import type { Grid, PatchRegion } from '../../src/method/types';

/** Values of one tile's patches on the whole grid, NaN elsewhere: tiles know nothing of each other. */
export function onGrid(values: Float32Array, region: PatchRegion, { rows, columns }: Grid): Float32Array {
  const whole = new Float32Array(rows * columns).fill(NaN);
  for (let row = 0; row < region.rows; row++) {
    const line = values.subarray(row * region.columns, (row + 1) * region.columns);
    whole.set(line, (region.row + row) * columns + region.column);
  }
  return whole;
}
