import { cssColour, type ColormapName } from '../canvas/colormaps';
import { contextOf } from '../canvas/bitmaps';
import type { Legend } from '../state/layers';
import { paint, type Scene } from '../canvas/painter';

/** A view of the picture with all that explains it. */
export interface Figure {
  /** As the canvas shows it; what is outside the canvas is outside the figure. */
  readonly scene: Scene;
  readonly title: string;
  readonly subtitle: string;
  readonly caption: readonly string[];
  readonly legend: Legend | undefined;
  readonly colormap: ColormapName;
  /** Names of what is left and right of the swipe line. */
  readonly swipeLabels: readonly [left: string, right: string];
}

/** Lengths of the layout, in units of which the picture's longer side has {@link side}. */
const side = 768;
const margin = 20;
const titleSize = 18;
const textSize = 14;
const lineHeight = 20;
const legendWidth = 96;
const barWidth = 16;

/** Pixels of the picture's longer side: never fewer than the image's own, within what a canvas can hold. */
const leastPixels = 1536;
const mostPixels = 4096;

/** Figures stand on paper, whatever the theme. */
const paper = '#ffffff';
const ink = '#1f1f1f';
const faint = '#595959';
const palette = { background: paper, foreground: ink, accent: '#005fb8', highContrast: false };
const font = 'system-ui, -apple-system, "Segoe UI", sans-serif';

/** Draws figures side by side: of each the title, picture, colour bar with units, caption. */
export function drawFigures(figures: readonly Figure[]): HTMLCanvasElement {
  const layouts = figures.map(layoutOf);
  const pixels = Math.max(leastPixels, ...layouts.map(({ part }) => Math.round(Math.max(part.width, part.height))));
  const ratio = Math.min(mostPixels / figures.length, pixels) / side;
  const width = layouts.reduce((sum, { room }) => sum + room + margin, margin);
  const canvas = newCanvas(
    Math.round(ratio * width),
    Math.round(ratio * Math.max(...layouts.map(({ bottom }) => bottom + margin))),
  );
  const context = contextOf(canvas);
  context.fillStyle = paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  let left = margin;
  for (const layout of layouts) {
    drawFigure(context, layout, left, ratio);
    left += layout.room + margin;
  }
  return canvas;
}

interface FigureLayout {
  readonly figure: Figure;
  readonly part: Part;
  /** Units of the layout for a pixel of the image. */
  readonly k: number;
  /** Of the picture. */
  readonly width: number;
  readonly height: number;
  /** Width of everything. */
  readonly room: number;
  /** Where the caption ends. */
  readonly bottom: number;
}

/** Where pictures begin. */
const top = margin + titleSize + lineHeight + 14;

function layoutOf(figure: Figure): FigureLayout {
  const part = visiblePart(figure.scene);
  const k = side / Math.max(part.width, part.height);
  const width = k * part.width;
  const height = k * part.height;
  return {
    figure,
    part,
    k,
    width,
    height,
    // Titles and captions need some room, however narrow the part is.
    room: Math.max(width, 480) + (figure.legend === undefined ? 0 : legendWidth),
    bottom: top + height + 10 + lineHeight * figure.caption.length,
  };
}

function drawFigure(context: CanvasRenderingContext2D, layout: FigureLayout, left: number, ratio: number): void {
  const { figure, part, k, width, height, room } = layout;
  const { transform } = figure.scene;
  const zoomed = k / transform.k;
  // The part's corner on the page's canvas becomes that of the picture.
  const corner = { x: transform.x + transform.k * part.left, y: transform.y + transform.k * part.top };
  const picture = drawPicture(onPaper(figure.scene, { width, height, ratio, zoomed, corner }));
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(picture, Math.round(ratio * left), Math.round(ratio * top));
  context.scale(ratio, ratio);
  write(context, figure.title, left, margin + titleSize, room, `600 ${titleSize}px ${font}`, ink);
  write(context, figure.subtitle, left, margin + titleSize + lineHeight + 2, room, `${textSize}px ${font}`, faint);
  figure.caption.forEach((line, i) => {
    const y = top + height + 10 + lineHeight * (i + 0.75);
    write(context, line, left, y, room, `${textSize}px ${font}`, ink);
  });
  if (figure.scene.swiped !== undefined || figure.scene.other !== undefined) {
    const from = k * (figure.scene.swipe * figure.scene.imageWidth - part.left);
    drawSwipe(context, figure, { left, top, width, height, from });
  }
  if (figure.legend !== undefined) {
    drawLegend(context, figure.legend, figure.colormap, left + width + 16, top, height);
  }
}

interface Paper {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  /** Units of the layout for a pixel of the page's canvas. */
  readonly zoomed: number;
  /** The part of the page's canvas that comes to lie in the corner. */
  readonly corner: { readonly x: number; readonly y: number };
}

/** A scene, and the other one that shares its canvas, as figures show it. */
function onPaper(scene: Scene, paper: Paper): Scene {
  const { width, height, ratio, zoomed, corner } = paper;
  const { x, y, k } = scene.transform;
  return {
    ...scene,
    width,
    height,
    ratio,
    transform: { x: zoomed * (x - corner.x), y: zoomed * (y - corner.y), k: zoomed * k },
    // A patch that the pointer happened to rest on does not belong to a figure.
    focused: scene.pinned ? scene.focused : undefined,
    marks: scene.pinned ? scene.marks : { ...scene.marks, twins: [] },
    other: scene.other && onPaper(scene.other, paper),
    palette,
  };
}

/** PNG bytes of a canvas. */
export function toPng(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob === null) reject(new Error('the picture is too large to encode.'));
      else resolve(blob);
    }, 'image/png');
  });
}

interface Part {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The part of the image that the canvas shows, in image pixels. */
function visiblePart({ width, height, transform: { x, y, k }, imageWidth, imageHeight }: Scene): Part {
  const left = Math.max(0, -x / k);
  const top = Math.max(0, -y / k);
  const right = Math.min(imageWidth, (width - x) / k);
  const bottom = Math.min(imageHeight, (height - y) / k);
  return { left, top, width: right - left, height: bottom - top };
}

function drawPicture(scene: Scene): HTMLCanvasElement {
  const canvas = newCanvas(Math.round(scene.width * scene.ratio), Math.round(scene.height * scene.ratio));
  paint(contextOf(canvas), scene);
  return canvas;
}

/** The line and the names that lie over the canvas in the page. */
function drawSwipe(
  context: CanvasRenderingContext2D,
  { swipeLabels: [leftName, rightName] }: Figure,
  at: Part & { readonly from: number },
): void {
  const x = at.left + at.from;
  if (at.from > 0 && at.from < at.width) {
    context.fillStyle = 'rgb(0 0 0 / 0.55)';
    context.fillRect(x - 2.5, at.top, 5, at.height);
    context.fillStyle = '#ffffff';
    context.fillRect(x - 1.5, at.top, 3, at.height);
  }
  context.font = `${textSize}px ${font}`;
  const label = (text: string, left: number): void => {
    const width = context.measureText(text).width + 12;
    const start = left < 0 ? x + left - width : x + left;
    if (start < at.left || start + width > at.left + at.width) return;
    context.fillStyle = 'rgb(0 0 0 / 0.7)';
    context.fillRect(start, at.top + 8, width, lineHeight);
    context.fillStyle = '#ffffff';
    context.fillText(text, start + 6, at.top + 8 + 0.75 * lineHeight);
  };
  label(leftName, -8);
  label(rightName, 8);
}

/** Colour bar from top to bottom: largest value, colours, smallest value, and what they are. */
function drawLegend(
  context: CanvasRenderingContext2D,
  legend: Legend,
  colormap: ColormapName,
  left: number,
  top: number,
  height: number,
): void {
  const [low, high] = legend.domain;
  const barTop = top + lineHeight;
  const barHeight = Math.max(40, height - 2 * lineHeight);
  const steps = 256;
  for (let i = 0; i < steps; i++) {
    context.fillStyle = cssColour(colormap, 1 - i / (steps - 1));
    // One step overlaps the next, so that rounding leaves no seams.
    const step = barHeight / steps;
    context.fillRect(left, barTop + i * step, barWidth, Math.min(2 * step, barHeight - i * step));
  }
  const room = legendWidth - barWidth;
  const text = `${textSize}px ${font}`;
  write(context, `${legend.open ? '≥ ' : ''}${legend.format(high)} ${legend.unit}`, left, top + 13, room, text, ink);
  write(context, legend.format(low), left, top + height - 4, room, text, ink);
  context.save();
  context.translate(left + barWidth + 20, barTop + barHeight / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = 'center';
  write(context, `${legend.title} (${legend.unit})`, 0, 0, barHeight, text, faint);
  context.restore();
}

/** One line, shortened in the middle when it does not fit: both ends of a file name matter. */
function write(
  context: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  room: number,
  style: string,
  colour: string,
): void {
  context.font = style;
  context.fillStyle = colour;
  let shown = text;
  for (let kept = text.length - 1; kept > 2 && context.measureText(shown).width > room; kept--) {
    shown = `${text.slice(0, Math.ceil(kept / 2))}…${text.slice(text.length - Math.floor(kept / 2))}`;
  }
  context.fillText(shown, x, y);
}

function newCanvas(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}
