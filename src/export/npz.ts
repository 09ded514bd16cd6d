import { unzipSync, zipSync } from 'fflate';
import { codeWidth } from '../method/codebook';
import { noEdits, withReplaced } from '../method/edits';
import { TatokError } from '../method/errors';
import { mainStream } from '../method/streams';
import { keepRanks, lostWith } from '../method/filter';
import { patchSide } from '../method/patch';
import type { CodeArray, Grid, ModelDescription, PictureGeometry, Stream } from '../method/types';
import { npy, readNpy, type NpyArray, type ReadArray } from '../method/npy';
import { exportedSettings, readTokenFile, tokenFileHeader, type ExportedTokenization, type TokenFile } from './tokens';

/** The earliest time that zip archives know: equal contents make equal files. */
export const noTime = new Date(1980, 0, 1);

/**
 * Arrays of a tokenization for `numpy.load`: patch arrays have the shape of the grid, global codes of a tiled picture T×K, `settings` is JSON
 * (`json.loads(str(z['settings']))`), `levels` is L_d of an FSQ codebook. `given_bits`, `saved_db`, `priority`, `round`, `rank` and
 * `lost_bits` are the columns of the table of patches. Codes have the names of their streams in the graphs, a dimension of their own where
 * they are residual, and are latents where there are no codes. Codes and `keep` have experiments in them; bits, rank and expected codes are
 * of the model's own codes, which `settings` has under `edits`. Arrays of what the model does not have are left out.
 */
export function tokenizationNpz(image: string, result: ExportedTokenization): Uint8Array {
  const { image: picture, model, tokens: own, reconstruction, ranking, edits = noEdits } = result;
  const tokens = withReplaced(own, edits);
  const grid = [picture.grid.rows, picture.grid.columns];
  const tiles = picture.tiles.rows * picture.tiles.columns;
  const ofTiles = (shape: readonly number[]) => (tiles === 1 ? shape : [tiles, ...shape]);
  const { codebook } = mainStream(model);
  let others = 0;
  const codes = model.streams.map((stream): [string, NpyArray] => {
    if (stream.role === 'global') return [stream.name, codeArray(stream, ofTiles(stream.shape), tokens.globalCodes)];
    const [, ...depth] = stream.shape;
    if (stream.role === 'patch') return [stream.name, codeArray(stream, [...grid, ...depth], tokens.patchCodes)];
    return [stream.name, codeArray(stream, ofTiles(stream.shape), tokens.otherCodes[others++] ?? new Int32Array())];
  });
  // Estimates are those of patches, or else of the sequence.
  const estimated = model.patchTokens > 0 ? grid : ofTiles([model.globalTokens]);
  const expected = tokens.expectedCodes.length / Math.max(1, tokens.entropyBits.length);
  const arrays: Record<string, NpyArray> = {
    ...Object.fromEntries(codes),
    ...(model.filters && {
      entropy_bits: { kind: 'float32', shape: estimated, values: tokens.entropyBits },
      surprisal_bits: { kind: 'float32', shape: estimated, values: tokens.surprisalBits },
      keep: { kind: 'bool', shape: estimated, values: reconstruction.keep },
      expected_codes: { kind: 'float32', shape: [...estimated, expected], values: tokens.expectedCodes },
    }),
    ...(ranking && {
      rank: { kind: 'int32', shape: estimated, values: keepRanks(ranking.order) },
      lost_bits: { kind: 'float64', shape: estimated, values: lostWith(ranking) },
    }),
    ...(ranking?.priorities && {
      given_bits: { kind: 'float64', shape: estimated, values: ranking.priorities.givenBits },
      priority: { kind: 'float64', shape: estimated, values: ranking.priorities.priority },
      round: { kind: 'int32', shape: estimated, values: Int32Array.from(ranking.priorities.round) },
    }),
    ...(ranking?.priorities?.savedDecibels && {
      saved_db: { kind: 'float64', shape: estimated, values: ranking.priorities.savedDecibels },
    }),
    ...(codebook.kind === 'fsq' && {
      levels: { kind: 'int32', shape: [codebook.levels.length], values: codebook.levels },
    }),
    settings: {
      kind: 'text',
      text: JSON.stringify({ image, ...tokenFileHeader(result), ...exportedSettings(result) }),
    },
  };
  const files = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, npy(array)] as const);
  return zipSync(Object.fromEntries(files), { mtime: noTime });
}

function codeArray({ codebook }: Stream, shape: readonly number[], values: CodeArray): NpyArray {
  if (values instanceof BigInt64Array) return { kind: 'int64', shape, values };
  if (values instanceof Int32Array) return { kind: 'int32', shape, values };
  return { kind: 'float32', shape: [...shape, codeWidth(codebook)], values };
}

/** Bytes of a token file, and of an array of it, unpacked: one of 268 megapixels, which has a million patches, has far less. */
export const mostBytes = 2 ** 28;

/**
 * The tokens of a `.npz` file of {@link tokenizationNpz}.
 *
 * @param name of the file, for messages.
 * @throws TatokError tokens-invalid; tokens-of-another-model.
 */
export function readTokensNpz(name: string, bytes: Uint8Array, model: ModelDescription): TokenFile {
  const arrays = arraysOf(name, bytes);
  const settings = settingsIn(name, arrays);
  const numbers = (array: ReadArray | undefined) => (typeof array?.values === 'string' ? undefined : array?.values);
  const [globals, patches] = [arrays.global_codes, arrays.patch_codes];
  const geometry = 'format' in settings ? {} : earlierGeometry(name, settings, globals, patches, model);
  return readTokenFile(
    name,
    {
      ...settings,
      ...geometry,
      globalCodes: numbers(globals),
      patchCodes: numbers(patches),
      keep: numbers(arrays.keep),
    },
    model,
  );
}

/**
 * The tokens of a file of either kind, told by its first bytes.
 *
 * @throws as {@link readTokensNpz}.
 */
export function readTokens(name: string, bytes: Uint8Array, model: ModelDescription): TokenFile {
  if (bytes.length > mostBytes) throw invalid(name, `it has ${bytes.length} bytes, more than ${mostBytes}`);
  if (isNpz(bytes)) return readTokensNpz(name, bytes, model);
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new TatokError(
      'tokens-invalid',
      `${name} is neither a token data set nor a token file.`,
      'Give the folder of a data set, a .tokens.json or an .npz file.',
      { cause: error },
    );
  }
  return readTokenFile(name, content, model);
}

/** True for an archive. */
export function isNpz(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/** All that a file says besides its arrays of tokens. @throws TatokError tokens-invalid. */
export function settingsOfNpz(name: string, bytes: Uint8Array): Record<string, unknown> {
  return settingsIn(name, arraysOf(name, bytes));
}

function settingsIn(name: string, arrays: Partial<Record<ArrayName, ReadArray>>): Record<string, unknown> {
  const text = arrays.settings?.values;
  if (typeof text !== 'string') throw invalid(name, 'it has no settings of TaTok');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // No object either.
  }
  if (typeof value !== 'object' || value === null) throw invalid(name, 'its settings are no JSON');
  return value as Record<string, unknown>;
}

type ArrayName = 'settings' | 'global_codes' | 'patch_codes' | 'keep';

function arraysOf(name: string, bytes: Uint8Array): Partial<Record<ArrayName, ReadArray>> {
  const wanted = /^(settings|global_codes|patch_codes|keep)\.npy$/;
  try {
    const files = unzipSync(bytes, {
      filter: ({ name: file, originalSize }) => {
        if (!wanted.test(file)) return false;
        if (originalSize > mostBytes) throw new RangeError(`${file} has ${originalSize} bytes`);
        return true;
      },
    });
    return Object.fromEntries(
      Object.entries(files).map(([file, content]) => [file.replace('.npy', ''), readNpy(content)]),
    );
  } catch (error) {
    throw invalid(name, error instanceof Error ? error.message : String(error), error);
  }
}

/**
 * Before version 1, settings had neither crop mode nor size of the tokenized picture; they follow from the crop of the source, its
 * grid and the number of tiles.
 */
function earlierGeometry(
  name: string,
  { source }: Record<string, unknown>,
  globals: ReadArray | undefined,
  patches: ReadArray | undefined,
  model: ModelDescription,
): Pick<PictureGeometry, 'cropMode' | 'width' | 'height'> & { readonly grid: Grid } {
  const { width, height } = (source as { crop?: { width?: unknown; height?: unknown } } | undefined)?.crop ?? {};
  if (typeof width !== 'number' || typeof height !== 'number') throw invalid(name, 'its settings name no crop');
  const { imageSize, globalTokens } = model;
  const scale = Math.min(imageSize.width / width, imageSize.height / height);
  const side = patchSide(model);
  const codes = typeof globals?.values === 'string' ? 0 : (globals?.values.length ?? 0);
  const candidates = [
    ...(width * imageSize.height === height * imageSize.width ? [{ cropMode: 'centre', ...imageSize } as const] : []),
    { cropMode: 'tiles', width, height } as const,
    {
      cropMode: 'fit',
      width: Math.max(1, Math.round(width * scale)),
      height: Math.max(1, Math.round(height * scale)),
    } as const,
  ];
  for (const candidate of candidates) {
    const [rows, columns] = [Math.ceil(candidate.height / side), Math.ceil(candidate.width / side)];
    const tiles = Math.ceil(candidate.height / imageSize.height) * Math.ceil(candidate.width / imageSize.width);
    const fits = patches === undefined || (patches.shape[0] === rows && patches.shape[1] === columns);
    if (fits && (globals === undefined || codes === tiles * globalTokens))
      return { ...candidate, grid: { rows, columns } };
  }
  throw invalid(name, 'its arrays do not fit the crop that its settings name');
}

function invalid(name: string, reason: string, cause?: unknown): TatokError {
  return new TatokError('tokens-invalid', `${name} is no token file: ${reason}.`, undefined, { cause });
}
