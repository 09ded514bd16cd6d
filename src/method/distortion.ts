/**
 * What a patch's bits are worth: Dynamic Token Filtering counts how many bits a dropped patch loses, rate–distortion theory what error
 * those bits would have saved.
 *
 * ĥ_i is weighed by w_i, the squared error of patch i as it is decoded now, dropped and filled by its expectation, less what is left
 * with every patch kept; where the picture's edge cuts a patch, that of its part of the picture alone. Bits that decode to what the
 * expectation shows anyway weigh nothing; the sum of lost bits that ε bounds stays that of true bits. The original is needed for it, so a
 * receiver is told which patches are kept, as with surprisal.
 */

/**
 * w_i = max(0, D_i − D⁰_i), scaled to a mean of 1 over the hidden patches so that the edge priority β stays in bits.
 *
 * @param errors D, sum of squared errors over the pixels of each patch with what is visible decoded as kept; N values.
 * @param floor D⁰, the same with every patch kept.
 * @param visible 1 for patches that are no longer ranked.
 */
export function distortionWeights(errors: Float32Array, floor: Float32Array, visible: Uint8Array): Float64Array {
  const saved = Float64Array.from(errors, (error, i) => Math.max(0, error - (floor[i] ?? 0)));
  let sum = 0;
  let hidden = 0;
  visible.forEach((seen, i) => {
    if (seen === 1) return;
    sum += saved[i] ?? 0;
    hidden++;
  });
  // Where nothing is saved anywhere, bits alone decide.
  return sum > 0 ? saved.map((each) => (each * hidden) / sum) : saved.fill(1);
}
