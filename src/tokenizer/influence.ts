/**
 * Causal influence of a global token: how much the picture changes where that token is another code.
 *
 * Attention says where a token looked; influence says what depends on it. g_k is replaced by each of
 * {@link replacements} codes, the entropy model expects dropped patches anew given the changed G (as a receiver would), the same
 * patches stay kept, and the change of the decoded pixels is averaged in the root-mean-square sense.
 */

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
 * Root mean square of the change of pixels per patch, over the patch's own pixels of the picture, all channels and all changed
 * pictures. Patches at the picture's right and lower edges may hold padding as well, which is nobody's to see.
 *
 * @param reference size·size·3 sRGB bytes.
 * @param changed pictures of the same size.
 * @param size pixels along a side of the model image.
 * @param side pixels along a side of a patch.
 * @param extent pixels of the picture, from the upper left corner of the model image; the rest is padding.
 * @returns ⌈height / side⌉·⌈width / side⌉ values in [0, 255], in 8-bit units, in raster order.
 */
export function patchChange(
  reference: Uint8Array,
  changed: readonly Uint8Array[],
  size: number,
  side: number,
  { width, height }: { readonly width: number; readonly height: number },
): Float32Array {
  const columns = Math.ceil(width / side);
  const squares = new Float64Array(Math.ceil(height / side) * columns);
  for (const picture of changed) {
    for (let y = 0; y < height; y++) {
      const row = Math.floor(y / side) * columns;
      for (let x = 0, offset = 3 * size * y; x < width; x++, offset += 3) {
        const red = (picture[offset] ?? 0) - (reference[offset] ?? 0);
        const green = (picture[offset + 1] ?? 0) - (reference[offset + 1] ?? 0);
        const blue = (picture[offset + 2] ?? 0) - (reference[offset + 2] ?? 0);
        const patch = row + Math.floor(x / side);
        squares[patch] = (squares[patch] ?? 0) + red * red + green * green + blue * blue;
      }
    }
  }
  return Float32Array.from(squares, (sum, patch) => {
    const across = Math.min(side, width - side * (patch % columns));
    const down = Math.min(side, height - side * Math.floor(patch / columns));
    return Math.sqrt(sum / (Math.max(1, changed.length) * across * down * 3));
  });
}
