import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FrameLocator, Page } from 'playwright-core';
import sharp from 'sharp';
import { expect } from 'vitest';

const folder = join(import.meta.dirname, '../../media/screenshots');

/** Milliseconds for what takes minutes on a busy machine: all maps of influence, the whole curve. */
export const long = 600_000;

/** Keeps a picture of the window in media/screenshots; 256 colours are enough for it, and a third of the bytes. */
export async function keep(page: Page, name: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const png = await page.screenshot();
  await sharp(png)
    .png({ palette: true, effort: 10, compressionLevel: 9 })
    .toFile(join(folder, `${name}.png`));
}

/** Waits until the maps of the global tokens are there. */
export async function thumbnailsDrawn(inspector: FrameLocator): Promise<void> {
  const canvas = inspector.getByTestId('global-0').locator('canvas');
  const drawn = () =>
    canvas.evaluate((element) => {
      const { width, height } = element as HTMLCanvasElement;
      const pixels = (element as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data;
      return pixels?.some((value) => value > 0);
    });
  await expect.poll(drawn, { timeout: long }).toBe(true);
}
