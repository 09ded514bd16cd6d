/** Arithmetic of a model's streams: prefixes that decode by themselves, and what tokens cost. Pure; runs in every process and the page. */
import { codeBits } from './codebook';
import { keepEvery, type Selection } from './filter';
import type { Grid, ModelDescription, Ranking, Reconstruction, Step, Stream, TileLayout } from './types';

/** Bits that a token of the main stream costs, log2 V; of a patch with residual codes those of them all: the most that its entropy can be. */
export function tokenBits(model: Pick<ModelDescription, 'streams'>): number {
  const stream = mainStream(model);
  return depthOf(stream) * codeBits(stream.codebook);
}

/**
 * The tokens of a picture that an entropy model estimates, as a grid: those of patches, or those of a sequence, tile after tile, which are
 * one row, so that none is nearer to an edge than another.
 */
export function estimatedGrid(
  model: Pick<ModelDescription, 'globalTokens' | 'patchTokens'>,
  { grid, tiles }: TileLayout,
): Grid {
  if (model.patchTokens > 0) return grid;
  return { rows: 1, columns: tiles.rows * tiles.columns * model.globalTokens };
}

/** Tokens of a model image. */
export function tokensOf({ shape }: Pick<Stream, 'shape'>): number {
  return shape.reduce((all, length) => all * length, 1);
}

/** Residual codes of a token's cell, 1 where there are none. */
export function depthOf({ shape }: Pick<Stream, 'shape'>): number {
  return shape[1] ?? 1;
}

/** The stream of a role; undefined where the model has none. */
export function streamOf({ streams }: Pick<ModelDescription, 'streams'>, role: Stream['role']): Stream | undefined {
  return streams.find((stream) => stream.role === role);
}

/** The stream that stands for a model where one has to: that of patches, or else of the sequence. */
export function mainStream(model: Pick<ModelDescription, 'streams'>): Stream {
  const main = streamOf(model, 'patch') ?? streamOf(model, 'global') ?? model.streams[0];
  if (main === undefined) throw new RangeError('the model has no tokens');
  return main;
}

/**
 * Which part of a stream is a step of its own, from which on: a sequence and residual codes need their first. A scale can be left out,
 * unless it is the first of all.
 */
function firstStep({ prefixSteps, grid }: Stream, index: number): number {
  return grid !== null && prefixSteps === 1 && index > 0 ? 0 : Math.min(1, prefixSteps);
}

/**
 * The parts that a prefix grows by: first all that the decoder cannot do without, then one step of a stream after another.
 *
 * @param whole true if no prefix is taken, because tokens are dropped in another way.
 */
export function prefixSteps(streams: readonly Stream[], whole: boolean): Step[] {
  const base = { tokens: 0, bits: 0 };
  const steps: Step[] = [base];
  streams.forEach((stream, index) => {
    const bits = codeBits(stream.codebook);
    const all = tokensOf(stream);
    const count = whole ? 0 : stream.prefixSteps;
    const first = count === 0 ? 0 : firstStep(stream, index);
    const tokens = count === 0 ? all : (first * all) / count;
    base.tokens += tokens;
    base.bits += tokens * bits;
    for (let step = first; step < count; step++) steps.push({ tokens: all / count, bits: (bits * all) / count });
  });
  return steps;
}

/**
 * For each stream of which a prefix decodes, by name, 1 for every step that is kept.
 *
 * @param length steps of `model.steps` that are kept.
 */
export function prefixMasks(
  { streams, steps }: Pick<ModelDescription, 'streams' | 'steps'>,
  length: number,
): Map<string, Uint8Array> {
  const whole = steps.length === 1;
  let left = length - 1;
  const masks = new Map<string, Uint8Array>();
  streams.forEach((stream, index) => {
    if (stream.prefixSteps === 0) return;
    const first = firstStep(stream, index);
    const kept = whole ? stream.prefixSteps : Math.min(stream.prefixSteps, first + left);
    left -= kept - first;
    masks.set(stream.name, new Uint8Array(stream.prefixSteps).fill(1, 0, kept));
  });
  return masks;
}

/** True if ε is a length: a leading part of the tokens decodes, and no entropy model drops single ones. */
export function takesLength({ steps }: Pick<ModelDescription, 'steps'>): boolean {
  return steps.length > 1;
}

/** What a step is: a token of a sequence, a residual code of every cell, or a scale. */
export type StepUnit = 'token' | 'residual code' | 'scale';

/** @throws RangeError for a model that takes no length. */
export function stepUnit({ streams }: Pick<ModelDescription, 'streams'>): StepUnit {
  const last = streams.findLast((stream) => stream.prefixSteps > 0);
  if (last === undefined) throw new RangeError('the model takes no length');
  if (last.grid === null) return 'token';
  return last.prefixSteps > 1 ? 'residual code' : 'scale';
}

/** The leading steps that ε keeps, and what that loses. */
export interface KeptLength {
  readonly length: number;
  /** Of one model image. */
  readonly budgetBits: number;
  readonly lostBits: number;
}

/**
 * ε as a length: the shortest prefix that leaves out at most ε of the bits that all tokens cost. Without an entropy model a token's bits are
 * those of its codebook.
 *
 * @param lossRate ε in [0, 1]; 1 keeps the first step alone.
 */
export function lengthAt({ steps }: Pick<ModelDescription, 'steps'>, lossRate: number): KeptLength {
  const budgetBits = steps.reduce((sum, { bits }) => sum + bits, 0);
  let [length, lostBits] = [steps.length, 0];
  // As many bits may be lost as ε says, rounding apart: 0.75 of four equal steps are three.
  const allowance = lossRate * budgetBits * (1 + 1e-9);
  while (length > 1 && lostBits + (steps[length - 1]?.bits ?? 0) <= allowance) {
    length--;
    lostBits += steps[length]?.bits ?? 0;
  }
  return { length, budgetBits, lostBits };
}

/** The steps of a prefix as an order of dropping, the last first: what sampling ε reads of a ranking. The first step stays. */
export function stepRanking({ steps }: Pick<ModelDescription, 'steps'>): Ranking {
  const cumulativeBits = new Float64Array(steps.length);
  for (let m = 1; m < steps.length; m++) cumulativeBits[m] = (cumulativeBits[m - 1] ?? 0) + (steps.at(-m)?.bits ?? 0);
  return {
    order: Uint32Array.from({ length: steps.length - 1 }, (_, m) => steps.length - 1 - m),
    cumulativeBits,
    totalBits: steps.reduce((sum, { bits }) => sum + bits, 0),
  };
}

/** A kept set of a picture, with the leading steps of every model image that are kept. */
export type KeptSet = Selection & Pick<KeptLength, 'length'>;

/** What a model without an entropy model keeps: every token, or a leading part of them. */
export function keepPrefix(
  model: Pick<ModelDescription, 'patchTokens' | 'steps'>,
  { grid, tiles }: TileLayout,
  lossRate: number,
): KeptSet {
  const count = tiles.rows * tiles.columns;
  const every = keepEvery(model.patchTokens === 0 ? 0 : grid.rows * grid.columns);
  if (!takesLength(model)) return { ...every, length: model.steps.length };
  const { length, budgetBits, lostBits } = lengthAt(model, lossRate);
  return { ...every, length, budgetBits: count * budgetBits, lostBits: count * lostBits };
}

/** Tokens and bits of a picture. @param tiles model images that it takes. @param kept |S|, and the steps that are kept. */
export function costOf(
  model: Pick<ModelDescription, 'streams' | 'steps' | 'filters'>,
  tiles: Grid,
  { keptTokens, length }: Pick<Reconstruction, 'keptTokens' | 'length'>,
): { readonly totalTokens: number; readonly payloadBits: number } {
  const count = tiles.rows * tiles.columns;
  const estimated = model.filters ? mainStream(model) : undefined;
  const steps = estimated === undefined ? model.steps.slice(0, length) : [];
  const others = model.streams.filter((stream) => estimated !== undefined && stream !== estimated);
  const fixed = [...steps, ...prefixSteps(others, true)];
  const sum = (of: 'tokens' | 'bits') => count * fixed.reduce((all, step) => all + step[of], 0);
  const kept = estimated === undefined ? 0 : keptTokens * depthOf(estimated);
  return {
    totalTokens: sum('tokens') + kept,
    payloadBits: sum('bits') + (estimated === undefined ? 0 : kept * codeBits(estimated.codebook)),
  };
}
