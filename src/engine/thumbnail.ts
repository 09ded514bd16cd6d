import sharp from 'sharp';
import type { ThumbnailParams } from '../protocol/engineMessages';
import { besideDecoders, decodeImage } from './image';

/**
 * A JPEG file of an image's centre, cut as a model of that shape sees it.
 *
 * @throws TatokError of the image, as it is for tokens.
 */
export async function makeThumbnail({ file, width, height, maxMegapixels }: ThumbnailParams): Promise<Uint8Array> {
  const { rgb } = await decodeImage(file, { imageSize: { width, height }, resample: 'lanczos3' }, { maxMegapixels });
  // A copy of its own: sharp's buffers may lie in a pool.
  return new Uint8Array(
    await besideDecoders(() =>
      sharp(rgb, { raw: { width, height, channels: 3 } })
        .jpeg({ quality: 85 })
        .toBuffer(),
    ),
  );
}
