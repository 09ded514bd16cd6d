/** The parts of a tokenizer. A part that it lacks is neither computed nor offered: everything asks here, or the fields themselves. */
import { codebookSize } from './codebook';
import { TatokError } from './errors';
import { depthOf, mainStream, streamOf, takesLength, tokensOf } from './streams';
import type { ModelDescription, Reconstruction } from './types';

/** The fields of a model that decide which parts it has. */
export type Parts = Pick<ModelDescription, 'globalTokens' | 'patchTokens' | 'filters' | 'streams' | 'steps'> &
  Pick<ModelDescription, 'attentionLayers'>;

const parts = {
  globalTokens: ({ globalTokens }: Parts) => globalTokens > 0,
  patchTokens: ({ patchTokens }: Parts) => patchTokens > 0,
  /** Tokens can be dropped, and an entropy model says what that loses. */
  filters: ({ filters }: Parts) => filters,
  /** These are the tokens of patches. */
  patchBits: ({ filters, patchTokens }: Parts) => filters && patchTokens > 0,
  /** Maps of the global tokens' attention. */
  attention: ({ globalTokens, attentionLayers }: Parts) => globalTokens > 0 && attentionLayers > 0,
  /** Global tokens that can be replaced by others. */
  influence: ({ streams }: Parts) =>
    streams.some(({ role, codebook }) => role === 'global' && codebook.kind !== 'continuous'),
  /** Reconstructions of several rates: tokens can be dropped, or a leading part of them decodes. */
  rates: (model: Parts) => model.filters || takesLength(model),
} as const;

/** A part that something is made of; it cannot be had from a model without. */
export type Part = keyof typeof parts;

export function hasPart(model: Parts, part: Part | undefined): boolean {
  return part === undefined || parts[part](model);
}

/**
 * Refuses tokenizers of whose tokens data sets and token files are not made and read: these have global tokens and patch tokens of one
 * codebook.
 *
 * @throws TatokError model-incompatible.
 */
export function requirePlainTokens(model: Parts): void {
  const { streams, filters, patchTokens } = model;
  const sizes = streams.map(({ codebook }) => (codebook.kind === 'continuous' ? Infinity : codebookSize(codebook)));
  const plain =
    streams.every((stream) => stream.role !== 'other' && depthOf(stream) === 1) &&
    sizes.every((size) => size === sizes[0] && size <= 2 ** 31) &&
    !takesLength(model) &&
    (!filters || patchTokens > 0);
  if (plain) return;
  throw new TatokError(
    'model-incompatible',
    `Token data sets and token files hold global tokens and patch tokens of one codebook, all of them kept or patches dropped: ${describeParts(model)}.`,
    'Choose another model, or export arrays for NumPy.',
  );
}

/** A model where there is no picture whose attention it could map. */
export function withoutAttention(model: ModelDescription): ModelDescription {
  return { ...model, attentionLayers: 0, attentionHeads: 0 };
}

/** True if the decoder wants all patch tokens, those of padding too: without an entropy model nothing stands in for one. */
export function needsEveryPatch({ patchTokens, filters }: Pick<Parts, 'patchTokens' | 'filters'>): boolean {
  return patchTokens > 0 && !filters;
}

/** True if a tokenizer is all that TaTok is: global tokens, patch tokens, and an entropy model to drop some of these. */
export function hasEveryPart({
  globalTokens,
  patchTokens,
  filters,
}: Pick<Parts, 'globalTokens' | 'patchTokens' | 'filters'>): boolean {
  return globalTokens > 0 && patchTokens > 0 && filters;
}

/**
 * The kind of a tokenizer, in one line: `57 global tokens, no patch tokens: every image takes 57 tokens`.
 *
 * @param unit what takes the tokens: an image, or a tile where a picture has several.
 */
export function describeParts(model: Parts, unit: 'image' | 'tile' = 'image'): string {
  const [least, most] = tokenRange(model);
  const takes = least === most ? counted(most, 'token') : `${least} to ${most} tokens`;
  return `${describeStreams(model)}: every ${unit} takes ${takes}`;
}

/** Least and most tokens of a model image. */
function tokenRange(model: Parts): readonly [least: number, most: number] {
  const tokens = model.steps.map((step) => step.tokens);
  const most = tokens.reduce((all, step) => all + step, 0);
  if (model.filters) return [most - tokensOf(mainStream(model)), most];
  return [tokens[0] ?? most, most];
}

function describeStreams({ globalTokens, patchTokens, streams }: Parts): string {
  const scales = streams.filter(({ grid }) => grid !== null);
  const patches = streamOf({ streams }, 'patch');
  const depth = patches === undefined ? 1 : depthOf(patches);
  const inPatches =
    scales.length > 1
      ? `${scales.length} scales of ${scales.map(({ grid }) => `${grid?.rows}×${grid?.columns}`).join(', ')}`
      : `${counted(patchTokens, 'patch token')}${depth > 1 ? ` of ${depth} residual codes` : ''}`;
  const sequences = streams.filter(({ grid, role }) => grid === null && role === 'other');
  return [
    counted(globalTokens, 'global token'),
    ...(sequences.length > 0 ? [counted(sequences.length, 'more sequence')] : []),
    inPatches,
  ].join(', ');
}

/** Patch and global tokens of a picture as a sum, `41 + 32 global = 73`; those alone that the model has: `57 global`. */
export function tokenSum(
  { keptTokens, totalTokens }: Pick<Reconstruction, 'keptTokens' | 'totalTokens'>,
  { globalTokens, patchTokens, streams }: Pick<Parts, 'globalTokens' | 'patchTokens' | 'streams'>,
): string {
  const isSum = streams.every((stream) => stream.role !== 'other' && depthOf(stream) === 1);
  if (globalTokens === 0 || !isSum) return String(totalTokens);
  if (patchTokens === 0) return `${totalTokens} global`;
  return `${keptTokens} + ${totalTokens - keptTokens} global = ${totalTokens}`;
}

function counted(count: number, name: string): string {
  return `${count === 0 ? 'no' : count} ${name}${count === 1 ? '' : 's'}`;
}
