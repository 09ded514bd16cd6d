import { describe, expect, it } from 'vitest';
import { droppedRuns, keptContours, visiblePatches, type Lines } from '../../../../webview/canvas/visiblePatches';

const grid = { rows: 3, columns: 4 };
const lines: Lines = { x: [0, 10, 20, 30, 40], y: [0, 10, 20, 30] };
const everything = { firstRow: 0, endRow: 3, firstColumn: 0, endColumn: 4 };

function rectangles(draw: (add: (...rectangle: [number, number, number, number]) => void) => void): number[][] {
  const drawn: number[][] = [];
  draw((...rectangle) => drawn.push(rectangle));
  return drawn;
}

describe('patches on the canvas', () => {
  it('are those that touch it', () => {
    expect(visiblePatches(lines, 40, 30)).toEqual(everything);
    const moved = { x: lines.x.map((x) => x - 15), y: lines.y.map((y) => y - 10) };
    expect(visiblePatches(moved, 12, 11)).toEqual({ firstRow: 1, endRow: 3, firstColumn: 1, endColumn: 3 });
  });

  it('are none when the picture lies elsewhere', () => {
    const { firstColumn, endColumn } = visiblePatches({ x: [50, 60], y: [0, 10] }, 40, 30);
    expect(endColumn - firstColumn).toBe(0);
  });

  it('that are dropped share one rectangle with their neighbours in the row', () => {
    const keep = Uint8Array.of(0, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0);
    expect(rectangles((add) => droppedRuns(keep, grid, lines, everything, add))).toEqual([
      [0, 0, 20, 10],
      [30, 0, 10, 10],
      [0, 20, 40, 10],
    ]);
  });

  it('that are kept have a contour without inner lines, closed at the corners', () => {
    const keep = Uint8Array.of(0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0);
    expect(rectangles((add) => keptContours(keep, grid, lines, everything, 2, add))).toEqual([
      [9, 9, 22, 2],
      [9, 19, 22, 2],
      [9, 9, 2, 12],
      [29, 9, 2, 12],
    ]);
  });

  it('have a contour along the edge of the picture', () => {
    const keep = new Uint8Array(12).fill(1);
    expect(rectangles((add) => keptContours(keep, grid, lines, everything, 1, add))).toHaveLength(4);
  });
});
