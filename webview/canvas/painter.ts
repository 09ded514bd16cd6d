import type { Palette } from './theme';
import { pixelatedFrom } from './viewport';
import type { Grid } from '../../src/tokenizer/types';

/** One frame of the canvas. Lengths in CSS pixels; `ratio` device pixels each. */
export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  /** Where the image's corner lies and CSS pixels per image pixel. */
  readonly transform: { readonly x: number; readonly y: number; readonly k: number };
  readonly imageWidth: number;
  readonly imageHeight: number;
  /** Image pixels; patches at the right and lower edges may be cut. */
  readonly patchSide: number;
  readonly grid: Grid;
  readonly base: HTMLCanvasElement;
  /** Shown right of `swipe` (share of the image's width). */
  readonly swiped: HTMLCanvasElement | undefined;
  readonly swipe: number;
  readonly heat: HTMLCanvasElement | undefined;
  readonly opacity: number;
  /** N values, 1 = kept. */
  readonly keep: Uint8Array;
  readonly outlineKept: boolean;
  /** Dropped patches are dimmed and hatched, edge patches notched. */
  readonly showDropped: boolean;
  readonly focused: number | undefined;
  readonly pinned: boolean;
  readonly palette: Palette;
}

/** Device-pixel positions of the grid's lines, so that every edge is crisp and neighbours share it. */
interface Lines {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

const paper = 'rgb(255 255 255 / 0.92)';
const ink = 'rgb(0 0 0 / 0.4)';

/** Paints a scene: picture, heat map, mask, outlines, focus. Every kind of mark is one path, whatever the number of patches. */
export function paint(context: CanvasRenderingContext2D, scene: Scene): void {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const lines = gridLines(scene);
  const left = lines.x[0] ?? 0;
  const top = lines.y[0] ?? 0;
  const width = (lines.x.at(-1) ?? 0) - left;
  const height = (lines.y.at(-1) ?? 0) - top;

  context.imageSmoothingQuality = 'high';
  context.imageSmoothingEnabled = scene.transform.k * scene.ratio < pixelatedFrom;
  context.drawImage(scene.base, left, top, width, height);
  if (scene.swiped !== undefined) {
    const from = Math.round(left + scene.swipe * width);
    context.save();
    context.beginPath();
    context.rect(from, top, left + width - from, height);
    context.clip();
    context.drawImage(scene.swiped, left, top, width, height);
    context.restore();
  }
  if (scene.heat !== undefined) {
    context.imageSmoothingEnabled = false;
    context.globalAlpha = scene.opacity;
    // One pixel per patch: cut where the last patches are.
    const across = scene.imageWidth / scene.patchSide;
    const down = scene.imageHeight / scene.patchSide;
    context.drawImage(scene.heat, 0, 0, across, down, left, top, width, height);
    context.globalAlpha = 1;
  }
  if (scene.showDropped) {
    paintDropped(context, scene, lines);
    paintEdgeMarks(context, scene, lines);
  }
  if (scene.outlineKept) paintOutlines(context, scene, lines);
  if (scene.focused !== undefined) paintFocus(context, scene, lines, scene.focused);
}

function gridLines({ transform, ratio, imageWidth, imageHeight, patchSide, grid }: Scene): Lines {
  const axis = (origin: number, extent: number, cells: number): number[] =>
    Array.from({ length: cells + 1 }, (_, i) =>
      Math.round(ratio * (origin + transform.k * Math.min(extent, patchSide * i))),
    );
  return { x: axis(transform.x, imageWidth, grid.columns), y: axis(transform.y, imageHeight, grid.rows) };
}

/** Calls back for every patch on the canvas, with its rectangle in device pixels. */
function forVisible(
  context: CanvasRenderingContext2D,
  { grid }: Scene,
  lines: Lines,
  visit: (patch: number, x: number, y: number, width: number, height: number) => void,
): void {
  for (let row = 0; row < grid.rows; row++) {
    const y = lines.y[row] ?? 0;
    const bottom = lines.y[row + 1] ?? 0;
    if (bottom < 0 || y > context.canvas.height) continue;
    for (let column = 0; column < grid.columns; column++) {
      const x = lines.x[column] ?? 0;
      const right = lines.x[column + 1] ?? 0;
      if (right < 0 || x > context.canvas.width) continue;
      visit(row * grid.columns + column, x, y, right - x, bottom - y);
    }
  }
}

function paintDropped(context: CanvasRenderingContext2D, scene: Scene, lines: Lines): void {
  context.beginPath();
  forVisible(context, scene, lines, (patch, x, y, width, height) => {
    if (scene.keep[patch] === 0) context.rect(x, y, width, height);
  });
  context.globalAlpha = scene.opacity;
  context.fillStyle = scene.palette.background;
  context.fill();
  context.globalAlpha = 1;
  const pattern = hatch(context, scene);
  if (pattern === null) return;
  // The hatch belongs to the image, not to the window: it moves along when panning.
  pattern.setTransform(new DOMMatrix().translate(lines.x[0] ?? 0, lines.y[0] ?? 0));
  context.fillStyle = pattern;
  context.fill();
}

const hatches = new Map<string, HTMLCanvasElement>();

function hatch(context: CanvasRenderingContext2D, { palette, ratio }: Scene): CanvasPattern | null {
  const size = Math.max(4, Math.round(7 * ratio));
  const key = `${size} ${palette.foreground} ${palette.highContrast}`;
  let tile = hatches.get(key);
  if (tile === undefined) {
    tile = document.createElement('canvas');
    tile.width = tile.height = size;
    const lines = tile.getContext('2d');
    if (lines === null) return null;
    lines.strokeStyle = palette.foreground;
    lines.globalAlpha = palette.highContrast ? 0.9 : 0.42;
    lines.lineWidth = Math.max(1, ratio);
    // Three strokes, so that the tile's corners join without a gap.
    for (const offset of [-size, 0, size]) {
      lines.moveTo(offset, size);
      lines.lineTo(offset + size, 0);
    }
    lines.stroke();
    hatches.set(key, tile);
  }
  return context.createPattern(tile, 'repeat');
}

/** Edge patches carry a notch in their outer side: they anchor the sequence in space, and β favours them. */
function paintEdgeMarks(context: CanvasRenderingContext2D, scene: Scene, lines: Lines): void {
  const { rows, columns } = scene.grid;
  context.beginPath();
  forVisible(context, scene, lines, (patch, x, y, width, height) => {
    const row = Math.floor(patch / columns);
    const column = patch % columns;
    const size = Math.min(width, height) * 0.14;
    const notch = (cx: number, cy: number, dx: number, dy: number): void => {
      context.moveTo(cx + dy * size, cy + dx * size);
      context.lineTo(cx - dy * size, cy - dx * size);
      context.lineTo(cx - dx * size, cy - dy * size);
      context.closePath();
    };
    if (row === 0) notch(x + width / 2, y, 0, -1);
    else if (row === rows - 1) notch(x + width / 2, y + height, 0, 1);
    if (column === 0) notch(x, y + height / 2, -1, 0);
    else if (column === columns - 1) notch(x + width, y + height / 2, 1, 0);
  });
  context.strokeStyle = ink;
  context.lineWidth = scene.ratio;
  context.stroke();
  context.fillStyle = paper;
  context.fill();
}

function paintOutlines(context: CanvasRenderingContext2D, scene: Scene, lines: Lines): void {
  const cell = Math.min((lines.x[1] ?? 0) - (lines.x[0] ?? 0), (lines.y[1] ?? 0) - (lines.y[0] ?? 0));
  // Small patches take a hairline, or the outline would cover them.
  const stroke = Math.max(
    1,
    Math.min(Math.round(scene.ratio * (scene.palette.highContrast ? 3 : 2)), Math.floor(cell / 8)),
  );
  if (cell < 16 * scene.ratio) {
    frame(context, scene, lines, stroke, 0, paper);
    return;
  }
  // White between dark hairlines shows on every colour, and a gap keeps neighbours apart.
  const hairline = Math.max(1, Math.round(scene.ratio / 2));
  frame(context, scene, lines, hairline, 0, ink);
  frame(context, scene, lines, stroke, hairline, paper);
}

/** Frames of all kept patches, `inset` inside their cells, filled as one even-odd path (no joins to stroke). */
function frame(
  context: CanvasRenderingContext2D,
  scene: Scene,
  lines: Lines,
  stroke: number,
  inset: number,
  colour: string,
): void {
  context.beginPath();
  forVisible(context, scene, lines, (patch, x, y, width, height) => {
    if (scene.keep[patch] !== 1) return;
    const left = x + inset;
    const top = y + inset;
    const w = width - 2 * inset;
    const h = height - 2 * inset;
    context.rect(left, top, w, stroke);
    context.rect(left, top + h - stroke, w, stroke);
    context.rect(left, top + stroke, stroke, h - 2 * stroke);
    context.rect(left + w - stroke, top + stroke, stroke, h - 2 * stroke);
  });
  context.fillStyle = colour;
  context.fill();
}

function paintFocus(context: CanvasRenderingContext2D, scene: Scene, lines: Lines, patch: number): void {
  const row = Math.floor(patch / scene.grid.columns);
  const column = patch % scene.grid.columns;
  const x = lines.x[column] ?? 0;
  const y = lines.y[row] ?? 0;
  const width = (lines.x[column + 1] ?? x) - x;
  const height = (lines.y[row + 1] ?? y) - y;
  const { ratio } = scene;
  const ring = (grow: number, line: number, colour: string): void => {
    context.lineWidth = line * ratio;
    context.strokeStyle = colour;
    context.strokeRect(x - grow * ratio, y - grow * ratio, width + 2 * grow * ratio, height + 2 * grow * ratio);
  };
  ring(0.5, 6, 'rgb(0 0 0 / 0.7)');
  ring(0.5, 3, '#ffffff');
  // A pinned patch no longer follows the pointer, and says so.
  if (scene.pinned) ring(3.5, 2, scene.palette.accent);
}
