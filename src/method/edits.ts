/**
 * Experiments on a tokenization: patches that are kept or dropped whatever the filter says, and codes in place of the model's own. Pure:
 * runs in every process and in the page, and is the state of every editor that undoes.
 *
 * Edits lie over what the filter keeps. The order of dropping and the kept set stay those of the model's own codes, so that an edit changes
 * what it names and nothing else; estimates that stand in for dropped patches are those given the codes that are decoded.
 */
import * as z from 'zod/mini';
import { codebookSize, isWide } from './codebook';
import { TatokError } from './errors';
import type { Selection } from './filter';
import { depthOf, streamOf } from './streams';
import type { ModelDescription, TileLayout, Tokens } from './types';

export const replaceableTokens = ['global', 'patch'] as const;

/** The stream of a code that is replaced. */
export type ReplaceableToken = (typeof replaceableTokens)[number];

const index = z.int().check(z.nonnegative());

/** In ascending order, so that equal sets are equal values. */
const patches = z.array(index).check(z.refine(ascends, 'must be in ascending order'));

const replacedCode = z.strictObject({
  token: z.enum(replaceableTokens),
  /** Of the token: a patch in raster order of the whole grid, or a global token of all tiles. */
  index,
  /** In place of the model's own. */
  code: index,
});
export type ReplacedCode = Readonly<z.infer<typeof replacedCode>>;

export interface Edits {
  readonly forcedKept: readonly number[];
  readonly forcedDropped: readonly number[];
  readonly replaced: readonly ReplacedCode[];
}

export const editsSchema: z.ZodMiniType<Edits, Edits> = z
  .strictObject({
    /** Kept, whatever the filter says. */
    forcedKept: patches,
    /** Dropped, whatever the filter says; none of those kept. */
    forcedDropped: patches,
    /** Global tokens first, each token once. */
    replaced: z.array(replacedCode).check(z.refine((all) => ascends(all.map(placeOf)), 'must be in ascending order')),
  })
  .check(
    z.refine(({ forcedKept, forcedDropped }) => {
      const kept = new Set(forcedKept);
      return !forcedDropped.some((patch) => kept.has(patch));
    }, 'a patch is both kept and dropped'),
  );

export const noEdits: Edits = { forcedKept: [], forcedDropped: [], replaced: [] };

export function isEdited({ forcedKept, forcedDropped, replaced }: Edits): boolean {
  return forcedKept.length + forcedDropped.length + replaced.length > 0;
}

/** Edits as a request carries them: nothing where there are none. */
export function carried(edits: Edits): Edits | undefined {
  return isEdited(edits) ? edits : undefined;
}

/** Equal for edits that change the same. */
export function keyOfEdits({ forcedKept, forcedDropped, replaced }: Edits): string {
  return JSON.stringify([forcedKept, forcedDropped, replaced.map((each) => [...placeOf(each), each.code])]);
}

/** What becomes of patches by hand; `free` leaves them to the filter again. */
export type Force = 'keep' | 'drop' | 'free';

/** Forces patches; what was forced of them before no longer holds. */
export function force(edits: Edits, chosen: Iterable<number>, to: Force): Edits {
  const which = new Set(chosen);
  const others = (all: readonly number[]) => all.filter((patch) => !which.has(patch));
  const [kept, dropped] = [others(edits.forcedKept), others(edits.forcedDropped)];
  return {
    ...edits,
    forcedKept: to === 'keep' ? sorted([...kept, ...which]) : kept,
    forcedDropped: to === 'drop' ? sorted([...dropped, ...which]) : dropped,
  };
}

/** What a patch is forced to. */
export function forceOf({ forcedKept, forcedDropped }: Edits, patch: number): Force {
  return forcedKept.includes(patch) ? 'keep' : forcedDropped.includes(patch) ? 'drop' : 'free';
}

/** Replaces codes of the model. A token that is given its own code is no longer replaced. */
export function replaceCodes(edits: Edits, codes: readonly ReplacedCode[], own: OwnCodes): Edits {
  const now = new Map([...edits.replaced, ...codes].map((each) => [placeOf(each).join(), each]));
  const replaced = [...now.values()].filter(({ token, index: at, code }) => ownCode(own, token, at) !== code);
  return { ...edits, replaced: replaced.sort((a, b) => compare(placeOf(a), placeOf(b))) };
}

/** The code in place of a token's own; undefined where that was not replaced. */
export function replacementOf({ replaced }: Edits, token: ReplaceableToken, at: number): number | undefined {
  return replaced.find((each) => each.token === token && each.index === at)?.code;
}

/** The codes that the model gave. */
export type OwnCodes = Pick<Tokens, 'globalCodes' | 'patchCodes'>;

/** A code of the model itself. @throws RangeError for a token that there is not, or that is no number. */
export function ownCode({ globalCodes, patchCodes }: OwnCodes, token: ReplaceableToken, at: number): number {
  const code = (token === 'global' ? globalCodes : patchCodes)[at];
  if (typeof code !== 'number') throw new RangeError(`there is no ${token} code ${at}`);
  return code;
}

/** The codes that are decoded: those given, where none is replaced. */
export function withReplaced<Given extends OwnCodes>(tokens: Given, { replaced }: Edits): Given {
  if (replaced.length === 0) return tokens;
  const [globalCodes, patchCodes] = [tokens.globalCodes.slice(), tokens.patchCodes.slice()];
  for (const { token, index: at, code } of replaced) (token === 'global' ? globalCodes : patchCodes)[at] = code;
  return { ...tokens, globalCodes, patchCodes };
}

/** The kept set that is decoded, 1 = kept: the filter's, where none is forced. */
export function withForced(keep: Uint8Array, { forcedKept, forcedDropped }: Edits): Uint8Array {
  if (forcedKept.length + forcedDropped.length === 0) return keep;
  const forced = keep.slice();
  for (const patch of forcedKept) forced[patch] = 1;
  for (const patch of forcedDropped) forced[patch] = 0;
  return forced;
}

/**
 * Count and Σ_D ĥ of a kept set that is forced.
 *
 * @param entropyBits ĥ given G, or given G and the kept patches, N values in bits.
 */
export function forcedSelection(
  keep: Uint8Array,
  entropyBits: Float32Array,
): Pick<Selection, 'keep' | 'keptTokens' | 'lostBits'> {
  let [keptTokens, lostBits] = [0, 0];
  keep.forEach((kept, i) => {
    keptTokens += kept;
    if (kept === 0) lostBits += entropyBits[i] ?? 0;
  });
  return { keep, keptTokens, lostBits };
}

/** A kept set that tokens came with, out of a file, in place of the filter's. @param entropyBits ĥ given G, N values in bits. */
export function givenSelection(keep: Uint8Array, entropyBits: Float32Array): Selection {
  return { ...forcedSelection(keep, entropyBits), budgetBits: entropyBits.reduce((sum, bits) => sum + bits, 0) };
}

/** True if codes of a stream can be replaced: it has one code of 32 bits for every token. */
export function isReplaceable(model: Pick<ModelDescription, 'streams'>, token: ReplaceableToken): boolean {
  const stream = streamOf(model, token);
  return (
    stream !== undefined && depthOf(stream) === 1 && stream.codebook.kind !== 'continuous' && !isWide(stream.codebook)
  );
}

/** True if patches can be forced: the filter drops them one by one. */
export function isForceable({ filters, patchTokens }: Pick<ModelDescription, 'filters' | 'patchTokens'>): boolean {
  return filters && patchTokens > 0;
}

/**
 * Holds edits against the model and the picture that they are of.
 *
 * @throws TatokError bad-settings.
 */
export function requireEdits(edits: Edits, model: ModelDescription, { grid, tiles }: TileLayout): void {
  const refuse = (reason: string) =>
    new TatokError('bad-settings', `The experiment does not fit ${model.name}: ${reason}.`, 'Reset the experiment.');
  const forced = [...edits.forcedKept, ...edits.forcedDropped];
  const count = grid.rows * grid.columns;
  if (forced.length > 0 && !isForceable(model)) throw refuse('it drops no single patches');
  const outside = forced.find((patch) => patch >= count);
  if (outside !== undefined) throw refuse(`there is no patch ${outside} among ${count}`);
  for (const { token, index: at, code } of edits.replaced) {
    const stream = streamOf(model, token);
    if (stream === undefined || !isReplaceable(model, token)) throw refuse(`its ${token} codes cannot be replaced`);
    const tokens = token === 'patch' ? count : tiles.rows * tiles.columns * model.globalTokens;
    if (at >= tokens) throw refuse(`there is no ${token} token ${at} among ${tokens}`);
    const size = codebookSize(stream.codebook);
    if (code >= size) throw refuse(`the code ${code} is not in its codebook of ${size}`);
  }
}

/** A change that can be taken back: the edits on its other side, and its name as it is announced. */
interface Step {
  readonly edits: Edits;
  readonly label: string;
}

/** Edits with what undoing and redoing lead to. */
export interface EditHistory {
  /** The oldest first; each with the change that followed it. */
  readonly past: readonly Step[];
  readonly present: Edits;
  /** The nearest first; each with the change that led to it. */
  readonly future: readonly Step[];
}

/** Changes that can be undone. */
export const mostSteps = 200;

export function historyOf(present: Edits): EditHistory {
  return { past: [], present, future: [] };
}

/** A change by the user: what was undone can no longer be redone. A change that changes nothing is none. */
export function commit(history: EditHistory, edits: Edits, label: string): EditHistory {
  const { past, present } = history;
  if (keyOfEdits(edits) === keyOfEdits(present)) return history;
  return { past: [...past, { edits: present, label }].slice(-mostSteps), present: edits, future: [] };
}

export function undo(history: EditHistory): EditHistory {
  const last = history.past.at(-1);
  if (last === undefined) return history;
  const { past, present, future } = history;
  return {
    past: past.slice(0, -1),
    present: last.edits,
    future: [{ edits: present, label: last.label }, ...future],
  };
}

export function redo(history: EditHistory): EditHistory {
  const [next, ...future] = history.future;
  if (next === undefined) return history;
  const { past, present } = history;
  return { past: [...past, { edits: present, label: next.label }], present: next.edits, future };
}

function placeOf({
  token,
  index: at,
}: Pick<ReplacedCode, 'token' | 'index'>): readonly [stream: number, index: number] {
  return [replaceableTokens.indexOf(token), at];
}

function sorted(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function ascends(values: readonly (number | readonly number[])[]): boolean {
  return values.every((value, i) => {
    const former = values[i - 1];
    return former === undefined || compare([former].flat(), [value].flat()) < 0;
  });
}

function compare([a = 0, ...others]: readonly number[], [b = 0, ...rest]: readonly number[]): number {
  return a - b || (others.length === 0 ? 0 : compare(others, rest));
}
