/** What a code stands for: kinds of codebooks, and how a code of each is read out. */
import type { Code, Codebook } from './types';

/** V: how many codes there are. @throws RangeError for continuous latents, which have none. */
export function codebookSize(codebook: Codebook): number {
  switch (codebook.kind) {
    case 'fsq':
      return codebook.levels.reduce((size, count) => size * count, 1);
    case 'vq':
      return codebook.size;
    case 'bits':
      return 2 ** codebook.bits;
    case 'continuous':
      throw new RangeError('continuous latents have no codes');
  }
}

/** Bits of a number of continuous latents as it is stored: float32. */
const latentBits = 32;

/** Bits that one token costs: log2 V; of continuous latents, those of its numbers as they are stored. */
export function codeBits(codebook: Codebook): number {
  return codebook.kind === 'continuous' ? latentBits * codebook.dimensions : Math.log2(codebookSize(codebook));
}

/** True if codes are numbers of 64 bits: a codebook of more than 2^31 codes. */
export function isWide(codebook: Codebook): boolean {
  return codebook.kind !== 'continuous' && codebookSize(codebook) > 2 ** 31;
}

/** Numbers that the graphs take and give for one token: those of a latent, or one code. */
export function codeWidth(codebook: Codebook): number {
  return codebook.kind === 'continuous' ? codebook.dimensions : 1;
}

/**
 * Levels of a code of finite scalar quantisation (Mentzer et al. 2023), one per dimension, dimension 0 varying fastest:
 * c = Σ_d level_d · Π_{j<d} L_j.
 *
 * @throws RangeError for a code outside [0, V).
 */
export function codeLevels(code: Code, levels: readonly number[]): number[] {
  requireCode(code, { kind: 'fsq', levels });
  let rest = BigInt(code);
  return levels.map((count) => {
    const level = rest % BigInt(count);
    rest /= BigInt(count);
    return Number(level);
  });
}

/**
 * The code of {@link codeLevels}.
 *
 * @throws RangeError for a level that its dimension does not have.
 */
export function codeOfLevels(chosen: readonly number[], levels: readonly number[]): number {
  let [code, stride] = [0, 1];
  for (const [d, count] of levels.entries()) {
    const level = chosen[d] ?? NaN;
    if (!Number.isInteger(level) || level < 0 || level >= count) {
      throw new RangeError(`level ${level} is not in [0, ${count}) of dimension ${d}`);
    }
    code += level * stride;
    stride *= count;
  }
  return code;
}

/**
 * Bits of a code of binary quantisation, bit 0 first: bit i, of value 2^i, is the sign of dimension i, 1 for plus.
 *
 * @throws RangeError for a code outside [0, 2^bits).
 */
export function codeBinary(code: Code, bits: number): string {
  requireCode(code, { kind: 'bits', bits });
  return Array.from({ length: bits }, (_, i) => String((BigInt(code) >> BigInt(i)) & 1n)).join('');
}

/** A codebook in a few words: `4096 [8 8 8 8]`, `16384 vectors`, `18 bits`. */
export function describeCodebook(codebook: Codebook): string {
  switch (codebook.kind) {
    case 'fsq':
      return `${codebookSize(codebook)} [${codebook.levels.join(' ')}]`;
    case 'vq':
      return `${codebook.size} vectors`;
    case 'bits':
      return `${codebook.bits} bits`;
    case 'continuous':
      return `latents of ${codebook.dimensions} numbers`;
  }
}

function requireCode(code: Code, codebook: Codebook): void {
  const size = codebookSize(codebook);
  if ((typeof code === 'number' && !Number.isInteger(code)) || code < 0 || code >= size) {
    throw new RangeError(`code ${code} is not in [0, ${size})`);
  }
}
