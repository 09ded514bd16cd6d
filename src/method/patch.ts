/** Facts of single patches, for the readout and for tables. */
import { codeBinary, codeLevels, codeWidth } from './codebook';
import { isEdgePatch } from './filter';
import { depthOf, streamOf } from './streams';
import type {
  Code,
  CodeArray,
  Grid,
  ModelDescription,
  PageChoice,
  PatchRegion,
  Priorities,
  ShownGeometry,
  ShownImage,
  TileLayout,
  Tokenization,
} from './types';

/** Everything there is to say of one patch. */
export interface PatchFacts {
  readonly index: number;
  readonly row: number;
  readonly column: number;
  /** The token of the patch; undefined for a model without patch tokens, and where its code is not known. */
  readonly token: PatchToken | undefined;
  /** Estimates of the entropy model; undefined without one. */
  readonly bits: PatchBits | undefined;
  readonly edge: boolean;
  /** Change of pixels when the chosen global tokens are replaced, in 8-bit units, while that is shown. */
  readonly influence: number | undefined;
  /** Mean of the original's pixels, 0–255; undefined where the patch holds padding alone. */
  readonly rgb: readonly [number, number, number] | undefined;
}

/** A patch's code, or its residual codes, coarsest first; what is said of a code stands at the same place. */
export interface PatchToken {
  /** Empty for continuous latents. */
  readonly codes: readonly Code[];
  /** Levels of each code, with an FSQ codebook. */
  readonly levels?: readonly (readonly number[])[];
  /** Bits of each code, bit 0 first, with a codebook of bits. */
  readonly bits?: readonly string[];
  /** The patch's vector, where there are no codes. */
  readonly latent?: readonly number[];
}

export interface PatchBits {
  /** ĥ given G. */
  readonly entropy: number;
  /** Undefined where the code is not known. */
  readonly surprisal: number | undefined;
}

/** Its place in ranking and filtering. */
export interface PatchPlace {
  /** In the order of keeping, 1 = dropped last. */
  readonly rank: number;
  readonly patches: number;
  readonly kept: boolean;
  /** What it was sorted by; undefined where that is not known. */
  readonly sortedBy: SortedBy | undefined;
}

/** One patch of {@link Priorities}. */
export interface SortedBy {
  readonly priority: number;
  readonly givenBits: number;
  readonly savedDecibels: number | undefined;
}

/**
 * @param keepRank place of every patch in the order of keeping, 1 = dropped last.
 * @param keep N values, 1 = kept.
 * @param priorities of the ranking, where they are known.
 */
export function patchPlace(
  index: number,
  keepRank: Uint32Array,
  keep: Uint8Array,
  priorities?: Priorities,
): PatchPlace {
  return {
    rank: keepRank[index] ?? 0,
    patches: keepRank.length,
    kept: keep[index] === 1,
    sortedBy: priorities && {
      priority: priorities.priority[index] ?? 0,
      givenBits: priorities.givenBits[index] ?? 0,
      savedDecibels: priorities.savedDecibels?.[index],
    },
  };
}

/**
 * @param influence of the global token chosen, N values, where it is known.
 */
export function patchFacts(
  index: number,
  { model, tokens, image }: Pick<Tokenization, 'image' | 'tokens'> & { readonly model: ModelDescription },
  influence?: Float32Array,
): PatchFacts {
  const { grid } = image;
  const entropy = tokens.entropyBits[index];
  // That of a code which is not in its file is NaN.
  const known = !Number.isNaN(tokens.surprisalBits[index]);
  const surprisal = known ? tokens.surprisalBits[index] : undefined;
  return {
    index,
    row: Math.floor(index / grid.columns),
    column: index % grid.columns,
    token: known ? patchToken(index, model, tokens.patchCodes) : undefined,
    // Those of a sequence are no patches' bits.
    bits: model.patchTokens === 0 || entropy === undefined ? undefined : { entropy, surprisal },
    edge: isEdgePatch(index, grid),
    influence: Number.isNaN(influence?.[index]) ? undefined : influence?.[index],
    rgb: meanColour(image, patchSide(model), index),
  };
}

function patchToken(index: number, model: ModelDescription, patchCodes: CodeArray): PatchToken | undefined {
  const stream = streamOf(model, 'patch');
  if (stream === undefined) return undefined;
  const { codebook } = stream;
  const width = depthOf(stream) * codeWidth(codebook);
  const own = patchCodes.slice(index * width, (index + 1) * width);
  if (own.length === 0) return undefined;
  if (codebook.kind === 'continuous') return { codes: [], latent: Array.from(own, Number) };
  const codes: Code[] = [...own];
  return {
    codes,
    ...(codebook.kind === 'fsq' && { levels: codes.map((code) => codeLevels(code, codebook.levels)) }),
    ...(codebook.kind === 'bits' && { bits: codes.map((code) => codeBinary(code, codebook.bits)) }),
  };
}

/** A token in one line: `2817 [1 0 4 5]`, or of residual codes `17, 4, 900`. */
export function describeToken({ codes, levels, bits, latent }: PatchToken): string {
  if (latent !== undefined) return `[${latent.map((value) => value.toFixed(2)).join(' ')}]`;
  return codes
    .map((code, i) => {
      const digits = levels?.[i] ? `[${levels[i].join(' ')}]` : bits?.[i];
      return digits === undefined ? String(code) : `${code} ${digits}`;
    })
    .join(', ');
}

/** One line for the clipboard, tab-free and self-explaining. */
export function describePatch(facts: PatchFacts, place: PatchPlace | undefined): string {
  const { token, bits } = facts;
  return [
    `patch (${facts.row}, ${facts.column}) #${facts.index}`,
    ...(token === undefined ? [] : [`${token.latent ? 'latent' : 'code'} ${describeToken(token)}`]),
    ...(bits === undefined ? [] : [`conditional entropy ${bits.entropy.toFixed(2)} bits`]),
    ...(bits?.surprisal === undefined ? [] : [`surprisal ${bits.surprisal.toFixed(2)} bits`]),
    ...(place?.sortedBy === undefined ? [] : [`priority ${place.sortedBy.priority.toFixed(2)}`]),
    ...(place === undefined ? [] : [`rank ${place.rank} / ${place.patches}`, place.kept ? 'kept' : 'dropped']),
    ...(facts.influence === undefined ? [] : [`influence ${facts.influence.toFixed(1)} of 255`]),
    ...(facts.rgb === undefined ? [] : [`mean RGB ${facts.rgb.join(' ')}`]),
  ].join(', ');
}

/** Image pixels along a side of a patch. */
export function patchSide({ imageSize, grid }: ModelDescription): number {
  return imageSize.width / grid.columns;
}

/** Index of the tile that a patch lies in. */
export function tileOf(patch: number, image: TileLayout, model: Pick<ModelDescription, 'grid'>): number {
  const row = Math.floor(patch / image.grid.columns / model.grid.rows);
  const column = Math.floor((patch % image.grid.columns) / model.grid.columns);
  return row * image.tiles.columns + column;
}

/** Patches of one tile that hold any of the picture. */
export function tileRegion(
  tile: number,
  { tiles, grid }: TileLayout,
  model: Pick<ModelDescription, 'grid'>,
): PatchRegion {
  const row = Math.floor(tile / tiles.columns) * model.grid.rows;
  const column = (tile % tiles.columns) * model.grid.columns;
  return {
    row,
    column,
    rows: Math.min(model.grid.rows, grid.rows - row),
    columns: Math.min(model.grid.columns, grid.columns - column),
  };
}

/** Rows and columns of the grid that hold any of the picture: those that can be seen. */
export function shownGrid({ width, height, grid }: ShownGeometry, model: ModelDescription): Grid {
  const side = patchSide(model);
  return {
    rows: Math.min(grid.rows, Math.ceil(height / side)),
    columns: Math.min(grid.columns, Math.ceil(width / side)),
  };
}

/** Pixels in which a picture is shown. */
export function shownSize({ width, height, reduction }: ShownImage): { width: number; height: number } {
  return { width: Math.ceil(width / reduction), height: Math.ceil(height / reduction) };
}

/** Which page or frame a picture is: `page 1 of 3`. */
export function describePage({ unit, number, count }: PageChoice): string {
  return `${unit} ${number} of ${count}`;
}

/** Of what is shown of the picture: a reduced one has means already. */
function meanColour(image: ShownImage, sideOfPicture: number, index: number): PatchFacts['rgb'] {
  const shown = shownSize(image);
  const side = sideOfPicture / image.reduction;
  const left = (index % image.grid.columns) * side;
  const top = Math.floor(index / image.grid.columns) * side;
  const right = Math.min(shown.width, left + side);
  const bottom = Math.min(shown.height, top + side);
  if (right <= left || bottom <= top) return undefined;
  const sum: [number, number, number] = [0, 0, 0];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const offset = 3 * (y * shown.width + x);
      sum[0] += image.rgb[offset] ?? 0;
      sum[1] += image.rgb[offset + 1] ?? 0;
      sum[2] += image.rgb[offset + 2] ?? 0;
    }
  }
  const mean = (total: number): number => Math.round(total / ((right - left) * (bottom - top)));
  return [mean(sum[0]), mean(sum[1]), mean(sum[2])];
}
