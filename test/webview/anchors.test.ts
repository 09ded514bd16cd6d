import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { choose } from './fixture/controls';
import { complaintsOf, violationsInEveryTheme } from './fixture/everyTheme';
import type { OpenOptions } from './fixture/page';

const { openInspector } = useChromium();

/** An inspector with its anchors, at an ε whose tokens take over 300 bytes, so that two formats have a file and one has none. */
async function anchored(options: OpenOptions = {}, lossRate = '0.35'): Promise<Page> {
  const page = await openInspector(options);
  await page.getByTestId('psnr').filter({ hasText: /\d/ }).waitFor();
  await page.getByTestId('loss-rate').first().fill(lossRate);
  await page.getByTestId('anchors').click();
  await settled(page);
  return page;
}

async function settled(page: Page): Promise<void> {
  await expect.poll(() => page.getByTestId('anchor-webp').locator('td').first().innerText()).toMatch(/^\d/);
  await page.getByTestId('anchors-working').waitFor({ state: 'detached' });
  await painted(page);
}

const cells = (page: Page, row: string): Promise<string[]> =>
  page.getByTestId(`anchor-${row}`).locator('td').allInnerTexts();

describe('anchors', () => {
  it('are computed on request alone, at the bytes of the tokens, and anew when ε has settled', async () => {
    const page = await anchored();
    const asked = () =>
      page.evaluate(() =>
        window.fixture.received.filter(({ method }) => method === 'anchor').map(({ params }) => params),
      );
    const bytes = Number((await cells(page, 'tokens'))[0]);
    expect(bytes).toBeGreaterThan(295);
    expect(await asked()).toEqual(['webp', 'avif', 'jpeg'].map((codec) => ({ codec, bytes })));
    expect((await cells(page, 'webp'))[0]).toBe(String(bytes - 1));
    await page.getByTestId('loss-rate').first().fill('0.8');
    await expect.poll(async () => (await asked()).length).toBe(6);
    await settled(page);
    const fewer = Number((await cells(page, 'tokens'))[0]);
    expect(fewer).toBeLessThan(bytes);
    expect(await cells(page, 'jpeg')).toEqual([`none ≤ ${fewer} bytes (smallest 322, 310 of them container)`]);
    await page.getByTestId('anchors').click();
    await page.getByTestId('loss-rate').first().fill('0.5');
    await page.getByTestId('psnr').filter({ hasText: /\d/ }).waitFor();
    expect(await asked()).toHaveLength(6);
    await page.close();
  });

  it('tell bits per pixel and bytes beside the tokens', async () => {
    const page = await openInspector();
    await page.getByTestId('psnr').filter({ hasText: /\d/ }).waitFor();
    const [payload = 0, mask = 0] = (await page.getByTestId('bits').innerText()).match(/\d+/g)?.map(Number) ?? [];
    const figure = async (testId: string) => Number(await page.getByTestId(testId).innerText());
    expect(await figure('bits-per-pixel')).toBeCloseTo((payload + mask) / 256 ** 2, 4);
    expect(await figure('bytes')).toBe(Math.ceil((payload + mask) / 8));
    await page.close();
  });

  it('are seen right of a line, beside the reconstruction', async () => {
    const page = await anchored();
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('anchor-view-avif').click();
    await painted(page);
    expect(await page.getByTestId('swipe').getAttribute('aria-label')).toBe('Swipe between reconstruction and AVIF');
    await expect.poll(() => page.getByTestId('view-anchor').isChecked()).toBe(true);
    // The synthetic file knows four shades of a colour; between them the canvas smooths.
    expect(await shareOfShades(page, 0.75)).toBeGreaterThan(0.3);
    expect(await shareOfShades(page, 0.25)).toBeLessThan(0.1);
    await page.close();
  });

  it('have curves in rate–distortion, by bits; files have no tokens', async () => {
    const page = await anchored();
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-cancel').waitFor({ state: 'detached', timeout: 20_000 });
    expect(await page.locator('.anchor-curve').count()).toBe(0);
    await choose(page.getByTestId('rate'), 'bits per pixel');
    await expect.poll(() => page.locator('.anchor-label').allTextContents()).toEqual(['WebP', 'AVIF', 'JPEG']);
    await page.close();
  });

  it('come back with the page', async () => {
    const page = await anchored();
    await page.getByTestId('anchor-view-avif').click();
    await expect
      .poll(() => page.evaluate(() => window.fixture.state))
      .toMatchObject({ anchored: true, codec: 'avif', view: 'anchor' });
    await page.reload();
    await settled(page);
    expect(await page.getByTestId('swipe').getAttribute('aria-label')).toBe('Swipe between reconstruction and AVIF');
    await page.close();
  });

  it.each([
    { name: 'anchors', options: { height: 1000 } },
    { name: 'anchors-narrow', options: { width: 300, height: 1600 } },
  ])('$name: axe finds nothing in any theme, the console is quiet', async ({ name, options }) => {
    const page = await anchored(options, '0.7');
    const complaints = complaintsOf(page);
    await page.getByTestId('anchor-view-webp').click();
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-cancel').waitFor({ state: 'detached', timeout: 20_000 });
    await choose(page.getByTestId('rate'), 'bits');
    await page.locator('.anchor-label').first().waitFor();
    expect(await violationsInEveryTheme(page, name)).toEqual([]);
    expect(complaints).toEqual([]);
    await page.close();
  });
});

/** How many pixels of a region about a share of the canvas' width have a red that the synthetic file has. */
async function shareOfShades(page: Page, share: number): Promise<number> {
  return page.getByTestId('canvas').evaluate((canvas: HTMLCanvasElement, at) => {
    const side = 60;
    // The picture lies in the middle of the canvas.
    const left = canvas.width / 2 + (at - 0.5) * canvas.height * 0.7 - side / 2;
    const data = canvas.getContext('2d')?.getImageData(left, (canvas.height - side) / 2, side, side).data ?? [];
    const reds = Array.from({ length: side * side }, (_, i) => data[4 * i] ?? 0);
    return reds.filter((red) => red % 64 === 32).length / reds.length;
  }, share);
}
