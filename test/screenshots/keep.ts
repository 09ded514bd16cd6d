import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FrameLocator, Locator, Page } from 'playwright-core';
import sharp from 'sharp';
import { expect } from 'vitest';

const media = join(import.meta.dirname, '../../media');

/** Milliseconds for what takes minutes on a busy machine: all maps of influence, the whole curve. */
export const long = 600_000;

/** Keeps a picture of the window in media/screenshots. */
export async function keep(page: Page, name: string): Promise<void> {
  await write(await page.screenshot(), 'screenshots', name);
}

/** Keeps a picture of one element in media/screenshots. */
export async function keepBox(element: Locator, name: string): Promise<void> {
  await write(await element.screenshot(), 'screenshots', name);
}

/** One picture of a moving one. */
export interface MovingFrame {
  /** The window. */
  readonly png: Buffer;
  /** How long it is shown. */
  readonly milliseconds: number;
}

/** Keeps pictures of the window in media/screenshots as one that moves, over and over: an animated WebP. */
export async function keepMoving(frames: readonly MovingFrame[], name: string): Promise<void> {
  await mkdir(join(media, 'screenshots'), { recursive: true });
  await sharp(
    frames.map(({ png }) => png),
    { join: { animated: true } },
  )
    .webp({ loop: 0, delay: frames.map(({ milliseconds }) => milliseconds), quality: 80, effort: 6 })
    .toFile(join(media, 'screenshots', `${name}.webp`));
}

/** A rectangle of the window. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Keeps a part of the window in media/walkthrough. */
export async function keepForWalkthrough(page: Page, name: string, clip: Box): Promise<void> {
  await write(await page.screenshot({ clip }), 'walkthrough', name);
}

/** 256 colours are enough for a picture of the window, and a third of the bytes. */
async function write(png: Buffer, folder: 'screenshots' | 'walkthrough', name: string): Promise<void> {
  await mkdir(join(media, folder), { recursive: true });
  await sharp(png)
    .png({ palette: true, effort: 10, compressionLevel: 9 })
    .toFile(join(media, folder, `${name}.png`));
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
