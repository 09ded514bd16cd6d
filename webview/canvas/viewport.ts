import type { ZoomTransform } from 'd3-zoom';
import { zoomIdentity } from 'd3-zoom';

/**
 * The canvas' view: the whole image, or its longer side as `extent` CSS pixels about a centre in shares of width and height. It means
 * the same for images of other sizes, so that two canvases can share one camera.
 */
export type Camera = 'fit' | { readonly extent: number; readonly x: number; readonly y: number };

/** Canvas and picture, in CSS pixels and image pixels. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  /** The picture is square for one model image; tiled ones need not be. */
  readonly imageWidth: number;
  readonly imageHeight: number;
}

/** CSS pixels per image pixel that the user can go to. */
export const largestScale = 64;
/** Image pixels are shown as squares from this many device pixels on; below, they are smoothed. */
export const pixelatedFrom = 3;

/** Width that the zoom buttons take in the lower left corner. */
const zoomButtons = 152;

/** The region that the picture is fitted to: the colour bar stands beside it. */
function inner({ width, height, imageWidth, imageHeight }: Frame): {
  left: number;
  top: number;
  width: number;
  height: number;
} {
  const wide = width >= 560;
  const left = wide ? 72 : 12;
  const right = 72;
  const top = wide ? 22 : 12;
  // The zoom buttons stand in the corner, beside the picture where there is room, else below it.
  const fitted = Math.min(width - left - right, ((height - top - 22) * imageWidth) / imageHeight);
  const beside = wide && (width - fitted) / 2 >= zoomButtons;
  const bottom = beside ? 22 : 42;
  return { left, top, width: Math.max(1, width - left - right), height: Math.max(1, height - top - bottom) };
}

/** Rounded down to a sixteenth, so that patches of 16 pixels fill whole pixels of the screen. */
function fitScale(frame: Frame): number {
  const region = inner(frame);
  const scale = Math.min(region.width / frame.imageWidth, region.height / frame.imageHeight);
  return scale > 1 ? Math.floor(16 * scale) / 16 : scale;
}

export function smallestScale(frame: Frame): number {
  return Math.min(1, fitScale(frame));
}

/** Keeps the picture in view: centred where it is smaller than the region, else without a gap between edge and region. */
export function clampTransform(transform: ZoomTransform, frame: Frame): ZoomTransform {
  const region = inner(frame);
  const x = clampAxis(transform.x, transform.k * frame.imageWidth, region.left, region.width);
  const y = clampAxis(transform.y, transform.k * frame.imageHeight, region.top, region.height);
  return zoomIdentity.translate(x, y).scale(transform.k);
}

function clampAxis(offset: number, extent: number, start: number, room: number): number {
  if (extent <= room) return start + (room - extent) / 2;
  return Math.min(start, Math.max(start + room - extent, offset));
}

export function cameraTransform(camera: Camera, frame: Frame): ZoomTransform {
  if (camera === 'fit') {
    return clampTransform(zoomIdentity.scale(fitScale(frame)), frame);
  }
  const scale = Math.min(largestScale, Math.max(smallestScale(frame), camera.extent / longerSide(frame)));
  const region = inner(frame);
  const x = region.left + region.width / 2 - scale * camera.x * frame.imageWidth;
  const y = region.top + region.height / 2 - scale * camera.y * frame.imageHeight;
  return clampTransform(zoomIdentity.translate(x, y).scale(scale), frame);
}

/** A transform as it is stored: it means the same in a panel of another size. */
export function transformCamera(transform: ZoomTransform, frame: Frame): Camera {
  const region = inner(frame);
  const [x, y] = transform.invert([region.left + region.width / 2, region.top + region.height / 2]);
  return { extent: transform.k * longerSide(frame), x: x / frame.imageWidth, y: y / frame.imageHeight };
}

function longerSide({ imageWidth, imageHeight }: Frame): number {
  return Math.max(imageWidth, imageHeight);
}
