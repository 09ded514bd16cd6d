/**
 * Pictures of any size as model images side by side: pixels cut into tiles and put together again, values per patch between
 * the raster order of the whole grid and that of each tile.
 */
import { needsEveryPatch } from '../method/parts';
import { tileRegion } from '../method/patch';
import { estimatedGrid } from '../method/streams';
import type { CodeArray, Grid, TileLayout, ModelDescription, PatchRegion, Picture, Size } from '../method/types';

/** Fills a picture that is scaled to fit: the middle of the model's range. */
export const paddingGrey = 128;

/** A row of tiles as a part of the picture. */
export interface Strip {
  readonly top: number;
  readonly height: number;
}

/** Whatever is kept for every patch, or for every token of a sequence. */
type Values = CodeArray | Uint8Array;

/** The layout of a picture of `width`×`height` pixels (padding left out) on a model's images. */
export class Tiling implements TileLayout {
  readonly tiles: Grid;
  readonly grid: Grid;
  private readonly size: Size;
  private readonly patch: number;

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly model: Pick<ModelDescription, 'imageSize' | 'grid' | 'globalTokens' | 'patchTokens' | 'filters'>,
  ) {
    this.size = model.imageSize;
    this.patch = model.imageSize.width / model.grid.columns;
    this.tiles = { rows: Math.ceil(height / this.size.height), columns: Math.ceil(width / this.size.width) };
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

  /** {@link estimatedGrid}: the tokens that an entropy model estimates. */
  get estimated(): Grid {
    return estimatedGrid(this.model, this);
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

  /**
   * Values of a whole tile from those of all estimated tokens, as many per token as `into` has (or none); 0 in padding. Both are arrays of
   * one type.
   */
  gather<T extends Values>(whole: Values, tile: number, into: T): T {
    const [from, to] = [bytesOf(whole), bytesOf(into)];
    this.forRuns(tile, from.length, (inGrid, inTile, length) => {
      to.set(from.subarray(inGrid, inGrid + length), inTile);
    });
    return into;
  }

  /** The reverse of {@link gather}; what the model says of padding is left out. */
  scatter(values: Values, tile: number, whole: Values): void {
    const [from, to] = [bytesOf(values), bytesOf(whole)];
    this.forRuns(tile, to.length, (inGrid, inTile, length) => {
      to.set(from.subarray(inTile, inTile + length), inGrid);
    });
  }

  /** Puts a value for each patch of a tile's {@link region}, in raster order, into those of the whole grid. */
  scatterRegion(values: Float64Array, tile: number, whole: Float32Array): void {
    const { row, column, rows, columns } = this.region(tile);
    for (let r = 0; r < rows; r++) {
      whole.set(values.subarray(r * columns, (r + 1) * columns), (row + r) * this.grid.columns + column);
    }
  }

  /** True if any estimated token of a tile is as asked; padding has none. @param test takes its index among those of the whole picture. */
  some(tile: number, test: (token: number) => boolean): boolean {
    const across = this.estimated.columns;
    const { row, column, rows, columns } = this.run(tile);
    for (let r = row; r < row + rows; r++) {
      for (let c = column; c < column + columns; c++) if (test(r * across + c)) return true;
    }
    return false;
  }

  /** Width·height·3 sRGB bytes of a tile, completed as the crop mode says. */
  cut(picture: Pick<Picture, 'rgb' | 'cropMode'>, tile: number): Uint8Array {
    const { size, width, height } = this;
    const rgb = new Uint8Array(size.width * size.height * 3).fill(paddingGrey);
    const mirrored = picture.cropMode === 'tiles';
    const { left, top } = this.corner(tile);
    const { width: across, height: down } = this.extent(tile);
    for (let y = 0; y < (mirrored ? size.height : down); y++) {
      const row = 3 * width * mirror(top + y, height);
      const to = 3 * size.width * y;
      rgb.set(picture.rgb.subarray(row + 3 * left, row + 3 * (left + across)), to);
      for (let x = across; mirrored && x < size.width; x++) {
        const from = row + 3 * mirror(left + x, width);
        for (let c = 0; c < 3; c++) rgb[to + 3 * x + c] = picture.rgb[from + c] ?? 0;
      }
    }
    return rgb;
  }

  /** Pixels of the picture in a tile, from its upper left corner; the rest is padding. */
  extent(tile: number): { readonly width: number; readonly height: number } {
    const { left, top } = this.corner(tile);
    return {
      width: Math.min(this.size.width, this.width - left),
      height: Math.min(this.size.height, this.height - top),
    };
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
      strip.set(rgb.subarray(3 * size.width * y, 3 * (size.width * y + across)), 3 * (y * width + left));
    }
  }

  private corner(tile: number): { left: number; top: number } {
    return {
      left: (tile % this.tiles.columns) * this.size.width,
      top: Math.floor(tile / this.tiles.columns) * this.size.height,
    };
  }

  /** Estimated tokens of one tile on their grid. */
  private run(tile: number): PatchRegion {
    if (this.model.patchTokens > 0) return this.region(tile);
    const { globalTokens } = this.model;
    return { row: 0, column: tile * globalTokens, rows: 1, columns: globalTokens };
  }

  /**
   * Runs of bytes that lie next to each other in both orders: those of the picture's part of every row of patches of a tile.
   *
   * @param bytes of all estimated tokens.
   */
  private forRuns(tile: number, bytes: number, visit: (inGrid: number, inTile: number, length: number) => void): void {
    const { row, column, rows, columns } = this.run(tile);
    const across = this.estimated.columns;
    const width = bytes / (this.estimated.rows * across);
    const inTile = this.model.patchTokens > 0 ? this.model.grid.columns : columns;
    for (let r = 0; r < rows; r++) visit(((row + r) * across + column) * width, r * inTile * width, columns * width);
  }
}

/** The same memory. */
function bytesOf({ buffer, byteOffset, byteLength }: Values): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
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
