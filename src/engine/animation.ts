/** Frames as an animated picture file. */
import sharp from 'sharp';
import type { Size } from '../method/types';
import { besideDecoders } from './image';

/** Milliseconds that a frame is shown, and the last one. */
const [frameMs, lastMs] = [200, 1200];

/**
 * An animation that runs for ever, pausing at its end.
 *
 * @param frames width·height·3 sRGB bytes each.
 */
export async function animation(
  frames: readonly Uint8Array[],
  { width, height }: Size,
  format: 'webp' | 'gif',
): Promise<Uint8Array> {
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const;
  const delay = frames.map((_, i) => (i === frames.length - 1 ? lastMs : frameMs));
  const image = sharp(Buffer.concat(frames), { raw, limitInputPixels: false });
  const options = { delay, loop: 0 };
  const encoded = format === 'webp' ? image.webp({ ...options, quality: 90 }) : image.gif(options);
  return besideDecoders(() => encoded.toBuffer());
}
