/** The picture of a file as a model sees it and as it is shown: all that is known before the model runs. */
import { decodeImage } from './image';
import { patchSide } from '../method/patch';
import { StageClock, type StageObserver } from './stages';
import { reduce, reductionFor, Tiling } from './tiles';
import type { CropMode, ModelDescription, ShownImage, Picture, StageTimings } from '../method/types';

export interface ReadOptions {
  readonly cropMode?: CropMode | undefined;
  readonly maxMegapixels?: number | undefined;
}

/**
 * Decodes an encoded image file for a model.
 *
 * @throws TatokError of the image; whatever `observer` throws.
 */
export async function readPicture(
  file: Uint8Array,
  model: ModelDescription,
  options: ReadOptions,
  observer?: StageObserver,
): Promise<{ readonly picture: Picture; readonly timings: StageTimings }> {
  const clock = new StageClock(observer);
  const picture = await clock.run('read', () => decodeImage(file, model, options));
  return { picture, timings: clock.timings };
}

/** The whole picture in a bounded number of pixels, with its tiles and patches. */
export function shownImage(picture: Picture, model: ModelDescription): ShownImage {
  const { rgb, ...geometry } = picture;
  const { width, height } = geometry;
  const { tiles, grid } = new Tiling(width, height, model);
  const reduction = reductionFor(width, height, patchSide(model));
  return { ...geometry, tiles, grid, reduction, rgb: reduce(rgb, width, height, reduction) };
}
