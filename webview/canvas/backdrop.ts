import { contextOf } from './bitmaps';

/** A rectangle of the canvas, in whole device pixels. */
export interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A photograph and the heat map over it: what neither the mask nor the pointer changes. */
export interface Backdrop {
  readonly picture: HTMLCanvasElement;
  /** One pixel per patch; none shows the photograph alone. */
  readonly heat: HTMLCanvasElement | undefined;
  /** Of the heat map. */
  readonly opacity: number;
  /** Patches across and down the picture, which may end within one. */
  readonly across: number;
  readonly down: number;
  /** How the photograph is scaled; undefined shows its pixels as squares. */
  readonly smoothing: ImageSmoothingQuality | undefined;
  readonly place: Place;
}

export type DrawBackdrop = (context: CanvasRenderingContext2D, backdrop: Backdrop) => void;

/** Draws a backdrop by scaling its pictures: the dearest part of a frame. */
export function paintBackdrop(context: CanvasRenderingContext2D, backdrop: Backdrop): void {
  const { left, top, width, height } = backdrop.place;
  context.imageSmoothingEnabled = backdrop.smoothing !== undefined;
  if (backdrop.smoothing !== undefined) context.imageSmoothingQuality = backdrop.smoothing;
  context.drawImage(backdrop.picture, left, top, width, height);
  if (backdrop.heat === undefined) return;
  context.globalAlpha = backdrop.opacity;
  paintPatches(context, backdrop.heat, backdrop, backdrop.place);
  context.globalAlpha = 1;
}

/** A bitmap of one pixel per patch over the picture, cut where the last patches are. */
export function paintPatches(
  context: CanvasRenderingContext2D,
  bitmap: HTMLCanvasElement,
  { across, down }: Pick<Backdrop, 'across' | 'down'>,
  { left, top, width, height }: Place,
): void {
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, across, down, left, top, width, height);
}

/** The backdrops of a canvas, kept from frame to frame. */
export class KeptBackdrops {
  private readonly kept: KeptBackdrop[] = [];
  private used = 0;

  /** Draws the backdrops of the next frame: the first of it from the first that is kept, and so on. */
  frame(): DrawBackdrop {
    // A backdrop that the last frame did not use is not needed again soon.
    this.kept.length = this.used;
    this.used = 0;
    return (context, backdrop) => {
      const kept = (this.kept[this.used] ??= new KeptBackdrop());
      this.used++;
      kept.paint(context, backdrop);
    };
  }
}

/**
 * A backdrop that is kept as it lies on the canvas: drawn again it is copied pixel by pixel, and where it moved only what came
 * into view is scaled. It takes the memory of one canvas, joined at opposite edges: moving it moves no pixel, only where the
 * canvas' corner lies in it.
 */
class KeptBackdrop {
  private readonly canvas = document.createElement('canvas');
  private readonly context = contextOf(this.canvas);
  private kept: Backdrop | undefined;
  private cornerX = 0;
  private cornerY = 0;

  paint(context: CanvasRenderingContext2D, backdrop: Backdrop): void {
    const { width, height } = context.canvas;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.kept = undefined;
    }
    const dx = backdrop.place.left - (this.kept?.place.left ?? 0);
    const dy = backdrop.place.top - (this.kept?.place.top ?? 0);
    if (
      this.kept === undefined ||
      !sameScaled(this.kept, backdrop) ||
      Math.abs(dx) >= width ||
      Math.abs(dy) >= height
    ) {
      this.cornerX = this.cornerY = 0;
      this.scale(backdrop, { left: 0, top: 0, width, height });
    } else this.move(backdrop, dx, dy);
    this.kept = backdrop;
    this.pieces({ left: 0, top: 0, width, height }, (piece, x, y) => {
      const { left, top, width: across, height: down } = piece;
      context.drawImage(this.canvas, left + x, top + y, across, down, left, top, across, down);
    });
  }

  private move(backdrop: Backdrop, dx: number, dy: number): void {
    const { width, height } = this.canvas;
    this.cornerX = (this.cornerX - dx + width) % width;
    this.cornerY = (this.cornerY - dy + height) % height;
    const column = Math.abs(dx);
    const row = Math.abs(dy);
    this.scale(backdrop, { left: dx > 0 ? 0 : width - column, top: 0, width: column, height });
    // Without the corner that both share.
    const left = dx > 0 ? column : 0;
    this.scale(backdrop, { left, top: dy > 0 ? 0 : height - row, width: width - column, height: row });
  }

  /** Fills a part of the canvas anew. */
  private scale(backdrop: Backdrop, part: Place): void {
    this.pieces(part, ({ left, top, width, height }, x, y) => {
      this.context.save();
      this.context.translate(x, y);
      this.context.beginPath();
      this.context.rect(left, top, width, height);
      this.context.clip();
      this.context.clearRect(left, top, width, height);
      paintBackdrop(this.context, backdrop);
      this.context.restore();
    });
  }

  /** Cuts a part of the canvas where the kept one is joined; `visit` receives how far each piece is moved there. */
  private pieces(part: Place, visit: (piece: Place, x: number, y: number) => void): void {
    const { cornerX, cornerY } = this;
    const { width, height } = this.canvas;
    for (const [left, across, x] of cut(part.left, part.width, cornerX, width)) {
      for (const [top, down, y] of cut(part.top, part.height, cornerY, height)) {
        visit({ left, top, width: across, height: down }, x, y);
      }
    }
  }
}

type Stretch = readonly [start: number, length: number, shift: number];

/** An interval of an axis of which `corner` is the origin, on a ring of `length`. */
function cut(start: number, extent: number, corner: number, length: number): Stretch[] {
  const join = length - corner;
  const before = Math.max(0, Math.min(extent, join - start));
  const stretches: Stretch[] = [
    [start, before, corner],
    [start + before, extent - before, corner - length],
  ];
  return stretches.filter(([, size]) => size > 0);
}

/** True if two backdrops differ in their corner only. */
function sameScaled(a: Backdrop, b: Backdrop): boolean {
  return (
    a.picture === b.picture &&
    a.heat === b.heat &&
    a.opacity === b.opacity &&
    a.smoothing === b.smoothing &&
    a.across === b.across &&
    a.down === b.down &&
    a.place.width === b.place.width &&
    a.place.height === b.place.height
  );
}
