import { contextOf } from './contextOf';

/** A rectangle of the canvas, in whole device pixels. */
export interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A photograph and the heat map over it: what neither the mask nor the pointer changes. */
export interface Ground {
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

export type DrawGround = (context: CanvasRenderingContext2D, ground: Ground) => void;

/** Draws a ground by scaling its pictures: the dearest part of a frame. */
export function paintGround(context: CanvasRenderingContext2D, ground: Ground): void {
  const { left, top, width, height } = ground.place;
  context.imageSmoothingEnabled = ground.smoothing !== undefined;
  if (ground.smoothing !== undefined) context.imageSmoothingQuality = ground.smoothing;
  context.drawImage(ground.picture, left, top, width, height);
  if (ground.heat === undefined) return;
  context.globalAlpha = ground.opacity;
  paintPatches(context, ground.heat, ground, ground.place);
  context.globalAlpha = 1;
}

/** A bitmap of one pixel per patch over the picture, cut where the last patches are. */
export function paintPatches(
  context: CanvasRenderingContext2D,
  bitmap: HTMLCanvasElement,
  { across, down }: Pick<Ground, 'across' | 'down'>,
  { left, top, width, height }: Place,
): void {
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, across, down, left, top, width, height);
}

/** The grounds of a canvas, kept from frame to frame. */
export class KeptGrounds {
  private readonly kept: KeptGround[] = [];
  private used = 0;

  /** What draws the grounds of the next frame: the first of it from the first that is kept, and so on. */
  frame(): DrawGround {
    // What the last frame did without is not needed again soon.
    this.kept.length = this.used;
    this.used = 0;
    return (context, ground) => {
      const kept = (this.kept[this.used] ??= new KeptGround());
      this.used++;
      kept.paint(context, ground);
    };
  }
}

/**
 * A ground that is kept as it lies on the canvas: drawn again it is copied pixel by pixel, and where it moved only what came
 * into view is scaled. It takes the memory of one canvas.
 */
class KeptGround {
  private readonly canvas = document.createElement('canvas');
  private readonly context = contextOf(this.canvas);
  private kept: Ground | undefined;

  paint(context: CanvasRenderingContext2D, ground: Ground): void {
    const { width, height } = context.canvas;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.kept = undefined;
    }
    if (this.kept === undefined || !sameScaled(this.kept, ground)) this.paintWhole(ground);
    else this.move(ground, ground.place.left - this.kept.place.left, ground.place.top - this.kept.place.top);
    this.kept = ground;
    context.drawImage(this.canvas, 0, 0);
  }

  private paintWhole(ground: Ground): void {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    paintGround(this.context, ground);
  }

  private move(ground: Ground, dx: number, dy: number): void {
    if (dx === 0 && dy === 0) return;
    const { width, height } = this.canvas;
    // What leaves the canvas is lost, and what comes in is transparent.
    this.context.globalCompositeOperation = 'copy';
    this.context.drawImage(this.canvas, dx, dy);
    this.context.globalCompositeOperation = 'source-over';
    const column = Math.min(width, Math.abs(dx));
    const row = Math.min(height, Math.abs(dy));
    this.paintPart(ground, dx > 0 ? 0 : width - column, 0, column, height);
    // Without the corner that both share: it would be drawn twice, and heat maps are translucent.
    this.paintPart(ground, dx > 0 ? column : 0, dy > 0 ? 0 : height - row, width - column, row);
  }

  private paintPart(ground: Ground, left: number, top: number, width: number, height: number): void {
    if (width === 0 || height === 0) return;
    this.context.save();
    this.context.beginPath();
    this.context.rect(left, top, width, height);
    this.context.clip();
    paintGround(this.context, ground);
    this.context.restore();
  }
}

/** Whether two grounds differ in their corner only. */
function sameScaled(a: Ground, b: Ground): boolean {
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
