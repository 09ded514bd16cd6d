/** The inspector in panels of every size: the picture keeps its size, ε and results stay in sight, nothing lies on anything else. */
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { isInSight, layoutFaults } from './fixture/geometry';
import { themes } from './fixture/page';
import { keepScreenshot } from './fixture/shots';

const { openInspector } = useChromium();

const sizes = [
  { name: 'whole', width: 1400, height: 900 },
  { name: 'above a terminal', width: 1400, height: 450 },
  { name: 'above a terminal, beside the Explorer', width: 1020, height: 450 },
  { name: 'low', width: 1400, height: 500 },
  { name: 'half of a split', width: 700, height: 800 },
  { name: 'of 1100 pixels', width: 1100, height: 800 },
  { name: 'of 1100 pixels beside the Explorer', width: 740, height: 680 },
  { name: 'of 760 pixels', width: 760, height: 800 },
  { name: 'at 200 %', width: 700, height: 450 },
  { name: 'of a phone', width: 300, height: 800 },
] as const;

/** Side of the model image that the fixture shows, in image pixels. */
const side = 256;

async function open(size: { readonly width: number; readonly height: number }): Promise<Page> {
  const page = await openInspector(size);
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  await painted(page);
  return page;
}

/** CSS pixels of the picture's sides. */
async function pictureSide(page: Page): Promise<number> {
  return (side * Number.parseInt(await page.getByTestId('zoom').innerText())) / 100;
}

describe('a panel', () => {
  it.each(sizes)('$name ($width×$height) shows the picture, ε and the results at once', async (size) => {
    const page = await open(size);
    expect(await pictureSide(page)).toBeGreaterThanOrEqual(0.4 * Math.min(size.width, size.height));
    const results = ['total-tokens', 'bits-per-pixel', 'bytes', 'psnr', 'ssim'];
    for (const testId of ['canvas', 'loss-rate', 'loss-rate-number', 'token-marks', ...results])
      expect(await isInSight(page, testId), testId).toBe(true);
    for (const [theme, colours] of Object.entries(themes)) {
      await page.evaluate((to) => window.fixture.setTheme(to), colours);
      await painted(page);
      expect(await layoutFaults(page), theme).toEqual([]);
      await keepScreenshot(page, `layout-${size.width}x${size.height}-${theme}`);
    }
    await page.close();
  });
});
