/**
 * Two tokenizations of one photograph, in pixels and patches of their own: where a point, a patch or a view of one lies on the other. Each
 * picture is a part of the photograph, its crop, scaled to the model's size; a point of both has one place on the photograph.
 */
import type { Camera } from './viewport';
import { patchSide, shownGrid } from '../../src/method/patch';
import type { ModelDescription, PictureGeometry, ShownGeometry, Size } from '../../src/method/types';

/** The part of a picture that says where it lies on its photograph. */
export type Placed = Pick<PictureGeometry, 'crop' | 'width' | 'height'>;

/** A picture's place on the canvas: its corner, and CSS pixels per image pixel. */
export interface Placement {
  readonly x: number;
  readonly y: number;
  readonly k: number;
}

/** The place of a second picture that puts every point of the photograph where the first has it. */
export function alignedPlacement({ x, y, k }: Placement, first: Placed, second: Placed): Placement {
  // CSS pixels for a pixel of the photograph.
  const [across, down] = [(k * first.width) / first.crop.width, (k * first.height) / first.crop.height];
  return {
    x: x + across * (second.crop.left - first.crop.left),
    y: y + down * (second.crop.top - first.crop.top),
    k: (across * second.crop.width) / second.width,
  };
}

/** The camera that shows the same part of the photograph at the same size; a picture that is fitted stays so. */
export function alignedCamera(camera: Camera, first: Placed, second: Placed): Camera {
  if (camera === 'fit') return 'fit';
  const perPixel = ((camera.extent / longerSide(first)) * first.width) / first.crop.width;
  return {
    extent: ((perPixel * second.crop.width) / second.width) * longerSide(second),
    x: (first.crop.left + camera.x * first.crop.width - second.crop.left) / second.crop.width,
    y: (first.crop.top + camera.y * first.crop.height - second.crop.top) / second.crop.height,
  };
}

/** A picture with its patches. */
export interface PatchedPicture {
  readonly image: ShownGeometry;
  readonly model: ModelDescription;
}

/** The patch of a second picture under the middle of one of the first; undefined where the second does not show that place. */
export function alignedPatch(patch: number, first: PatchedPicture, second: PatchedPicture): number | undefined {
  const { columns } = first.image.grid;
  const side = patchSide(first.model);
  const middle = (cell: number, extent: number): number => (side * cell + Math.min(extent, side * (cell + 1))) / 2;
  const x = middle(patch % columns, first.image.width) / first.image.width;
  const y = middle(Math.floor(patch / columns), first.image.height) / first.image.height;
  const { crop } = second.image;
  const across = (first.image.crop.left + x * first.image.crop.width - crop.left) / crop.width;
  const down = (first.image.crop.top + y * first.image.crop.height - crop.top) / crop.height;
  if (across < 0 || across >= 1 || down < 0 || down >= 1) return undefined;
  const [column, row] = [
    Math.floor((across * second.image.width) / patchSide(second.model)),
    Math.floor((down * second.image.height) / patchSide(second.model)),
  ];
  const shown = shownGrid(second.image, second.model);
  return column < shown.columns && row < shown.rows ? row * second.image.grid.columns + column : undefined;
}

function longerSide({ width, height }: Size): number {
  return Math.max(width, height);
}
