import { describe, expect, it } from 'vitest';
import type { EntropyInput, Graphs } from '../../../src/tokenizer/graphs';
import { TaTok } from '../../../src/tokenizer/pipeline';
import { rankSequentially } from '../../../src/tokenizer/sequential';
import { Tiling } from '../../../src/tokenizer/tiles';
import type { FilterSettings, PictureGeometry, Tokens } from '../../../src/tokenizer/types';
import { tinyModel } from './model';

const model = { ...tinyModel, grid: { rows: 4, columns: 4 }, patchTokens: 16 };
/** 5×3 tiles of 32 pixels, those at the right and below a part of one: 17×10 patches. */
const geometry = { width: 4 * 32 + 8, height: 2 * 32 + 16 } as PictureGeometry;
const tiling = new Tiling(geometry.width, geometry.height, model);
const settings: FilterSettings = { lossRate: 0.5, edgePriority: 1, budget: 'image', conditioning: 'sequential' };

/** Codes stand for the bits that they hold; every visible patch of a tile takes some of the others' there. */
function bitsOf({ codes, visible }: EntropyInput): Float32Array {
  const known = visible.reduce((sum, each) => sum + each, 0);
  return Float32Array.from(codes.patchCodes, (bits, i) => (visible[i] === 1 ? 0 : bits * (1 - 0.03 * known)));
}

const patchCodes = Int32Array.from({ length: tiling.patches }, (_, i) => 1 + ((i * 7919) % 997));
const tokens = {
  globalCodes: new Int32Array(tiling.count * model.globalTokens),
  patchCodes,
  entropyBits: Float32Array.from(patchCodes),
} as Tokens;

async function rank(batch: number) {
  const batches: (readonly EntropyInput[])[] = [];
  const graphs = {
    estimateEntropies: (inputs: readonly EntropyInput[]) => {
      batches.push(inputs);
      return Promise.resolve(inputs.map((input) => ({ entropyBits: bitsOf(input) })));
    },
  } as unknown as Graphs;
  const { ranking } = await new TaTok(model, graphs, batch).rank(tokens, geometry, settings);
  return { ranking, batches };
}

describe('the sequential ranking of tiles', () => {
  it('is that of estimating every tile anew in every round', async () => {
    const everyTile = (visible: Uint8Array) => {
      const all = new Float32Array(tiling.patches);
      for (let tile = 0; tile < tiling.count; tile++) {
        const input = {
          codes: { globalCodes: new Int32Array(2), patchCodes: tiling.gather(patchCodes, tile, new Int32Array(16)) },
          visible: tiling.gather(visible, tile, new Uint8Array(16)),
        };
        tiling.scatter(bitsOf(input), tile, all);
      }
      return Promise.resolve(all);
    };
    const expected = await rankSequentially(tokens.entropyBits, everyTile, tiling.grid, settings.edgePriority);
    expect((await rank(16)).ranking).toEqual(expected);
  });

  it('estimates no tile that is revealed as far as it holds any of the picture', async () => {
    const { batches } = await rank(16);
    for (const { codes, visible } of batches.flat()) {
      expect(codes.patchCodes.some((code, i) => code > 0 && visible[i] === 0)).toBe(true);
    }
    expect(batches.flat().length).toBeLessThan(15 * tiling.count);
  });

  it('fills batches with tiles of any row', async () => {
    const sizes = async (batch: number) => (await rank(batch)).batches.map(({ length }) => length);
    expect(Math.max(...(await sizes(16)))).toBeGreaterThan(tiling.tiles.columns);
    expect(Math.max(...(await sizes(2)))).toBe(2);
  });
});
