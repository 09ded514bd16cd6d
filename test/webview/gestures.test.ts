import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import type { OpenOptions } from './fixture/page';

const { openInspector } = useChromium();

/** 64×64 patches of 8 CSS pixels at fit, so that a patch tells a point well enough. */
async function open(options: OpenOptions = {}): Promise<Page> {
  const page = await openInspector({ cells: 64, tiles: 4, size: 1024, ...options });
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  return page;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** A point of the picture away from the middle of the canvas, in the middle of a patch. */
async function aside(page: Page): Promise<Point> {
  const box = await page.getByTestId('canvas').boundingBox();
  if (box === null) throw new Error('no canvas');
  return { x: Math.round(box.x + box.width / 2) + 100, y: Math.round(box.y + box.height / 2) - 60 };
}

async function patchUnder(page: Page, { x, y }: Point): Promise<string> {
  await page.mouse.move(x + 2, y + 2);
  await page.mouse.move(x, y);
  return page.getByTestId('readout').locator('h2').innerText();
}

const zoom = async (page: Page): Promise<number> => Number.parseInt(await page.getByTestId('zoom').innerText());

describe('a pinch', () => {
  it('of a touchpad, which is a wheel with Ctrl, zooms about the pointer', async () => {
    const page = await open();
    const at = await aside(page);
    const under = await patchUnder(page, at);
    const before = await zoom(page);
    await page.keyboard.down('Control');
    for (let i = 0; i < 6; i++) await page.mouse.wheel(0, -16);
    await page.keyboard.up('Control');
    // 2^(0.02·16) each, as browsers scale their own pinches.
    await expect.poll(() => zoom(page)).toBeGreaterThan(3 * before);
    expect(await patchUnder(page, at)).toBe(under);
    await page.close();
  });

  it('of two fingers zooms about the middle between them, by as much as they part', async () => {
    const page = await open({ touch: true });
    const at = await aside(page);
    const under = await patchUnder(page, at);
    const before = await zoom(page);
    await touch(
      page,
      [20, 30, 45, 60, 70, 80].map((apart) => around(at, apart)),
    );
    await expect.poll(() => zoom(page)).toBeCloseTo(4 * before, -1);
    expect(await patchUnder(page, at)).toBe(under);
    await touch(
      page,
      [80, 60, 40].map((apart) => around(at, apart)),
    );
    await expect.poll(() => zoom(page)).toBeCloseTo(2 * before, -1);
    expect(await patchUnder(page, at)).toBe(under);
    await page.close();
  });

  it('whose fingers move together pans, as one finger does', async () => {
    const page = await open({ touch: true });
    const at = await aside(page);
    await page.getByTestId('canvas').press('1');
    await page.getByTestId('canvas').press('+');
    const moved = (dx: number): Point => ({ x: at.x + dx, y: at.y });
    const under = await patchUnder(page, at);
    const before = await zoom(page);
    await touch(
      page,
      [0, -20, -48].map((dx) => around(moved(dx), 40)),
    );
    expect(await zoom(page)).toBe(before);
    expect(await patchUnder(page, moved(-48))).toBe(under);
    await touch(
      page,
      [-48, -20, 24].map((dx) => [moved(dx)]),
    );
    expect(await patchUnder(page, moved(24))).toBe(under);
    await page.close();
  });
});

/** Two fingers left and right of a point. */
function around({ x, y }: Point, apart: number): Point[] {
  return [
    { x: x - apart, y },
    { x: x + apart, y },
  ];
}

/** Fingers that come down at the first places, move to the others and leave. */
async function touch(page: Page, [first = [], ...others]: readonly (readonly Point[])[]): Promise<void> {
  const client = await page.context().newCDPSession(page);
  const dispatch = (type: 'touchStart' | 'touchMove' | 'touchEnd', points: readonly Point[]) =>
    client.send('Input.dispatchTouchEvent', { type, touchPoints: points.map((point, id) => ({ ...point, id })) });
  await dispatch('touchStart', first);
  for (const points of others) await dispatch('touchMove', points);
  await dispatch('touchEnd', []);
  await client.detach();
}
