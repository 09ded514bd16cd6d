/** The per-patch table as JSON and CSV. */
import { keepRanks } from '../tokenizer/filter';
import { patchFacts, patchPlace } from '../tokenizer/patch';
import { exportedSettings } from './settings';
import type { ExportedTokenization } from './tokens';

/** One row of the table. Bits are ĥ and s given the global tokens; rank 1 is dropped last. */
interface PatchRecord {
  readonly row: number;
  readonly column: number;
  readonly index: number;
  readonly code: number;
  readonly levels: readonly number[];
  readonly entropyBits: number;
  readonly surprisalBits: number;
  readonly rank: number;
  readonly kept: boolean;
  readonly edge: boolean;
  readonly rgb: readonly number[];
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
  ['code', ({ code }) => code],
  ['levels', ({ levels }) => levels.join(' ')],
  ['entropy_bits', ({ entropyBits }) => entropyBits],
  ['surprisal_bits', ({ surprisalBits }) => surprisalBits],
  ['rank', ({ rank }) => rank],
  ['kept', ({ kept }) => Number(kept)],
  ['edge', ({ edge }) => Number(edge)],
  ['mean_red', ({ rgb }) => rgb[0] ?? 0],
  ['mean_green', ({ rgb }) => rgb[1] ?? 0],
  ['mean_blue', ({ rgb }) => rgb[2] ?? 0],
] as const satisfies readonly (readonly [name: string, value: (patch: PatchRecord) => number | string])[];

/** One line per patch in raster order, after a line of names. Only numbers and spaces: nothing needs quotes. */
export function patchesCsv(result: ExportedTokenization): string {
  const lines = records(result).map((patch) => columns.map(([, value]) => value(patch)).join(','));
  return `${[columns.map(([name]) => name).join(','), ...lines].join('\n')}\n`;
}

function records(result: ExportedTokenization): PatchRecord[] {
  const { ranking, keep } = result.reconstruction;
  const ranks = keepRanks(ranking.order);
  return Array.from(keep, (_, index) => {
    const { row, column, code, levels, entropyBits, surprisalBits, edge, rgb } = patchFacts(index, result);
    const { rank, kept } = patchPlace(index, ranks, keep);
    return { row, column, index, code, levels, entropyBits, surprisalBits, rank, kept, edge, rgb };
  });
}
