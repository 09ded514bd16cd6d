/** What is known of single patches: for the readout and for tables. */
import { codeLevels } from './codebook';
import { edgePatches } from './filter';
import type { Grid, ModelDescription, ModelImage, Tokenization } from './types';

/** Everything there is to say of one patch. */
export interface PatchFacts {
  readonly index: number;
  readonly row: number;
  readonly column: number;
  readonly code: number;
  /** FSQ levels of the code. */
  readonly levels: readonly number[];
  readonly entropyBits: number;
  readonly surprisalBits: number;
  /** 1 = dropped last. */
  readonly rank: number;
  readonly patches: number;
  readonly kept: boolean;
  readonly edge: boolean;
  /** Change of pixels when the chosen global tokens are replaced, in 8-bit units, while that is shown. */
  readonly influence: number | undefined;
  /** Mean of the original's pixels, 0–255. */
  readonly rgb: readonly [number, number, number];
}

/**
 * @param keepRank place of every patch in the order of keeping, 1 = dropped last.
 * @param keep N values, 1 = kept.
 * @param influence of the global token chosen, N values, where it is known.
 */
export function patchFacts(
  index: number,
  { model, tokens, image }: Pick<Tokenization, 'image' | 'tokens'> & { readonly model: ModelDescription },
  keepRank: Uint32Array,
  keep: Uint8Array,
  influence?: Float32Array,
): PatchFacts {
  const code = tokens.patchCodes[index] ?? 0;
  return {
    index,
    row: Math.floor(index / model.grid.columns),
    column: index % model.grid.columns,
    code,
    levels: codeLevels(code, model.levels),
    entropyBits: tokens.entropyBits[index] ?? 0,
    surprisalBits: tokens.surprisalBits[index] ?? 0,
    rank: keepRank[index] ?? 0,
    patches: keepRank.length,
    kept: keep[index] === 1,
    edge: edgePatches(model.grid)[index] === 1,
    influence: influence?.[index],
    rgb: meanColour(image, model.grid, index),
  };
}

/** One line for the clipboard, tab-free and self-explaining. */
export function describePatch(facts: PatchFacts): string {
  return [
    `patch (${facts.row}, ${facts.column}) #${facts.index}`,
    `code ${facts.code} [${facts.levels.join(' ')}]`,
    `conditional entropy ${facts.entropyBits.toFixed(2)} bits`,
    `surprisal ${facts.surprisalBits.toFixed(2)} bits`,
    `rank ${facts.rank} / ${facts.patches}`,
    facts.kept ? 'kept' : 'dropped',
    ...(facts.influence === undefined ? [] : [`influence ${facts.influence.toFixed(1)} of 255`]),
    `mean RGB ${facts.rgb.join(' ')}`,
  ].join(', ');
}

function meanColour(image: ModelImage, grid: Grid, index: number): [number, number, number] {
  const width = Math.floor(image.size / grid.columns);
  const height = Math.floor(image.size / grid.rows);
  const left = (index % grid.columns) * width;
  const top = Math.floor(index / grid.columns) * height;
  const sum: [number, number, number] = [0, 0, 0];
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) {
      const offset = 3 * (y * image.size + x);
      sum[0] += image.rgb[offset] ?? 0;
      sum[1] += image.rgb[offset + 1] ?? 0;
      sum[2] += image.rgb[offset + 2] ?? 0;
    }
  }
  const mean = (total: number): number => Math.round(total / (width * height));
  return [mean(sum[0]), mean(sum[1]), mean(sum[2])];
}
