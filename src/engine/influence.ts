/**
 * Causal influence of a global token: how much the picture changes where that token is another code.
 *
 * Attention says where a token looked; influence says what depends on it. g_k is replaced by each of
 * {@link replacements} codes, the entropy model expects dropped patches anew given the changed G (as a receiver would), the same
 * patches stay kept, and the change of the decoded pixels is averaged in the root-mean-square sense.
 */
import type { Code } from '../method/types';
import { ownPixels, squaredErrors } from './metrics';

/** Codes that stand in for the token's own; one of them alone could happen to lie close to it. */
export const replacements = 4;

/**
 * Distinct codes other than `own`, spread over the codebook: steps of the golden ratio, the same for every token and image, so
 * that maps are reproducible and comparable. A codebook with fewer other codes gives those. They are numbers of the same type as `own`.
 */
export function replacementCodes<T extends Code>(own: T, codebookSize: number): T[] {
  const codes = new Set<T>();
  const wanted = Math.min(replacements, codebookSize - 1);
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let i = 1; codes.size < wanted; i++) {
    const place = Math.floor(codebookSize * ((i * golden) % 1));
    const code = (typeof own === 'bigint' ? BigInt(place) : place) as T;
    if (code !== own) codes.add(code);
  }
  return [...codes];
}

/**
 * Root mean square of the change of pixels per patch, over all changed pictures.
 *
 * @param changed pictures of the same size; the rest is as {@link squaredErrors} takes it.
 * @returns values in [0, 255], in 8-bit units, in raster order.
 */
export function patchChange(
  reference: Uint8Array,
  changed: readonly Uint8Array[],
  imageWidth: number,
  side: number,
  extent: { readonly width: number; readonly height: number },
): Float32Array {
  // Without another code there is no other picture, and nothing changes.
  const pictures = changed.length > 0 ? changed : [reference];
  const errors = pictures.map((picture) => squaredErrors(reference, picture, imageWidth, side, extent));
  return Float32Array.from(errors[0] ?? [], (_, patch) => {
    const squares = errors.reduce((sum, each) => sum + (each[patch] ?? 0), 0);
    return Math.sqrt(squares / (errors.length * ownPixels(patch, side, extent) * 3));
  });
}
