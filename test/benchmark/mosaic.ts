import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type OverlayOptions } from 'sharp';

const samples = join(import.meta.dirname, '../../media/samples');

/** The sample photographs side by side until the picture is full: photographic detail everywhere. */
export async function mosaic(width: number, height: number): Promise<Buffer> {
  const names = (await readdir(samples)).filter((name) => name.endsWith('.png'));
  const [across, down] = [1536, 1024];
  const parts: OverlayOptions[] = [];
  for (let top = 0; top < height; top += down) {
    for (let left = 0; left < width; left += across) {
      const part = sharp(join(samples, names[parts.length % names.length] ?? '')).resize(across, down, {
        fit: 'cover',
      });
      const size = { width: Math.min(across, width - left), height: Math.min(down, height - top) };
      parts.push({
        input: await part
          .extract({ left: 0, top: 0, ...size })
          .png()
          .toBuffer(),
        left,
        top,
      });
    }
  }
  const canvas = sharp({ create: { width, height, channels: 3, background: '#808080' } });
  return canvas.composite(parts).jpeg({ quality: 92 }).toBuffer();
}
