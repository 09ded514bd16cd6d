import { maskBitmap, contextOf } from './bitmaps';
import { paintBackdrop, paintPatches, type DrawBackdrop, type Backdrop, type Place } from './backdrop';
import type { Palette } from './theme';
import { pixelatedFrom } from './viewport';
import { droppedRuns, keptContours, visiblePatches, type Lines, type Visible } from './visiblePatches';
import type { Grid } from '../../src/method/types';

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
  /** Another scene of the same canvas, shown right of `swipe`. */
  readonly other: Scene | undefined;
  readonly heat: HTMLCanvasElement | undefined;
  readonly opacity: number;
  /** N values, 1 = kept; none while that is not known or not shown. */
  readonly keep: Uint8Array;
  readonly outlineKept: boolean;
  /** Dropped patches are dimmed and hatched, edge patches notched. */
  readonly showDropped: boolean;
  readonly focused: number | undefined;
  readonly pinned: boolean;
  readonly marks: Marks;
  readonly palette: Palette;
}

/** Patches that were changed by hand, and those that share a code with the focused one. */
export interface Marks {
  readonly kept: readonly number[];
  readonly dropped: readonly number[];
  /** Another code is decoded. */
  readonly replaced: readonly number[];
  readonly twins: readonly number[];
}

const paper = 'rgb(255 255 255 / 0.92)';
const ink = 'rgb(0 0 0 / 0.4)';

/** Device-independent pixels of a patch's side from which its marks can be distinguished. */
const legibleOutline = 7;
const legibleHatch = 5;
const legibleNotch = 12;
/** From here on, an outline is white between dark hairlines. */
const roomForHairlines = 16;

/**
 * Paints a scene, and right of the swipe line the other one.
 *
 * @param smoothing of photographs that are not shown as squares.
 * @param drawBackdrop draws the photographs with their heat maps.
 */
export function paint(
  context: CanvasRenderingContext2D,
  scene: Scene,
  smoothing: ImageSmoothingQuality = 'high',
  drawBackdrop: DrawBackdrop = paintBackdrop,
): void {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  paintOne(context, scene, smoothing, drawBackdrop);
  if (scene.other === undefined) return;
  const { transform, ratio, swipe, imageWidth } = scene;
  const from = Math.round(ratio * (transform.x + swipe * transform.k * imageWidth));
  clipped(context, from, canvas.width, () => {
    context.clearRect(from, 0, canvas.width - from, canvas.height);
    if (scene.other !== undefined) paintOne(context, scene.other, smoothing, drawBackdrop);
  });
}

/**
 * Picture, heat map, mask, outlines, focus. Every kind of mark is one path of few rectangles, and only patches on the canvas are
 * looked at, so that a picture of fifty thousand patches can be dragged.
 */
function paintOne(
  context: CanvasRenderingContext2D,
  scene: Scene,
  smoothing: ImageSmoothingQuality,
  drawBackdrop: DrawBackdrop,
): void {
  const { canvas } = context;
  const lines = gridLines(scene);
  paintBackdrops(context, scene, placeOf(lines), smoothing, drawBackdrop);
  const visible = visiblePatches(lines, canvas.width, canvas.height);
  const side = scene.transform.k * scene.patchSide;
  if (scene.showDropped) {
    paintDropped(context, scene, lines, visible, side);
    if (side >= legibleNotch) paintEdgeMarks(context, scene, lines, visible);
  }
  if (scene.outlineKept && side >= legibleOutline) paintOutlines(context, scene, lines, visible, side);
  paintMarks(context, scene, lines, visible, side);
  if (scene.focused !== undefined) paintFocus(context, scene, lines, scene.focused);
}

/** The picture with its heat map; with a swipe line, one at each side of it. */
function paintBackdrops(
  context: CanvasRenderingContext2D,
  scene: Scene,
  place: Place,
  smoothing: ImageSmoothingQuality,
  drawBackdrop: DrawBackdrop,
): void {
  const { base, swiped, heat, opacity } = scene;
  const backdrop: Backdrop = {
    picture: base,
    heat,
    opacity,
    ...patchesOf(scene),
    smoothing: scene.transform.k * scene.ratio < pixelatedFrom ? smoothing : undefined,
    place,
  };
  if (swiped === undefined) {
    drawBackdrop(context, backdrop);
    return;
  }
  const from = place.left + Math.round(scene.swipe * place.width);
  clipped(context, place.left, from, () => drawBackdrop(context, backdrop));
  clipped(context, from, place.left + place.width, () => drawBackdrop(context, { ...backdrop, picture: swiped }));
}

/** Draws between two columns of the canvas only. */
function clipped(context: CanvasRenderingContext2D, from: number, to: number, draw: () => void): void {
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, context.canvas.height);
  context.clip();
  draw();
  context.restore();
}

/** The picture's corner lies on a whole pixel, so that panning shifts everything by the same number of pixels. */
function gridLines({ transform, ratio, imageWidth, imageHeight, patchSide, grid }: Scene): Lines {
  const axis = (origin: number, extent: number, cells: number): number[] => {
    const corner = Math.round(ratio * origin);
    return Array.from(
      { length: cells + 1 },
      (_, i) => corner + Math.round(ratio * transform.k * Math.min(extent, patchSide * i)),
    );
  };
  return { x: axis(transform.x, imageWidth, grid.columns), y: axis(transform.y, imageHeight, grid.rows) };
}

function placeOf({ x, y }: Lines): Place {
  const [left, top] = [x[0] ?? 0, y[0] ?? 0];
  return { left, top, width: (x.at(-1) ?? 0) - left, height: (y.at(-1) ?? 0) - top };
}

function patchesOf({ imageWidth, imageHeight, patchSide }: Scene): Pick<Backdrop, 'across' | 'down'> {
  return { across: imageWidth / patchSide, down: imageHeight / patchSide };
}

/** Dropped patches are dimmed, and hatched as well: colour alone does not tell. */
function paintDropped(
  context: CanvasRenderingContext2D,
  scene: Scene,
  lines: Lines,
  visible: Visible,
  side: number,
): void {
  const { palette, keep, grid } = scene;
  context.globalAlpha = scene.opacity;
  paintPatches(context, droppedMask(keep, grid, palette.background, false), patchesOf(scene), placeOf(lines));
  if (side < legibleHatch) {
    // Patches smaller than the hatch's distance are hatched as they are.
    context.globalAlpha = hatchAlpha(palette);
    paintPatches(context, droppedMask(keep, grid, palette.foreground, true), patchesOf(scene), placeOf(lines));
    context.globalAlpha = 1;
    return;
  }
  context.globalAlpha = 1;
  const pattern = hatch(context, scene);
  if (pattern === null) return;
  context.beginPath();
  droppedRuns(keep, grid, lines, visible, (x, y, width, height) => context.rect(x, y, width, height));
  // The hatch belongs to the image, not to the window: it moves along when panning.
  pattern.setTransform(new DOMMatrix().translate(lines.x[0] ?? 0, lines.y[0] ?? 0));
  context.fillStyle = pattern;
  context.fill();
}

const masks = new WeakMap<Uint8Array, Map<string, HTMLCanvasElement>>();

/** One pixel for each dropped patch; with `striped`, for every third diagonal of them. Made once for every kept set. */
function droppedMask(keep: Uint8Array, { columns }: Grid, colour: string, striped: boolean): HTMLCanvasElement {
  const known = masks.get(keep) ?? new Map<string, HTMLCanvasElement>();
  masks.set(keep, known);
  const key = `${colour} ${striped}`;
  let mask = known.get(key);
  if (mask === undefined) {
    const shown = (patch: number): boolean => !striped || (Math.floor(patch / columns) + (patch % columns)) % 3 === 0;
    mask = maskBitmap(keep.length, columns, colour, (patch) => keep[patch] === 0 && shown(patch));
    known.set(key, mask);
  }
  return mask;
}

function hatchAlpha({ highContrast }: Palette): number {
  return highContrast ? 0.9 : 0.42;
}

const hatches = new Map<string, HTMLCanvasElement>();

function hatch(context: CanvasRenderingContext2D, { palette, ratio }: Scene): CanvasPattern | null {
  const size = Math.max(4, Math.round(7 * ratio));
  const key = `${size} ${palette.foreground} ${palette.highContrast}`;
  let tile = hatches.get(key);
  if (tile === undefined) {
    tile = document.createElement('canvas');
    tile.width = tile.height = size;
    const lines = contextOf(tile);
    lines.strokeStyle = palette.foreground;
    lines.globalAlpha = hatchAlpha(palette);
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
function paintEdgeMarks(context: CanvasRenderingContext2D, scene: Scene, lines: Lines, visible: Visible): void {
  const { rows, columns } = scene.grid;
  const { firstRow, endRow, firstColumn, endColumn } = visible;
  const side = (lines.x[1] ?? 0) - (lines.x[0] ?? 0);
  const size = side * 0.14;
  context.beginPath();
  const notch = (cx: number, cy: number, dx: number, dy: number): void => {
    context.moveTo(cx + dy * size, cy + dx * size);
    context.lineTo(cx - dy * size, cy - dx * size);
    context.lineTo(cx - dx * size, cy - dy * size);
    context.closePath();
  };
  const middle = (ends: readonly number[], cell: number): number => ((ends[cell] ?? 0) + (ends[cell + 1] ?? 0)) / 2;
  for (let column = firstColumn; column < endColumn; column++) {
    const x = middle(lines.x, column);
    if (firstRow === 0) notch(x, lines.y[0] ?? 0, 0, -1);
    if (endRow === rows) notch(x, lines.y[rows] ?? 0, 0, 1);
  }
  for (let row = firstRow; row < endRow; row++) {
    const y = middle(lines.y, row);
    if (firstColumn === 0) notch(lines.x[0] ?? 0, y, -1, 0);
    if (endColumn === columns) notch(lines.x[columns] ?? 0, y, 1, 0);
  }
  context.strokeStyle = ink;
  context.lineWidth = scene.ratio;
  context.stroke();
  context.fillStyle = paper;
  context.fill();
}

/** Contours of what is kept: between two kept patches there is nothing to tell apart. */
function paintOutlines(
  context: CanvasRenderingContext2D,
  scene: Scene,
  lines: Lines,
  visible: Visible,
  side: number,
): void {
  const contours = (width: number, colour: string): void => {
    context.beginPath();
    keptContours(scene.keep, scene.grid, lines, visible, width, (x, y, w, h) => context.rect(x, y, w, h));
    context.fillStyle = colour;
    context.fill();
  };
  // Small patches take a thinner line, or it would cover them.
  const widest = scene.palette.highContrast ? 3 : 2;
  const stroke = Math.max(1, Math.round(scene.ratio * Math.min(widest, side / 12)));
  const hairline = Math.max(1, Math.round(scene.ratio / 2));
  // White between dark hairlines shows on every colour.
  if (side >= roomForHairlines) contours(stroke + 2 * hairline, ink);
  contours(stroke, paper);
}

/** Device-independent pixels of a patch's side from which shapes within it can be told apart. */
const legibleMark = 9;

/**
 * Forced patches carry a plus or a cross in a corner, replaced codes a filled square in another; patches of one code a frame. Shapes tell
 * them apart, not colours. Each kind is one path.
 */
function paintMarks(
  context: CanvasRenderingContext2D,
  { marks, grid, ratio, palette }: Scene,
  lines: Lines,
  { firstRow, endRow, firstColumn, endColumn }: Visible,
  side: number,
): void {
  const onCanvas = (
    patches: readonly number[],
    add: (x: number, y: number, width: number, height: number) => void,
  ): void => {
    for (const patch of patches) {
      const [row, column] = [Math.floor(patch / grid.columns), patch % grid.columns];
      if (row < firstRow || row >= endRow || column < firstColumn || column >= endColumn) continue;
      const [x, y] = [lines.x[column] ?? 0, lines.y[row] ?? 0];
      add(x, y, (lines.x[column + 1] ?? x) - x, (lines.y[row + 1] ?? y) - y);
    }
  };
  const stroke = (width: number, colour: string): void => {
    context.lineWidth = width * ratio;
    context.strokeStyle = colour;
    context.stroke();
  };
  if (marks.twins.length > 0) {
    context.beginPath();
    const inset = Math.min(2, side / 6) * ratio;
    onCanvas(marks.twins, (x, y, width, height) =>
      context.rect(x + inset, y + inset, width - 2 * inset, height - 2 * inset),
    );
    stroke(4, 'rgb(0 0 0 / 0.7)');
    stroke(2, palette.accent);
  }
  if (side < legibleMark) return;
  const arm = Math.min(4.5, side / 5) * ratio;
  const shape = (patches: readonly number[], draw: (x: number, y: number) => void): void => {
    if (patches.length === 0) return;
    context.beginPath();
    onCanvas(patches, draw);
    stroke(4, 'rgb(0 0 0 / 0.8)');
    stroke(2, '#ffffff');
  };
  const margin = arm + 3 * ratio;
  shape(marks.kept, (x, y) => {
    context.moveTo(x + margin - arm, y + margin);
    context.lineTo(x + margin + arm, y + margin);
    context.moveTo(x + margin, y + margin - arm);
    context.lineTo(x + margin, y + margin + arm);
  });
  shape(marks.dropped, (x, y) => {
    context.moveTo(x + margin - arm, y + margin - arm);
    context.lineTo(x + margin + arm, y + margin + arm);
    context.moveTo(x + margin - arm, y + margin + arm);
    context.lineTo(x + margin + arm, y + margin - arm);
  });
  if (marks.replaced.length === 0) return;
  context.beginPath();
  onCanvas(marks.replaced, (x, y, width) =>
    context.rect(x + width - margin - arm, y + margin - arm, 1.6 * arm, 1.6 * arm),
  );
  stroke(3, 'rgb(0 0 0 / 0.8)');
  context.fillStyle = '#ffffff';
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
