/** Statistics of repeated measurements. */
import { quantileSorted } from 'd3-array';

/** Milliseconds. */
export interface Spread {
  readonly least: number;
  readonly median: number;
  readonly p90: number;
  readonly most: number;
}

/** @param values at least one, in any order. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => quantileSorted(sorted, share) ?? NaN;
  return { least: at(0), median: at(0.5), p90: at(0.9), most: at(1) };
}

/** Runs something and tells how many milliseconds it took. */
export async function timed<Value>(run: () => Promise<Value>): Promise<{ value: Value; milliseconds: number }> {
  const start = performance.now();
  const value = await run();
  return { value, milliseconds: performance.now() - start };
}
