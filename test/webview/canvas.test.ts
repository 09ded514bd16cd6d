import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { choose } from './fixture/controls';

const { openInspector } = useChromium();

/** 4×4 tiles, so that the photograph is smoothed at fit and still when it is magnified. */
async function open(...choices: string[]): Promise<Page> {
  const page = await openInspector({ cells: 64, tiles: 4, size: 1024 });
  // At the scale that follows, no border of patches lies in the middle of a pixel, where either colour is right.
  await page.setViewportSize({ width: 1263, height: 786 });
  await ready(page);
  for (const choice of choices) await page.getByTestId(choice).click();
  await page.getByTestId('canvas').press('+');
  await page.getByTestId('canvas').press('+');
  return page;
}

async function ready(page: Page): Promise<void> {
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  await page.getByTestId('stale').first().waitFor({ state: 'detached' });
}

/** RGBA bytes of the canvas, with the patch at its corner focused by the pointer. */
async function pixels(page: Page): Promise<Buffer> {
  const box = await page.getByTestId('canvas').boundingBox();
  if (box === null) throw new Error('no canvas');
  await page.mouse.move(box.x + 20, box.y + 20);
  await page.mouse.move(box.x + 24, box.y + 24);
  await painted(page);
  const url = await page.getByTestId('canvas').evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
  return sharp(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'))
    .raw()
    .toBuffer();
}

/** The same view painted from nothing: by the page after it was loaded again. */
async function reloaded(page: Page): Promise<Buffer> {
  // The page saves its state a moment after it changed.
  await page.waitForTimeout(300);
  await page.reload();
  await ready(page);
  return pixels(page);
}

function expectSame(now: Buffer, fresh: Buffer): void {
  expect(now.length).toBe(fresh.length);
  const differences = now.map((value, i) => Math.abs(value - (fresh[i] ?? 0)));
  expect(differences.reduce((most, value) => Math.max(most, value), 0)).toBeLessThanOrEqual(2);
}

async function pan(page: Page, ...steps: readonly (readonly [dx: number, dy: number])[]): Promise<void> {
  const box = await page.getByTestId('canvas').boundingBox();
  if (box === null) throw new Error('no canvas');
  let [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (const [dx, dy] of steps) {
    x += dx;
    y += dy;
    await page.mouse.move(x, y);
    await painted(page);
  }
  await page.mouse.up();
}

async function setLossRate(page: Page, value: number): Promise<void> {
  await page.getByTestId('loss-rate').evaluate((input: HTMLInputElement, to) => {
    input.value = String(to);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  }, value);
  await painted(page);
}

describe('what the canvas keeps of earlier frames', () => {
  it.each([
    ['entropy', ['view-original', 'overlay-entropy']],
    ['kept', ['view-original', 'overlay-kept']],
    ['swipe', ['view-swipe', 'overlay-attention']],
  ])('shows what a fresh page shows, after panning in all directions and dragging ε: %s', async (_, choices) => {
    const page = await open(...choices);
    const before = await pixels(page);
    await pan(page, [-37, -22], [13, 0], [0, 9.5], [60.25, -15.75], [-160, 120], [-400, -300], [200, 90]);
    for (const lossRate of [0.7, 0.2, 0.45]) await setLossRate(page, lossRate);
    await page.getByTestId('stale').first().waitFor({ state: 'detached' });
    const now = await pixels(page);
    expect(now.equals(before)).toBe(false);
    expectSame(now, await reloaded(page));
    await page.close();
  });

  it('is given up when the photograph, the overlay, its opacity or the size of the panel change', async () => {
    const page = await open('view-original', 'overlay-entropy');
    await pixels(page);
    for (const choice of ['overlay-surprisal', 'view-reconstruction']) await page.getByTestId(choice).click();
    await page.getByTestId('opacity').press('ArrowRight');
    await choose(page.getByTestId('colormap'), 'magma');
    await page.setViewportSize({ width: 1180, height: 720 });
    expectSame(await pixels(page), await reloaded(page));
    await page.close();
  });

  it('is none while zooming, and a rested zoom is as sharp as a fresh page', async () => {
    const page = await open('view-original', 'overlay-none');
    const box = await page.getByTestId('canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    await page.mouse.move(box.x + 400, box.y + 200);
    for (let i = 0; i < 8; i++) {
      await page.mouse.wheel(0, -20);
      await painted(page);
    }
    await page.waitForTimeout(400);
    expectSame(await pixels(page), await reloaded(page));
    await page.close();
  });
});
