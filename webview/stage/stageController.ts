import { batch, computed, effect, signal, untracked, type ReadonlySignal } from '@preact/signals';
import { select } from 'd3-selection';
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from 'd3-zoom';
import { contextOf } from '../canvas/bitmaps';
import { KeptBackdrops, paintBackdrop } from '../canvas/backdrop';
import { alignedPlacement } from '../canvas/alignment';
import type { Layers } from '../state/layers';
import { paint, type Marks, type Scene } from '../canvas/painter';
import type { Theme } from '../canvas/theme';
import {
  cameraTransform,
  clampTransform,
  largestScale,
  smallestScale,
  transformCamera,
  type Frame,
} from '../canvas/viewport';
import type { Experiments } from '../state/experiments';
import type { Inspector } from '../state/inspector';
import { patchSide } from '../../src/method/patch';
import type { Grid } from '../../src/method/types';

interface Size {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

const nothingKnown = new Uint8Array();

/** One picture with its overlay, as a canvas needs it. */
export interface StagePicture {
  readonly inspector: Inspector;
  readonly layers: Layers;
  /** Absent where there are none to make. */
  readonly experiments?: Experiments | undefined;
}

const noMarks: Marks = { kept: [], dropped: [], replaced: [], twins: [] };

/** Zoom, pan, sizes and repainting of the canvas. The page paints at most once per animation frame. */
export class StageController {
  readonly transform = signal<ZoomTransform>(zoomIdentity);
  private readonly size = signal<Size>({ width: 0, height: 0, ratio: 1 });
  private readonly behaviour: ZoomBehavior<HTMLCanvasElement, unknown>;
  private readonly context: CanvasRenderingContext2D;
  private readonly stops: (() => void)[] = [];
  private readonly backdrops = new KeptBackdrops();
  private readonly motion = new ZoomMotion(() => this.schedule());
  private scheduled: number | undefined;
  private applying = false;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly picture: StagePicture,
    private readonly theme: Theme,
    /** The picture right of the swipe line in place of this one. */
    private readonly other?: StagePicture,
    /** True if both are of one photograph. */
    private readonly onOnePhotograph?: ReadonlySignal<boolean>,
  ) {
    this.context = contextOf(canvas);
    this.behaviour = this.attachZoom();
    this.watchSize();
    this.stops.push(
      effect(() => this.applyCamera()),
      // However many signals changed, a frame is painted once.
      this.scene.subscribe(() => this.schedule()),
      () => this.motion.dispose(),
    );
  }

  dispose(): void {
    for (const stop of this.stops) stop();
    if (this.scheduled !== undefined) cancelAnimationFrame(this.scheduled);
    select(this.canvas).on('.zoom', null);
  }

  readonly frame: ReadonlySignal<Frame | undefined> = computed(() => this.frameOf(this.picture));

  private frameOf({ inspector }: StagePicture): Frame | undefined {
    const { width, height } = this.size.value;
    const image = inspector.picture.value?.image;
    if (image === undefined || width === 0 || height === 0) return undefined;
    return { width, height, imageWidth: image.width, imageHeight: image.height };
  }

  fit(): void {
    this.picture.inspector.camera.value = 'fit';
  }

  /** 1 image pixel = 1 CSS pixel, about the middle of the view. */
  actualSize(): void {
    this.behaviour.scaleTo(select<HTMLCanvasElement, unknown>(this.canvas), 1);
  }

  zoomBy(factor: number): void {
    this.behaviour.scaleBy(select<HTMLCanvasElement, unknown>(this.canvas), factor);
  }

  /** Index of the patch under a point in CSS pixels of the canvas. */
  patchAt(x: number, y: number): number | undefined {
    const picture = this.picture.inspector.picture.peek();
    if (picture === undefined) return undefined;
    const { image, model } = picture;
    const { grid } = image;
    const side = patchSide(model);
    const [imageX, imageY] = this.transform.peek().invert([x, y]);
    if (imageX >= image.width || imageY >= image.height) return undefined;
    const column = Math.floor(imageX / side);
    const row = Math.floor(imageY / side);
    if (row < 0 || column < 0 || row >= grid.rows || column >= grid.columns) return undefined;
    return row * grid.columns + column;
  }

  /** Where a patch lies in the page, CSS pixels; undefined while nothing is shown. Follows zoom and pan. */
  boxOf(patch: number): { x: number; y: number; width: number; height: number } | undefined {
    const picture = this.picture.inspector.picture.value;
    const { x, y, k } = this.transform.value;
    if (picture === undefined || this.size.value.width === 0) return undefined;
    const { columns } = picture.image.grid;
    const side = k * patchSide(picture.model);
    const canvas = this.canvas.getBoundingClientRect();
    return {
      x: canvas.x + x + side * (patch % columns),
      y: canvas.y + y + side * Math.floor(patch / columns),
      width: side,
      height: side,
    };
  }

  /** CSS pixels between two places of a stroke that lie in one patch or in neighbours. */
  get brushStep(): number {
    const model = this.picture.inspector.picture.peek()?.model;
    return model === undefined ? 1 : Math.max(1, (this.transform.peek().k * patchSide(model)) / 2);
  }

  /** Pans as little as needed to bring a patch into view. */
  reveal(patch: number): void {
    const picture = this.picture.inspector.picture.peek();
    const frame = this.frame.peek();
    if (picture === undefined || frame === undefined) return;
    const { columns } = picture.image.grid;
    const side = patchSide(picture.model);
    const transform = this.transform.peek();
    const shift = (cell: number, extent: number, offset: number, room: number): number => {
      const start = offset + transform.k * side * cell;
      const end = offset + transform.k * Math.min(extent, side * (cell + 1));
      return start < 0 ? -start : end > room ? room - end : 0;
    };
    const dx = shift(patch % columns, frame.imageWidth, transform.x, frame.width);
    const dy = shift(Math.floor(patch / columns), frame.imageHeight, transform.y, frame.height);
    if (dx !== 0 || dy !== 0) {
      this.behaviour.translateBy(select<HTMLCanvasElement, unknown>(this.canvas), dx / transform.k, dy / transform.k);
    }
  }

  private attachZoom(): ZoomBehavior<HTMLCanvasElement, unknown> {
    const behaviour = zoom<HTMLCanvasElement, unknown>()
      .extent(() => {
        const { width, height } = this.size.peek();
        return [
          [0, 0],
          [width, height],
        ];
      })
      .constrain((transform) => {
        const frame = this.frame.peek();
        return frame === undefined ? transform : clampTransform(transform, frame);
      })
      .filter((event: MouseEvent | TouchEvent) => {
        // As it is by default, but that a brush does not pan. Touches have no button.
        if (event.type === 'wheel') return true;
        return !event.ctrlKey && (event instanceof TouchEvent || event.button === 0) && !this.isBrushing();
      })
      .on('zoom', ({ transform, sourceEvent }: { transform: ZoomTransform; sourceEvent: unknown }) => {
        this.canvas.classList.toggle('panning', sourceEvent instanceof MouseEvent && sourceEvent.type === 'mousemove');
        batch(() => {
          this.transform.value = transform;
          // At once, not when the gesture ends: another canvas may share the camera.
          this.rememberCamera(transform);
        });
      })
      .on('end', () => this.canvas.classList.remove('panning'));
    select(this.canvas).call(behaviour).on('dblclick.zoom', null);
    return behaviour;
  }

  private isBrushing(): boolean {
    const { experiments } = this.picture;
    return experiments !== undefined && experiments.tool.peek() !== 'inspect';
  }

  private rememberCamera(transform: ZoomTransform): void {
    const frame = this.frame.peek();
    if (frame === undefined || this.applying) return;
    const fitted = cameraTransform('fit', frame);
    const isFit = Math.abs(transform.k / fitted.k - 1) < 1e-6;
    this.picture.inspector.camera.value = isFit ? 'fit' : transformCamera(transform, frame);
  }

  /** Follows the camera and the panel's size; a camera that the user's own gesture left here changes nothing. */
  private applyCamera(): void {
    const frame = this.frame.value;
    const camera = this.picture.inspector.camera.value;
    if (frame === undefined) return;
    this.behaviour.scaleExtent([smallestScale(frame), largestScale]);
    const wanted = cameraTransform(camera, frame);
    const now = this.transform.peek();
    if (Math.hypot(wanted.x - now.x, wanted.y - now.y) < 0.01 && Math.abs(wanted.k - now.k) < 1e-6) return;
    // A smaller panel may clamp the camera for a while; what the user chose stays.
    this.applying = true;
    untracked(() => this.behaviour.transform(select<HTMLCanvasElement, unknown>(this.canvas), wanted));
    this.applying = false;
  }

  private watchSize(): void {
    const measure = (): void => {
      const { clientWidth: width, clientHeight: height } = this.canvas;
      this.size.value = { width, height, ratio: window.devicePixelRatio };
    };
    const observer = new ResizeObserver(measure);
    observer.observe(this.canvas);
    // A window moved to another screen changes the ratio and no size.
    window.addEventListener('resize', measure);
    this.stops.push(
      () => observer.disconnect(),
      () => window.removeEventListener('resize', measure),
    );
    measure();
  }

  /** The picture and its overlay, as they are drawn. */
  readonly scene: ReadonlySignal<Scene | undefined> = computed(() => {
    const scene = this.sceneOf(this.picture, this.transform.value);
    if (scene === undefined || this.other === undefined) return scene;
    const frame = this.frameOf(this.other);
    if (frame === undefined) return scene;
    return { ...scene, other: this.sceneOf(this.other, this.transformOf(this.other, frame)) };
  });

  /** Where the other picture lies: on the photograph, where both are of one; else as its own camera says. */
  private transformOf({ inspector }: StagePicture, frame: Frame): ZoomTransform {
    const [own, other] = [this.picture.inspector.picture.value?.image, inspector.picture.value?.image];
    const transform = this.transform.value;
    if (own === undefined || other === undefined || this.onOnePhotograph?.value !== true) {
      return cameraTransform(inspector.camera.value, frame);
    }
    const { x, y, k } = alignedPlacement(transform, own, other);
    return zoomIdentity.translate(x, y).scale(k);
  }

  private sceneOf({ inspector, layers, experiments }: StagePicture, transform: ZoomTransform): Scene | undefined {
    const picture = inspector.picture.value;
    const base = layers.base.value;
    const { width, height, ratio } = this.size.value;
    if (picture === undefined || base === undefined || width === 0) return undefined;
    const overlay = inspector.overlay.value;
    const outlineKept =
      overlay === 'priority' || overlay === 'entropy' || overlay === 'surprisal' || overlay === 'kept';
    return {
      width,
      height,
      ratio,
      transform,
      imageWidth: picture.image.width,
      imageHeight: picture.image.height,
      patchSide: patchSide(picture.model),
      grid: picture.image.grid,
      base,
      swiped: layers.swiped.value,
      swipe: inspector.swipe.value,
      heat: layers.heat.value,
      opacity: inspector.opacity.value,
      // Where it is not shown, nothing is painted again when it changes.
      keep: (outlineKept ? inspector.selected.value?.keep : undefined) ?? nothingKnown,
      outlineKept,
      showDropped: overlay === 'kept',
      focused: inspector.focused.value,
      pinned: inspector.pinned.value,
      marks: experiments?.marks.value ?? noMarks,
      other: undefined,
      palette: this.theme.palette.value,
    };
  }

  private schedule(): void {
    this.scheduled ??= requestAnimationFrame(() => this.paint());
  }

  private paint(): void {
    this.scheduled = undefined;
    const scene = this.scene.peek();
    if (scene === undefined) return;
    const width = Math.round(scene.width * scene.ratio);
    const height = Math.round(scene.height * scene.ratio);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    // A backdrop whose scale changes with every frame is not worth keeping.
    if (this.motion.moves(scene.transform.k)) paint(this.context, scene, 'medium', paintBackdrop);
    else paint(this.context, scene, 'high', this.backdrops.frame());
  }
}

/** Scales that follow each other faster than this belong to one gesture, which has ended when none came for so long. */
const restMs = 150;

/** Tells the zoom gesture, whose frames may be drawn with less care, from a single change of scale. */
class ZoomMotion {
  private scale: number | undefined;
  private changedAt = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** @param onRest is called when a gesture has ended, so that its last frame is drawn with care. */
  constructor(private readonly onRest: () => void) {}

  /** True if the frame to be drawn now, at some scale, is one of a gesture. */
  moves(scale: number): boolean {
    if (scale === this.scale) return false;
    const now = performance.now();
    const moving = now - this.changedAt < restMs;
    // The first scale of all does not count as a change.
    if (this.scale !== undefined) this.changedAt = now;
    this.scale = scale;
    if (moving) {
      clearTimeout(this.timer);
      this.timer = setTimeout(this.onRest, restMs);
    }
    return moving;
  }

  dispose(): void {
    clearTimeout(this.timer);
  }
}

/**
 * Where a key moves the focused patch: arrows by one, Home/End to the ends of the row (with Ctrl: of the grid),
 * Page keys to the ends of the column. From nothing, every key goes to the middle.
 *
 * @param columns of the grid that indices are of.
 * @param shown its first rows and columns, which can be seen: the focus stays there.
 * @returns undefined when the key does not move the focus.
 */
export function movedFocus(
  focused: number | undefined,
  { columns }: Pick<Grid, 'columns'>,
  shown: Grid,
  key: string,
  control: boolean,
): number | undefined {
  const row = Math.floor((focused ?? 0) / columns);
  const column = (focused ?? 0) % columns;
  const at = (toRow: number, toColumn: number): number =>
    Math.min(shown.rows - 1, Math.max(0, toRow)) * columns + Math.min(shown.columns - 1, Math.max(0, toColumn));
  const targets: Record<string, number> = {
    ArrowLeft: at(row, column - 1),
    ArrowRight: at(row, column + 1),
    ArrowUp: at(row - 1, column),
    ArrowDown: at(row + 1, column),
    Home: at(control ? 0 : row, 0),
    End: at(control ? shown.rows - 1 : row, shown.columns - 1),
    PageUp: at(0, column),
    PageDown: at(shown.rows - 1, column),
  };
  const target = targets[key];
  if (target === undefined) return undefined;
  return focused === undefined ? at(Math.floor(shown.rows / 2), Math.floor(shown.columns / 2)) : target;
}
