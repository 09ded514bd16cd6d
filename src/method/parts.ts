/** The parts of a tokenizer. A part that it lacks is neither computed nor offered: everything asks here, or the fields themselves. */
import type { ModelDescription, Reconstruction } from './types';

/** The fields of a model that decide which parts it has. */
export type Parts = Pick<ModelDescription, 'globalTokens' | 'patchTokens' | 'filters'>;

/** A part that something is made of; it cannot be had from a model without. */
export type Part = keyof Parts;

export function hasPart(model: Parts, part: Part | undefined): boolean {
  return part === undefined || Boolean(model[part]);
}

/** True if the decoder wants all patch tokens, those of padding too: without an entropy model nothing stands in for one. */
export function needsEveryPatch({ patchTokens, filters }: Omit<Parts, 'globalTokens'>): boolean {
  return patchTokens > 0 && !filters;
}

/** True if a tokenizer is all that TaTok is: global tokens, patch tokens, and an entropy model to drop some of these. */
export function hasEveryPart({ globalTokens, filters }: Parts): boolean {
  return globalTokens > 0 && filters;
}

/**
 * The kind of a tokenizer, in one line: `57 global tokens, no patch tokens: every image takes 57 tokens`.
 *
 * @param unit what takes the tokens: an image, or a tile where a picture has several.
 */
export function describeParts({ globalTokens, patchTokens, filters }: Parts, unit: 'image' | 'tile' = 'image'): string {
  const kinds = [counted(globalTokens, 'global token'), counted(patchTokens, 'patch token')];
  const all = globalTokens + patchTokens;
  return filters
    ? `${kinds.join(', ')}: every ${unit} takes ${globalTokens} to ${all} tokens`
    : `${kinds.join(', ')}: every ${unit} takes ${counted(all, 'token')}`;
}

/** Patch and global tokens of a picture as a sum, `41 + 32 global = 73`; those alone that the model has: `57 global`. */
export function tokenSum(
  { keptTokens, totalTokens }: Pick<Reconstruction, 'keptTokens' | 'totalTokens'>,
  { globalTokens, patchTokens }: Parts,
): string {
  if (globalTokens === 0) return String(totalTokens);
  const globals = `${totalTokens - keptTokens} global`;
  return patchTokens === 0 ? globals : `${keptTokens} + ${globals} = ${totalTokens}`;
}

function counted(count: number, name: string): string {
  return `${count === 0 ? 'no' : count} ${name}${count === 1 ? '' : 's'}`;
}
