/**
 * Pictures of any size as model images side by side: pixels cut into tiles and put together again, values per patch between
 * the raster order of the whole grid and that of each tile.
 */
import { needsEveryPatch } from '../method/parts';
import { tileRegion } from '../method/patch';
import type { Grid, TileLayout, ModelDescription, PatchRegion, Picture } from '../method/types';

/** Fills a picture that is scaled to fit: the middle of the model's range. */
export const paddingGrey = 128;

/** A row of tiles as a part of the picture. */
export interface Strip {
  readonly top: number;
  readonly height: number;
}

type Values = Int32Array | Float32Array | Uint8Array;

/** The layout of a picture of `width`×`height` pixels (padding left out) on a model's images. */
export class Tiling implements TileLayout {
  readonly tiles: Grid;
  readonly grid: Grid;
  private readonly size: number;
  private readonly patch: number;

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly model: Pick<ModelDescription, 'imageSize' | 'grid' | 'patchTokens' | 'filters'>,
  ) {
    this.size = model.imageSize;
    this.patch = model.imageSize / model.grid.columns;
    this.tiles = { rows: Math.ceil(height / this.size), columns: Math.ceil(width / this.size) };
    this.grid = needsEveryPatch(model)
      ? { rows: this.tiles.rows * model.grid.rows, columns: this.tiles.columns * model.grid.columns }
      : { rows: Math.ceil(height / this.patch), columns: Math.ceil(width / this.patch) };
  }

  /** T. */
  get count(): number {
    return this.tiles.rows * this.tiles.columns;
  }

  /** Cells of the grid. */
  get patches(): number {
    return this.grid.rows * this.grid.columns;
  }

  /** N: a token for every cell, or none. */
  get patchTokens(): number {
    return this.model.patchTokens === 0 ? 0 : this.patches;
  }

  /** All tiles in batches of at most `most`; none spans two rows of tiles. */
  *batches(most: number): Generator<readonly number[]> {
    const { rows, columns } = this.tiles;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column += most) {
        const first = row * columns + column;
        yield Array.from({ length: Math.min(most, columns - column) }, (_, i) => first + i);
      }
    }
  }

  /** Patches of one tile that are on the grid. */
  region(tile: number): PatchRegion {
    return tileRegion(tile, this, this.model);
  }

  /** Values of a whole tile from those of the whole grid, as many per patch as `into` has (or none); 0 in padding. */
  gather<T extends Values>(whole: Values, tile: number, into: T): T {
    this.forRuns(tile, whole.length / this.patches, (inGrid, inTile, length) => {
      into.set(whole.subarray(inGrid, inGrid + length), inTile);
    });
    return into;
  }

  /** The reverse of {@link gather}; what the model says of padding is left out. */
  scatter(values: Values, tile: number, whole: Values): void {
    this.forRuns(tile, whole.length / this.patches, (inGrid, inTile, length) => {
      whole.set(values.subarray(inTile, inTile + length), inGrid);
    });
  }

  /** Puts a value for each patch of a tile's {@link region}, in raster order, into those of the whole grid. */
  scatterRegion(values: Float64Array, tile: number, whole: Float32Array): void {
    const { row, column, rows, columns } = this.region(tile);
    for (let r = 0; r < rows; r++) {
      whole.set(values.subarray(r * columns, (r + 1) * columns), (row + r) * this.grid.columns + column);
    }
  }

  /** True if any patch of a tile that holds some of the picture is as asked. @param test takes its index in the whole grid. */
  some(tile: number, test: (patch: number) => boolean): boolean {
    const { row, column, rows, columns } = this.region(tile);
    for (let r = row; r < row + rows; r++) {
      for (let c = column; c < column + columns; c++) if (test(r * this.grid.columns + c)) return true;
    }
    return false;
  }

  /** size·size·3 sRGB bytes of a tile, completed as the crop mode says. */
  cut(picture: Pick<Picture, 'rgb' | 'cropMode'>, tile: number): Uint8Array {
    const { size, width, height } = this;
    const rgb = new Uint8Array(size * size * 3).fill(paddingGrey);
    const mirrored = picture.cropMode === 'tiles';
    const { left, top } = this.corner(tile);
    const { width: across, height: down } = this.extent(tile);
    for (let y = 0; y < (mirrored ? size : down); y++) {
      const row = 3 * width * mirror(top + y, height);
      const to = 3 * size * y;
      rgb.set(picture.rgb.subarray(row + 3 * left, row + 3 * (left + across)), to);
      for (let x = across; mirrored && x < size; x++) {
        const from = row + 3 * mirror(left + x, width);
        for (let c = 0; c < 3; c++) rgb[to + 3 * x + c] = picture.rgb[from + c] ?? 0;
      }
    }
    return rgb;
  }

  /** Pixels of the picture in a tile, from its upper left corner; the rest is padding. */
  extent(tile: number): { readonly width: number; readonly height: number } {
    const { left, top } = this.corner(tile);
    return { width: Math.min(this.size, this.width - left), height: Math.min(this.size, this.height - top) };
  }

  /** Pixel rows of the row of tiles that a tile is in. */
  strip(tile: number): Strip {
    return { top: this.corner(tile).top, height: this.extent(tile).height };
  }

  /** Puts a decoded tile into its strip, width·height·3 bytes; padding is left out. */
  paste(rgb: Uint8Array, tile: number, strip: Uint8Array): void {
    const { size, width } = this;
    const { left } = this.corner(tile);
    const { width: across, height: down } = this.extent(tile);
    for (let y = 0; y < down; y++) {
      strip.set(rgb.subarray(3 * size * y, 3 * (size * y + across)), 3 * (y * width + left));
    }
  }

  private corner(tile: number): { left: number; top: number } {
    return {
      left: (tile % this.tiles.columns) * this.size,
      top: Math.floor(tile / this.tiles.columns) * this.size,
    };
  }

  /** Runs of values that lie next to each other in both orders: the picture's part of every row of patches of a tile. */
  private forRuns(tile: number, width: number, visit: (inGrid: number, inTile: number, length: number) => void): void {
    const { row, column, rows, columns } = this.region(tile);
    for (let r = 0; r < rows; r++) {
      const inGrid = (row + r) * this.grid.columns + column;
      visit(inGrid * width, r * this.model.grid.columns * width, columns * width);
    }
  }
}

/** Index of the pixel shown at `i` when a line of `length` pixels is continued by its mirror image, back and forth. */
function mirror(i: number, length: number): number {
  const place = i % (2 * length);
  return place < length ? place : 2 * length - 1 - place;
}

/** Most pixels of a picture that is shown. */
const mostShownPixels = 4e6;

/** The least reduction, a power of two that divides a patch's side, that brings a picture below the bound. */
export function reductionFor(width: number, height: number, patch: number): number {
  let factor = 1;
  const shown = () => Math.ceil(width / factor) * Math.ceil(height / factor);
  while (shown() > mostShownPixels && patch % (2 * factor) === 0) factor *= 2;
  return factor;
}

/** Means of `factor`×`factor` pixels (fewer at the right and lower edges) of width·height·3 sRGB bytes. */
export function reduce(rgb: Uint8Array, width: number, height: number, factor: number): Uint8Array {
  if (factor === 1) return rgb;
  const columns = Math.ceil(width / factor);
  const rows = Math.ceil(height / factor);
  const reduced = new Uint8Array(columns * rows * 3);
  const sums = new Uint32Array(columns * 3);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    const bottom = Math.min(height, (row + 1) * factor);
    for (let y = row * factor; y < bottom; y++) {
      for (let x = 0, from = 3 * y * width; x < width; x++, from += 3) {
        const to = 3 * Math.floor(x / factor);
        sums[to] = (sums[to] ?? 0) + (rgb[from] ?? 0);
        sums[to + 1] = (sums[to + 1] ?? 0) + (rgb[from + 1] ?? 0);
        sums[to + 2] = (sums[to + 2] ?? 0) + (rgb[from + 2] ?? 0);
      }
    }
    for (let column = 0; column < columns; column++) {
      const pixels = (bottom - row * factor) * (Math.min(width, (column + 1) * factor) - column * factor);
      const to = 3 * (row * columns + column);
      for (let c = 0; c < 3; c++) reduced[to + c] = Math.round((sums[3 * column + c] ?? 0) / pixels);
    }
  }
  return reduced;
}
