import { zipSync } from 'fflate';
import { codeWidth } from '../method/codebook';
import { mainStream } from '../method/streams';
import type { CodeArray, Stream } from '../method/types';
import { keepRanks, lostWith } from '../method/filter';
import { npy, type NpyArray } from './npy';
import { exportedSettings, type ExportedTokenization } from './tokens';

/** The earliest time that zip archives know: equal contents make equal files. */
const noTime = new Date(1980, 0, 1);

/**
 * Arrays of a tokenization for `numpy.load`: patch arrays have the shape of the grid, global codes of a tiled picture T×K, `settings` is JSON
 * (`json.loads(str(z['settings']))`), `levels` is L_d of an FSQ codebook. `rank` and `lost_bits` are the columns of the
 * table of patches. Codes have the names of their streams in the graphs, a dimension of
 * their own where they are residual, and are latents where there are no codes. Arrays of what the model does not have are left out.
 */
export function tokenizationNpz(image: string, result: ExportedTokenization): Uint8Array {
  const { image: picture, model, tokens, reconstruction, ranking } = result;
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
    ...(codebook.kind === 'fsq' && {
      levels: { kind: 'int32', shape: [codebook.levels.length], values: codebook.levels },
    }),
    settings: { kind: 'text', text: JSON.stringify({ image, ...exportedSettings(result) }) },
  };
  const files = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, npy(array)] as const);
  return zipSync(Object.fromEntries(files), { mtime: noTime });
}

function codeArray({ codebook }: Stream, shape: readonly number[], values: CodeArray): NpyArray {
  if (values instanceof BigInt64Array) return { kind: 'int64', shape, values };
  if (values instanceof Int32Array) return { kind: 'int32', shape, values };
  return { kind: 'float32', shape: [...shape, codeWidth(codebook)], values };
}
