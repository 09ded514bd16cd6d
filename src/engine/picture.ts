/** The picture of a file as a model sees it and as it is shown: all that is known before the model runs. */
import { TatokError } from '../method/errors';
import { decodeImage } from './image';
import { patchSide } from '../method/patch';
import { StageClock, type StageObserver } from './stages';
import { reduce, reductionFor, Tiling } from './tiles';
import type { DecodedTokens, OpenTokensParams, TokensToDecode } from '../protocol/engineMessages';
import {
  decodedFormat,
  type CropMode,
  type ModelDescription,
  type Picture,
  type ShownImage,
  type StageTimings,
} from '../method/types';

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

/**
 * The picture that tokens out of a file were made of. A file that cannot be read, and one that is cut to another size, is not theirs.
 *
 * @throws whatever `observer` throws.
 */
export async function readOriginal(
  { original, tokens, cropMode, maxMegapixels }: OpenTokensParams,
  model: ModelDescription,
  observer?: StageObserver,
): Promise<{ readonly file: Uint8Array; readonly picture: Picture } | undefined> {
  if (original === undefined) return undefined;
  try {
    const { picture } = await readPicture(original, model, { cropMode, maxMegapixels }, observer);
    return picture.width === tokens.width && picture.height === tokens.height ? { file: original, picture } : undefined;
  } catch (error) {
    if (error instanceof TatokError && error.code.startsWith('image-')) return undefined;
    throw error;
  }
}

/** The picture that tokens decode to, in place of an original: its source is itself. */
export function decodedImage(
  { width, height }: TokensToDecode,
  cropMode: CropMode,
  { rgb }: DecodedTokens,
  model: ModelDescription,
): ShownImage {
  const { tiles, grid } = new Tiling(width, height, model);
  const reduction = reductionFor(width, height, patchSide(model));
  const crop = { left: 0, top: 0, width, height };
  const source = { sourceWidth: width, sourceHeight: height, format: decodedFormat, cropMode, crop };
  return { ...source, width, height, tiles, grid, reduction, rgb };
}
