import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { paddingGrey, reduce, reductionFor, Tiling } from '../../../src/engine/tiles';

/** Model images of 32×32 pixels, 4×4 patches of 8. */
const model = {
  imageSize: { width: 32, height: 32 },
  grid: { rows: 4, columns: 4 },
  globalTokens: 2,
  patchTokens: 16,
  filters: true,
};

/** Pixels that tell their place. */
function picture(width: number, height: number): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256);
}

const sizes = fc.record({ width: fc.integer({ min: 1, max: 100 }), height: fc.integer({ min: 1, max: 100 }) });

describe('Tiling', () => {
  it('is one tile of all patches for a picture of the model’s size', () => {
    const { tiles, grid, count } = new Tiling(32, 32, model);
    expect([tiles, grid, count]).toEqual([{ rows: 1, columns: 1 }, { rows: 4, columns: 4 }, 1]);
  });

  it('leaves patches wholly in padding out of the grid', () => {
    expect(new Tiling(32, 17, model).grid).toEqual({ rows: 3, columns: 4 });
    expect(new Tiling(65, 40, model)).toMatchObject({
      tiles: { rows: 2, columns: 3 },
      grid: { rows: 5, columns: 9 },
    });
    expect(new Tiling(65, 40, model).region(5)).toEqual({ row: 4, column: 8, rows: 1, columns: 1 });
    expect(new Tiling(65, 40, model).extent(5)).toEqual({ width: 1, height: 8 });
  });

  it('has all patches on the grid where the decoder can do without none', () => {
    const tiling = new Tiling(65, 40, { ...model, filters: false });
    expect(tiling).toMatchObject({ tiles: { rows: 2, columns: 3 }, grid: { rows: 8, columns: 12 } });
    expect(tiling.region(5)).toEqual({ row: 4, column: 8, rows: 4, columns: 4 });
    expect(tiling.patchTokens).toBe(96);
  });

  it('has patches without tokens where there are global tokens alone', () => {
    const tiling = new Tiling(65, 40, { ...model, patchTokens: 0, filters: false });
    expect(tiling.grid).toEqual({ rows: 5, columns: 9 });
    expect(tiling.patchTokens).toBe(0);
    expect(tiling.gather(new Int32Array(), 5, new Int32Array())).toHaveLength(0);
  });

  it('covers every patch once, whatever the size, and brings its values back', () => {
    fc.assert(
      fc.property(sizes, ({ width, height }) => {
        const tiling = new Tiling(width, height, model);
        const values = Float32Array.from({ length: 2 * tiling.patches }, (_, i) => i + 1);
        const back = new Float32Array(values.length);
        const batches = [...tiling.batches(2)];
        for (const tile of batches.flat())
          tiling.scatter(tiling.gather(values, tile, new Float32Array(32)), tile, back);
        expect(back).toEqual(values);
        expect(batches.flat()).toEqual(Array.from({ length: tiling.count }, (_, tile) => tile));
        expect(batches.every((tiles) => new Set(tiles.map((tile) => tiling.strip(tile).top)).size === 1)).toBe(true);
      }),
    );
  });

  it('puts the values of each tile’s region in their places', () => {
    fc.assert(
      fc.property(sizes, ({ width, height }) => {
        const tiling = new Tiling(width, height, model);
        const whole = new Float32Array(tiling.patches).fill(-1);
        for (let tile = 0; tile < tiling.count; tile++) {
          const { rows, columns } = tiling.region(tile);
          const values = Float64Array.from({ length: rows * columns }, (_, i) => 100 * tile + i);
          tiling.scatterRegion(values, tile, whole);
        }
        const expected = Array.from(whole, (_, patch) => {
          const [y, x] = [Math.floor(patch / tiling.grid.columns), patch % tiling.grid.columns];
          const tile = Math.floor(y / 4) * tiling.tiles.columns + Math.floor(x / 4);
          return 100 * tile + (y % 4) * tiling.region(tile).columns + (x % 4);
        });
        expect([...whole]).toEqual(expected);
      }),
    );
  });

  it('cuts pixels into tiles and pastes them back', () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom('fit' as const, 'tiles' as const), ({ width, height }, cropMode) => {
        const rgb = picture(width, height);
        const tiling = new Tiling(width, height, model);
        const strips: Uint8Array[] = [];
        for (let tile = 0; tile < tiling.count; tile++) {
          if (tile % tiling.tiles.columns === 0) strips.push(new Uint8Array(width * tiling.strip(tile).height * 3));
          tiling.paste(tiling.cut({ rgb, cropMode }, tile), tile, strips.at(-1) ?? rgb);
        }
        expect(Buffer.concat(strips).equals(rgb)).toBe(true);
      }),
    );
  });

  it('completes tiles by mirroring, and a fitted picture with grey', () => {
    const rgb = Uint8Array.from([1, 2, 3].flatMap((value) => [value, value, value]));
    const row = (cropMode: 'fit' | 'tiles', y: number) => {
      const tile = new Tiling(3, 1, model).cut({ rgb, cropMode }, 0);
      return Array.from({ length: 8 }, (_, x) => tile[3 * (32 * y + x)]);
    };
    expect(row('tiles', 0)).toEqual([1, 2, 3, 3, 2, 1, 1, 2]);
    expect(row('tiles', 31)).toEqual(row('tiles', 0));
    expect(row('fit', 0)).toEqual([1, 2, 3, ...Array<number>(5).fill(paddingGrey)]);
    expect(row('fit', 1)).toEqual(Array<number>(8).fill(paddingGrey));
  });
});

describe('what is shown of a picture', () => {
  it('is bounded for any picture that can be decoded', () => {
    expect(reductionFor(768, 512, 16)).toBe(1);
    expect(reductionFor(4000, 3000, 16)).toBe(2);
    expect(reductionFor(8660, 5774, 16)).toBe(4);
    const shown = (width: number, height: number) => {
      const factor = reductionFor(width, height, 16);
      return Math.ceil(width / factor) * Math.ceil(height / factor);
    };
    expect(shown(0x3fff, 0x3fff)).toBeLessThan(4.3e6);
  });

  it('are means of its pixels, of fewer at the edges', () => {
    const rgb = Uint8Array.from([10, 20, 31, 30, 40, 51, 90, 100, 110].flatMap((value) => [value, 0, 255]));
    const reduced = reduce(rgb, 3, 3, 2);
    expect([...reduced]).toEqual([25, 41, 95, 110].flatMap((value) => [value, 0, 255]));
    expect(reduce(rgb, 3, 3, 1)).toBe(rgb);
  });
});
