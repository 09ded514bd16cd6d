import { zipSync } from 'fflate';
import { keepRanks, lostWith } from '../method/filter';
import { npy, type NpyArray } from './npy';
import { exportedSettings, type ExportedTokenization } from './tokens';

/** The earliest time that zip archives know: equal contents make equal files. */
const noTime = new Date(1980, 0, 1);

/**
 * Arrays of a tokenization for `numpy.load`: patch arrays have the shape of the grid, global codes of a tiled picture T×K, `settings` is JSON
 * (`json.loads(str(z['settings']))`), `levels` is L_d of the codebook; `rank` and `lost_bits` are the columns of the table of patches. Arrays of what the model does not have are left out.
 */
export function tokenizationNpz(image: string, result: ExportedTokenization): Uint8Array {
  const { image: picture, model, tokens, reconstruction, ranking } = result;
  const grid = [picture.grid.rows, picture.grid.columns];
  const tiles = picture.tiles.rows * picture.tiles.columns;
  const globals = tiles === 1 ? [model.globalTokens] : [tiles, model.globalTokens];
  const dimensions = model.levels.length;
  const arrays: Record<string, NpyArray> = {
    ...(model.globalTokens > 0 && {
      global_codes: { kind: 'int32', shape: globals, values: tokens.globalCodes },
    }),
    ...(model.patchTokens > 0 && {
      patch_codes: { kind: 'int32', shape: grid, values: tokens.patchCodes },
    }),
    ...(model.filters && {
      entropy_bits: { kind: 'float32', shape: grid, values: tokens.entropyBits },
      surprisal_bits: { kind: 'float32', shape: grid, values: tokens.surprisalBits },
      keep: { kind: 'bool', shape: grid, values: reconstruction.keep },
      expected_codes: { kind: 'float32', shape: [...grid, dimensions], values: tokens.expectedCodes },
    }),
    ...(ranking && {
      rank: { kind: 'int32', shape: grid, values: keepRanks(ranking.order) },
      lost_bits: { kind: 'float64', shape: grid, values: lostWith(ranking) },
    }),
    levels: { kind: 'int32', shape: [dimensions], values: model.levels },
    settings: { kind: 'text', text: JSON.stringify({ image, ...exportedSettings(result) }) },
  };
  const files = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, npy(array)] as const);
  return zipSync(Object.fromEntries(files), { mtime: noTime });
}
