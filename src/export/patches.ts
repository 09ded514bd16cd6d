/** The per-patch table as JSON and CSV. */
import { keepRanks, lostWith } from '../method/filter';
import { noEdits, ownCode, withReplaced } from '../method/edits';
import { patchFacts, patchPlace, type PatchToken } from '../method/patch';
import { exportedSettings, type ExportedTokenization } from './tokens';

/**
 * One row of the table, with experiments in codes and kept set. Bits are ĥ and s given the global tokens; rank 1 is dropped last, and lost bits are those of this patch and of
 * all that are dropped before it, as the ranking reckons them: a patch is kept where they are more than ε of the budget (every one at ε = 0). A value that the model does not have is
 * absent, and so is the colour of padding. Bits and rank are of the model's own codes.
 */
interface PatchRecord {
  readonly row: number;
  readonly column: number;
  readonly index: number;
  /** A list of residual codes. */
  readonly code?: CodeRecord | readonly CodeRecord[];
  /** Of an FSQ codebook; a list of lists for residual codes. */
  readonly levels?: readonly number[] | readonly (readonly number[])[];
  /** Of a codebook of bits, bit 0 first; a list for residual codes. */
  readonly bits?: string | readonly string[];
  /** The vector of a patch that has no code. */
  readonly latent?: readonly number[];
  readonly entropyBits?: number;
  readonly surprisalBits?: number | undefined;
  /** ĥ given the global tokens and the patches kept before the round that ranked this one. */
  readonly givenBits?: number | undefined;
  /** In dB; null where nothing is left of the error. */
  readonly savedDecibels?: number | null | undefined;
  /** What the ranking sorted by: patches of an earlier round first, then those of greater priority. */
  readonly priority?: number | undefined;
  readonly round?: number | undefined;
  readonly rank?: number;
  readonly lostBits?: number | undefined;
  readonly kept?: boolean;
  /** Kept or dropped by hand. */
  readonly forced?: 'keep' | 'drop';
  /** The model's own code, where it was replaced by hand. */
  readonly originalCode?: number;
  readonly edge: boolean;
  readonly rgb?: readonly number[];
}

/** All patches in raster order under the reconstruction's settings, with what they are and what made them. */
export function patchesJson(image: string, result: ExportedTokenization): string {
  const { image: picture, reconstruction: r } = result;
  const record = {
    image,
    ...exportedSettings(result),
    cropMode: picture.cropMode,
    grid: picture.grid,
    keptTokens: r.keptTokens,
    totalTokens: r.totalTokens,
    patches: records(result),
  };
  return `${JSON.stringify(record, null, 2)}\n`;
}

const columns = [
  ['row', ({ row }) => row],
  ['column', ({ column }) => column],
  ['index', ({ index }) => index],
  ['code', ({ code }) => (typeof code === 'object' ? code.join(' ') : code)],
  ['levels', ({ levels }) => levels?.flat().join(' ')],
  ['bits', ({ bits }) => (typeof bits === 'object' ? bits.join(' ') : bits)],
  ['latent', ({ latent }) => latent?.join(' ')],
  ['entropy_bits', ({ entropyBits }) => entropyBits],
  ['surprisal_bits', ({ surprisalBits }) => surprisalBits],
  ['given_bits', ({ givenBits }) => givenBits],
  // As numerical tools read it.
  ['saved_db', ({ savedDecibels }) => (savedDecibels === null ? 'inf' : savedDecibels)],
  ['priority', ({ priority }) => priority],
  ['round', ({ round }) => round],
  ['rank', ({ rank }) => rank],
  ['lost_bits', ({ lostBits }) => lostBits],
  ['kept', ({ kept }) => (kept === undefined ? undefined : Number(kept))],
  ['edge', ({ edge }) => Number(edge)],
  ['forced', ({ forced }) => (forced === undefined ? undefined : Number(forced === 'keep'))],
  ['original_code', ({ originalCode }) => originalCode],
  ['mean_red', ({ rgb }) => rgb?.[0]],
  ['mean_green', ({ rgb }) => rgb?.[1]],
  ['mean_blue', ({ rgb }) => rgb?.[2]],
] as const satisfies readonly (readonly [name: string, value: (patch: PatchRecord) => number | string | undefined])[];

/**
 * One line per patch in raster order, after a line of names. Only numbers and spaces: nothing needs quotes. Columns that no patch
 * has a value for are left out.
 */
export function patchesCsv(result: ExportedTokenization): string {
  const patches = records(result);
  const filled = columns.filter(([, value]) => patches.some((patch) => value(patch) !== undefined));
  const lines = patches.map((patch) => filled.map(([, value]) => value(patch) ?? '').join(','));
  return `${[filled.map(([name]) => name).join(','), ...lines].join('\n')}\n`;
}

function records(result: ExportedTokenization): PatchRecord[] {
  const ranks = result.ranking && keepRanks(result.ranking.order);
  const lost = result.ranking && lostWith(result.ranking);
  const { keep } = result.reconstruction;
  const priorities = result.ranking?.priorities;
  const { edits = noEdits, tokens: own } = result;
  const decoded = { ...result, tokens: withReplaced(own, edits) };
  const [kept, dropped] = [new Set(edits.forcedKept), new Set(edits.forcedDropped)];
  const replaced = new Set(edits.replaced.flatMap(({ token, index }) => (token === 'patch' ? [index] : [])));
  const { rows, columns: across } = result.image.grid;
  return Array.from({ length: rows * across }, (_, index) => {
    const { row, column, token, bits, edge, rgb } = patchFacts(index, decoded);
    const place = ranks && patchPlace(index, ranks, keep);
    return {
      ...{ row, column, index, ...(token && tokenRecord(token)) },
      ...(bits && { entropyBits: bits.entropy, surprisalBits: bits.surprisal }),
      ...(priorities && {
        givenBits: priorities.givenBits[index],
        ...(priorities.savedDecibels && { savedDecibels: finite(priorities.savedDecibels[index]) }),
        priority: priorities.priority[index],
        round: priorities.round[index],
      }),
      ...(place && { rank: place.rank, lostBits: lost?.[index], kept: place.kept }),
      ...{ edge, ...(rgb && { rgb }) },
      ...((kept.has(index) || dropped.has(index)) && { forced: kept.has(index) ? 'keep' : 'drop' }),
      ...(replaced.has(index) && { originalCode: ownCode(own, 'patch', index) }),
    };
  });
}

/** JSON has no infinity. */
function finite(value: number | undefined): number | null | undefined {
  return value === Infinity ? null : value;
}

/** Codes of 64 bits are text. */
type CodeRecord = number | string;

/** A single code stands for itself, residual ones in lists. */
function tokenRecord({
  codes,
  levels,
  bits,
  latent,
}: PatchToken): Pick<PatchRecord, 'code' | 'levels' | 'bits' | 'latent'> {
  const alone = <Value>(values: readonly Value[]): Value | readonly Value[] =>
    codes.length === 1 ? (values[0] ?? []) : values;
  return {
    ...(latent === undefined
      ? { code: alone(codes.map((code) => (typeof code === 'bigint' ? String(code) : code))) }
      : { latent }),
    ...(levels && { levels: alone(levels) }),
    ...(bits && { bits: alone(bits) }),
  };
}
