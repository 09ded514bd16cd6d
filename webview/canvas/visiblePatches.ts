import type { Grid } from '../../src/method/types';

/** Device-pixel positions of the grid's lines, so that every edge is crisp and neighbours share it. */
export interface Lines {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** Patches that touch the canvas, as half-open intervals of rows and columns. */
export interface Visible {
  readonly firstRow: number;
  readonly endRow: number;
  readonly firstColumn: number;
  readonly endColumn: number;
}

type AddRectangle = (x: number, y: number, width: number, height: number) => void;

export function visiblePatches({ x, y }: Lines, width: number, height: number): Visible {
  const [firstRow, endRow] = visibleCells(y, height);
  const [firstColumn, endColumn] = visibleCells(x, width);
  return { firstRow, endRow, firstColumn, endColumn };
}

function visibleCells(lines: readonly number[], extent: number): [first: number, end: number] {
  const cells = lines.length - 1;
  let first = 0;
  while (first < cells && (lines[first + 1] ?? 0) <= 0) first++;
  let end = cells;
  while (end > first && (lines[end - 1] ?? 0) >= extent) end--;
  return [first, end];
}

/** Rectangles that cover the dropped patches: neighbours in a row share one. */
export function droppedRuns(
  keep: Uint8Array,
  { columns }: Grid,
  lines: Lines,
  visible: Visible,
  add: AddRectangle,
): void {
  const { firstRow, endRow, firstColumn, endColumn } = visible;
  for (let row = firstRow; row < endRow; row++) {
    const y = lines.y[row] ?? 0;
    const height = (lines.y[row + 1] ?? 0) - y;
    for (let column = firstColumn; column < endColumn; column++) {
      if (keep[row * columns + column] !== 0) continue;
      const from = column;
      while (column < endColumn && keep[row * columns + column] === 0) column++;
      const x = lines.x[from] ?? 0;
      add(x, y, (lines.x[column] ?? 0) - x, height);
    }
  }
}

/**
 * Lines of `width` device pixels between kept patches and what is not kept (dropped patches, the picture's surroundings), those
 * of one straight stretch as one rectangle.
 */
export function keptContours(
  keep: Uint8Array,
  { rows, columns }: Grid,
  lines: Lines,
  visible: Visible,
  width: number,
  add: AddRectangle,
): void {
  const { firstRow, endRow, firstColumn, endColumn } = visible;
  const before = Math.floor(width / 2);
  const kept = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < rows && column < columns && keep[row * columns + column] === 1;
  for (let row = firstRow; row <= endRow; row++) {
    const y = (lines.y[row] ?? 0) - before;
    for (let column = firstColumn; column < endColumn; column++) {
      if (kept(row - 1, column) === kept(row, column)) continue;
      const from = column;
      while (column < endColumn && kept(row - 1, column) !== kept(row, column)) column++;
      const x = (lines.x[from] ?? 0) - before;
      add(x, y, (lines.x[column] ?? 0) - before + width - x, width);
    }
  }
  for (let column = firstColumn; column <= endColumn; column++) {
    const x = (lines.x[column] ?? 0) - before;
    for (let row = firstRow; row < endRow; row++) {
      if (kept(row, column - 1) === kept(row, column)) continue;
      const from = row;
      while (row < endRow && kept(row, column - 1) !== kept(row, column)) row++;
      const y = (lines.y[from] ?? 0) - before;
      add(x, y, width, (lines.y[row] ?? 0) - before + width - y);
    }
  }
}
