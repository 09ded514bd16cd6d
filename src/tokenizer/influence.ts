/**
 * Causal influence of a global token: how much the picture changes where that token is another code.
 *
 * Attention says where a token looked; influence says what depends on it. g_k is replaced by each of
 * {@link replacements} codes, the entropy model expects dropped patches anew given the changed G (as a receiver would), the same
 * patches stay kept, and the change of the decoded pixels is averaged in the root-mean-square sense.
 */
import type { Grid } from './types';

/** Codes that stand in for the token's own; one of them alone could happen to lie close to it. */
export const replacements = 4;

/**
 * Distinct codes other than `own`, spread over the codebook: steps of the golden ratio, the same for every token and image, so
 * that maps are reproducible and comparable. A codebook with fewer other codes gives those.
 */
export function replacementCodes(own: number, codebookSize: number): number[] {
  const codes = new Set<number>();
  const wanted = Math.min(replacements, codebookSize - 1);
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let i = 1; codes.size < wanted; i++) {
    const code = Math.floor(codebookSize * ((i * golden) % 1));
    if (code !== own) codes.add(code);
  }
  return [...codes];
}

/**
 * Root mean square of the change of pixels per patch, over all pixels, channels and changed pictures.
 *
 * @param reference size·size·3 sRGB bytes.
 * @param changed pictures of the same size.
 * @returns N values in [0, 255], in 8-bit units.
 */
export function patchChange(
  reference: Uint8Array,
  changed: readonly Uint8Array[],
  size: number,
  grid: Grid,
): Float32Array {
  const squares = new Float64Array(grid.rows * grid.columns);
  const width = size / grid.columns;
  const height = size / grid.rows;
  for (const picture of changed) {
    for (let y = 0, offset = 0; y < size; y++) {
      const row = Math.floor(y / height) * grid.columns;
      for (let x = 0; x < size; x++, offset += 3) {
        const red = (picture[offset] ?? 0) - (reference[offset] ?? 0);
        const green = (picture[offset + 1] ?? 0) - (reference[offset + 1] ?? 0);
        const blue = (picture[offset + 2] ?? 0) - (reference[offset + 2] ?? 0);
        const patch = row + Math.floor(x / width);
        squares[patch] = (squares[patch] ?? 0) + red * red + green * green + blue * blue;
      }
    }
  }
  const values = Math.max(1, changed.length) * width * height * 3;
  return Float32Array.from(squares, (sum) => Math.sqrt(sum / values));
}
