import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';

const folder = join(import.meta.dirname, '../../media/screenshots');

/** Keeps a picture of the window in media/screenshots; 256 colours are enough for it, and a third of the bytes. */
export async function keep(page: Page, name: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const png = await page.screenshot();
  await sharp(png)
    .png({ palette: true, effort: 10, compressionLevel: 9 })
    .toFile(join(folder, `${name}.png`));
}
