import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { choose, chosen, enter, numberIn } from './fixture/controls';
import { themes, type OpenOptions } from './fixture/page';
import type { FilterSettings } from '../../src/method/types';

const { openInspector } = useChromium();

async function open(options: OpenOptions = {}): Promise<Page> {
  const page = await openInspector(options);
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  await painted(page);
  return page;
}

/** RGB of the canvas at the middle of a patch, moved by a share of its size. */
async function pixel(page: Page, row: number, column: number, dx = 0, dy = 0): Promise<[number, number, number]> {
  return page.getByTestId('canvas').evaluate(
    (canvas: HTMLCanvasElement, [row, column, dx, dy]) => {
      // At fit the picture is centred in the canvas; 1280×868 shows it at 200 %.
      const size = 512 * devicePixelRatio;
      const cell = size / 16;
      const x = (canvas.width - size) / 2 + (column + 0.5 + dx) * cell;
      const y = (canvas.height - size) / 2 + (row + 0.5 + dy) * cell;
      const data = canvas.getContext('2d')?.getImageData(Math.round(x), Math.round(y), 1, 1).data;
      return [data?.[0] ?? -1, data?.[1] ?? -1, data?.[2] ?? -1];
    },
    [row, column, dx, dy] as const,
  );
}

/** Sets a range to one value after the other, without a pause in between. */
async function setRange(page: Page, testId: string, ...values: readonly number[]): Promise<void> {
  await page.getByTestId(testId).evaluate((input: HTMLInputElement, all) => {
    for (const value of all) {
      input.value = String(value);
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }
  }, values);
  await painted(page);
}

const number = async (page: Page, testId: string): Promise<number> =>
  Number(await page.getByTestId(testId).innerText());

/** Those asked for after the first. */
const reconstructions = (page: Page): Promise<FilterSettings[]> =>
  page.evaluate(() =>
    window.fixture.received
      .filter(({ method }) => method === 'reconstruct')
      .slice(1)
      .map(({ params }) => params as FilterSettings),
  );

function saturation([red, green, blue]: readonly [number, number, number]): number {
  return Math.max(red, green, blue) - Math.min(red, green, blue);
}

describe('overlays and views', () => {
  it('shows the photograph as it is, and grey under a heat map', async () => {
    const page = await open();
    await page.getByTestId('view-original').click();
    await page.getByTestId('overlay-none').click();
    await painted(page);
    const red = await pixel(page, 4, 12);
    expect(red[0]).toBeGreaterThan(red[1] + 60);
    await page.getByTestId('overlay-entropy').click();
    await setRange(page, 'opacity', 0);
    expect(saturation(await pixel(page, 4, 12))).toBeLessThanOrEqual(2);
    await page.close();
  });

  it('colours patches by their entropy, the same within a patch, by the chosen colour map and scale', async () => {
    const page = await open();
    await setRange(page, 'opacity', 1);
    const inside = await pixel(page, 0, 12);
    expect(await pixel(page, 0, 12, 0.3, 0.3)).toEqual(inside);
    await choose(page.getByTestId('colormap'), 'grey');
    await painted(page);
    const [low, high] = [await pixel(page, 1, 9), await pixel(page, 14, 0)];
    expect(saturation(low)).toBeLessThanOrEqual(1);
    expect(high[0]).toBeGreaterThan(low[0]);
    expect(await page.getByTestId('colour-bar').innerText()).toContain('12 bits');
    await page.getByTestId('range').click();
    await painted(page);
    expect((await pixel(page, 1, 9))[0]).toBeLessThan(low[0]);
    await page.close();
  });

  it('shows what the filter sorts by: the map and card of priority follow β', async () => {
    const page = await open();
    await page.getByTestId('overlay-priority').click();
    await setRange(page, 'opacity', 1);
    const card = page.getByTestId('readout').locator('dl');
    const box = await page.getByTestId('canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    // The patch (0, 8) at the edge of the picture.
    await page.mouse.move(box.x + box.width / 2 + 16, box.y + box.height / 2 - 240);
    const numbers = async () => {
      const text = await card.innerText();
      return [/entropy\s+([\d.]+) bits/, /priority\s+([\d.]+)/].map((name) => Number(name.exec(text)?.[1]));
    };
    const [bits = NaN, before] = await numbers();
    expect(before).toBe(bits);
    const colour = await pixel(page, 0, 8);
    await enter(page.getByTestId('edge-priority'), '3');
    await expect.poll(numbers).toEqual([bits, Number((bits + 3).toFixed(2))]);
    await painted(page);
    expect(await pixel(page, 0, 8)).not.toEqual(colour);
    await page.close();
  });

  it('says tokens and PSNR once ε has settled', async () => {
    const page = await open();
    const said = page.getByTestId('results-said');
    const results = async () => {
      const [tokens, psnr] = [await number(page, 'total-tokens'), await number(page, 'psnr')];
      return `${tokens} tokens, PSNR ${psnr.toFixed(1)} dB`;
    };
    const before = await results();
    await expect.poll(() => said.textContent()).toBe(before);
    await setRange(page, 'loss-rate', 0.4);
    await expect.poll(async () => (await said.textContent()) === (await results())).toBe(true);
    expect(await said.textContent()).not.toBe(before);
    await page.close();
  });

  it('dims and hatches dropped patches, leaves kept ones and outlines them', async () => {
    const page = await open();
    await page.getByTestId('view-original').click();
    await page.getByTestId('overlay-none').click();
    await painted(page);
    const [dropped, kept, plain] = [
      await pixel(page, 4, 12),
      await pixel(page, 9, 1),
      await pixel(page, 9, 1, 0.25, 0.25),
    ];
    await page.getByTestId('overlay-kept').click();
    await painted(page);
    expect(await pixel(page, 9, 1)).toEqual(kept);
    const contour = await pixel(page, 9, 1, 0, -0.5);
    expect(Math.min(...contour), 'between a kept and a dropped patch').toBeGreaterThan(200);
    expect(await pixel(page, 9, 1, 0.25, 0.25)).toEqual(plain);
    const row = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((step) => pixel(page, 4, 12, (step - 3) / 32)));
    expect(row.filter(([red]) => red < dropped[0] - 30).length).toBeGreaterThan(2);
    expect(new Set(row.map(([red]) => red)).size).toBeGreaterThan(2);
    await page.close();
  });

  it('swipes between original and reconstruction, by pointer and by keyboard', async () => {
    const page = await open();
    await page.getByTestId('overlay-none').click();
    const at = async (view: string): Promise<[number, number, number]> => {
      await page.getByTestId(`view-${view}`).click();
      await painted(page);
      return pixel(page, 8, 1, 0.2, 0.2);
    };
    const [original, reconstruction] = [await at('original'), await at('reconstruction')];
    expect(await at('swipe')).toEqual(original);
    await page.getByTestId('swipe').press('Home');
    await painted(page);
    expect(await pixel(page, 8, 1, 0.2, 0.2)).toEqual(reconstruction);
    await page.close();
  });

  it('isolates a global token, adds with Shift, and shows the mean of all when none is left', async () => {
    const page = await open();
    await page.getByTestId('global-12').click();
    await expect.poll(() => page.getByTestId('overlay-attention').isChecked()).toBe(true);
    expect(await page.getByTestId('isolated').innerText()).toBe('token 12');
    await page.getByTestId('global-3').click({ modifiers: ['Shift'] });
    expect(await page.getByTestId('isolated').innerText()).toBe('mean of 3, 12');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    expect(await page.getByTestId('isolated').innerText()).toBe('token 4');
    await page.keyboard.press('Enter');
    expect(await page.getByTestId('isolated').innerText()).toBe('mean of all');
    await choose(page.getByTestId('head'), 'head 3');
    await choose(page.getByTestId('layer'), 'layer mean');
    await painted(page);
    const asked = await page.evaluate(() => window.fixture.received.filter(({ method }) => method === 'attention'));
    expect(asked.at(-1)?.params).toEqual({ tile: 0, layer: 'mean', head: 2 });
    await page.close();
  });

  it('repaints when the theme changes', async () => {
    const page = await open();
    await page.getByTestId('view-original').click();
    await page.getByTestId('overlay-kept').click();
    await painted(page);
    const dark = await pixel(page, 1, 9, 0.1);
    await page.evaluate((theme) => window.fixture.setTheme(theme), themes.light);
    await painted(page);
    expect((await pixel(page, 1, 9, 0.1))[0]).toBeGreaterThan(dark[0] + 50);
    await page.close();
  });
});

describe('the threshold', () => {
  it('recomputes the mask at once and asks for a reconstruction when the drag pauses (CPU)', async () => {
    const page = await open({ provider: { provider: 'cpu', failures: [] }, reconstructMs: 600 });
    const psnr = await number(page, 'psnr');
    await setRange(page, 'loss-rate', 0.7, 0.6, 0.5, 0.4);
    expect(await number(page, 'kept-count')).toBeGreaterThan(100);
    expect(await number(page, 'total-tokens')).toBe((await number(page, 'kept-count')) + 32);
    expect(await page.getByTestId('stale').count()).toBe(1);
    expect(await page.getByTestId('status').getAttribute('data-state')).toBe('pending');
    await page.getByTestId('stale').waitFor({ state: 'detached' });
    expect(await number(page, 'psnr')).toBeGreaterThan(psnr);
    expect((await reconstructions(page)).map(({ lossRate }) => lossRate)).toEqual([0.4]);
    await page.close();
  });

  it('cancels a request that newer settings overtake (CPU), and asks again at once on a GPU', async () => {
    const page = await open({ provider: { provider: 'cpu', failures: [] }, reconstructMs: 2000 });
    await setRange(page, 'loss-rate', 0.5);
    await expect.poll(() => reconstructions(page)).toHaveLength(1);
    await setRange(page, 'loss-rate', 0.3);
    await page.getByTestId('stale').waitFor({ state: 'detached' });
    expect(await page.evaluate(() => window.fixture.cancelled)).toBe(1);
    await page.close();

    const gpu = await open({ reconstructMs: 30 });
    await setRange(gpu, 'loss-rate', 0.5);
    expect(await reconstructions(gpu)).toHaveLength(1);
    await setRange(gpu, 'loss-rate', 0.3);
    await gpu.getByTestId('stale').waitFor({ state: 'detached' });
    expect(await gpu.evaluate(() => window.fixture.cancelled)).toBe(0);
    await gpu.close();
  });

  it('asks for nothing when the same patches are kept', async () => {
    const page = await open();
    // ε = 0 keeps everything, whatever the budget and the edge priority.
    await setRange(page, 'loss-rate', 0);
    await page.getByTestId('stale').waitFor({ state: 'detached' });
    const before = await reconstructions(page);
    await choose(page.getByTestId('budget'), 'reference');
    await enter(page.getByTestId('edge-priority'), '3');
    await page.getByTestId('overlay-kept').click();
    await page.getByTestId('view-swipe').click();
    await page.waitForTimeout(200);
    expect(await reconstructions(page)).toEqual(before);
    expect(await page.getByTestId('stale').count()).toBe(0);
    await page.close();
  });

  it('keeps everything at 0 and only the globals at 1', async () => {
    const page = await open();
    await setRange(page, 'loss-rate', 0);
    expect(await number(page, 'kept-count')).toBe(256);
    await setRange(page, 'loss-rate', 1);
    expect(await number(page, 'total-tokens')).toBe(32);
    await page.close();
  });

  it('moves with the number field, the line of the curve and its keys; resets and saves', async () => {
    const page = await open();
    const field = page.getByTestId('loss-rate-number');
    await enter(field, '0.25');
    expect(await page.getByTestId('loss-rate').inputValue()).toBe('0.25');
    await enter(field, '7');
    await expect.poll(() => numberIn(field).inputValue()).toBe('0.250');
    await page.getByTestId('loss-line').press('ArrowDown');
    await expect.poll(() => numberIn(field).inputValue()).toBe('0.255');
    const line = await page.getByTestId('loss-line').locator('.grip').boundingBox();
    if (line === null) throw new Error('no line');
    await page.mouse.move(line.x + 200, line.y + line.height / 2);
    await page.mouse.down();
    await page.mouse.move(line.x + 200, line.y + line.height / 2 + 30, { steps: 4 });
    await page.mouse.up();
    expect(Number(await numberIn(field).inputValue())).toBeGreaterThan(0.4);
    await page.getByTestId('save-defaults').click();
    await page.getByText('Saved').waitFor();
    const saved = await page.evaluate(() => window.fixture.received.find(({ method }) => method === 'settings/save'));
    expect(saved?.params).toMatchObject({ lossRate: Number(await numberIn(field).inputValue()), ranking: 'entropy' });
    await page.getByTestId('reset').click();
    await expect.poll(() => numberIn(field).inputValue()).toBe('0.800');
    await page.close();
  });

  it('takes a sequential mask from the host and says that it is stale until then', async () => {
    const page = await open({ reconstructMs: 300 });
    const before = await number(page, 'kept-count');
    await choose(page.getByTestId('ranking'), 'sequential');
    await painted(page);
    expect(await number(page, 'kept-count')).toBe(before);
    await page.getByTestId('stale').waitFor();
    await page.getByTestId('stale').waitFor({ state: 'detached' });
    expect(await number(page, 'kept-count')).toBeLessThan(before);
    await page.close();
  });

  it('says when a reconstruction failed, and keeps what it has', async () => {
    const page = await open();
    await page.evaluate(() => (window.fixture.failReconstruction = true));
    await setRange(page, 'loss-rate', 0.3);
    expect(await page.getByTestId('failure').innerText()).toContain('ended unexpectedly');
    await page.getByTestId('dismiss').click();
    expect(await page.getByTestId('failure').count()).toBe(0);
    await page.close();
  });
});

describe('plots', () => {
  it('fit a narrow panel, axes and all', async () => {
    const page = await open({ width: 300, height: 1500 });
    for (const plot of ['curve', 'histogram']) {
      const [left, right] = await page.getByTestId(plot).evaluate((svg) => {
        const marks = [...svg.querySelectorAll('.domain, .bar, .curve-line')].map((mark) =>
          mark.getBoundingClientRect(),
        );
        const box = svg.getBoundingClientRect();
        return [
          Math.min(...marks.map((mark) => mark.left)) - box.left,
          box.right - Math.max(...marks.map((mark) => mark.right)),
        ] as const;
      });
      expect(left, plot).toBeGreaterThan(0);
      expect(right, plot).toBeGreaterThan(0);
      expect(right, plot).toBeLessThan(20);
    }
    await page.close();
  });
});

describe('rate–distortion', () => {
  const measured = (page: Page): Promise<number[]> =>
    page.evaluate(() =>
      window.fixture.received
        .filter(({ method }) => method === 'measure')
        .flatMap(({ params }) => (params as { lossRates: number[] }).lossRates),
    );
  const points = (page: Page) => page.locator('.rate-point');

  it('is measured on request, drawn as points arrive, and takes one to a point by click and by keyboard', async () => {
    const page = await open({ provider: { provider: 'cpu', failures: [] }, reconstructMs: 60 });
    await page.getByTestId('rate-compute').click();
    await points(page).nth(1).waitFor();
    expect(await page.getByTestId('rate-progress').innerText()).toMatch(/^\d+ of 1\d$/);
    await page.getByTestId('rate-progress').waitFor({ state: 'detached' });
    const lossRates = await measured(page);
    expect(new Set(lossRates).size).toBe(lossRates.length);
    expect(await points(page).count()).toBe(lossRates.length);
    expect(await page.getByTestId('rate-compute').count()).toBe(0);
    const second = [...lossRates].sort((a, b) => b - a)[1] ?? 0;
    await page.getByTestId(`rate-point-${second}`).click();
    expect(await page.getByTestId('loss-rate').inputValue()).toBe(String(second));
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    expect(await page.getByTestId('loss-rate').inputValue()).toBe('0');
    await page.close();
  });

  it('switches its axes without measuring again', async () => {
    const page = await open();
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-compute').waitFor({ state: 'detached' });
    await page.getByTestId('rate-progress').waitFor({ state: 'detached' });
    const before = await measured(page);
    await choose(page.getByTestId('rate'), 'bits');
    await choose(page.getByTestId('distortion'), 'SSIM');
    expect(await page.getByTestId('rate-distortion').getAttribute('aria-label')).toContain('SSIM against bits');
    await setRange(page, 'loss-rate', 0.3);
    expect(await page.getByTestId('rate-stale').count()).toBe(0);
    expect(await measured(page)).toEqual(before);
    await page.close();
  });

  it('and all else stand where identical pictures have no PSNR and small ones no SSIM', async () => {
    const page = await open({ immeasurable: true });
    const thrown: Error[] = [];
    page.on('pageerror', (error) => thrown.push(error));
    expect(await page.getByTestId('psnr').innerText()).toBe('∞');
    expect(await page.getByTestId('ssim').innerText()).toBe('n/a');
    expect(await page.getByTestId('ssim').getAttribute('title')).toContain('11 pixels');
    expect(await page.getByTestId('stale').count()).toBe(0);
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-cancel').waitFor({ state: 'detached' });
    expect(await page.getByTestId('rate-stale').count()).toBe(0);
    expect(await page.getByTestId('no-ssim').count()).toBe(0);
    await choose(page.getByTestId('distortion'), 'SSIM');
    expect(await page.getByTestId('no-ssim').innerText()).toContain('11 pixels');
    expect(await points(page).count()).toBe(0);
    await setRange(page, 'loss-rate', 0.3);
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    expect(await page.getByTestId('ssim').innerText()).toBe('n/a');
    expect(thrown).toEqual([]);
    await page.close();
  });

  it('can be cancelled and continued; another budget makes it stale, the first brings it back', async () => {
    const page = await open({ provider: { provider: 'cpu', failures: [] }, reconstructMs: 60 });
    await page.getByTestId('rate-compute').click();
    await points(page).nth(2).waitFor();
    await page.getByTestId('rate-cancel').click();
    const [some] = (await page.getByTestId('rate-progress').innerText()).split(' ');
    await page.waitForTimeout(150);
    expect(await points(page).count()).toBe(Number(some));
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-progress').waitFor({ state: 'detached' });
    const count = (await measured(page)).length;
    await choose(page.getByTestId('budget'), 'reference');
    await page.getByTestId('rate-stale').waitFor();
    expect(await page.getByTestId('rate-compute').innerText()).toBe('Compute');
    await choose(page.getByTestId('budget'), 'this image');
    await page.getByTestId('rate-stale').waitFor({ state: 'detached' });
    expect(await page.getByTestId('rate-compute').count()).toBe(0);
    expect((await measured(page)).length).toBe(count);
    await page.close();
  });
});

describe('influence', () => {
  const asked = (page: Page): Promise<number[]> =>
    page.evaluate(() =>
      window.fixture.received
        .filter(({ method }) => method === 'influence')
        .map(({ params }) => (params as { globalToken: number }).globalToken),
    );
  const finished = (page: Page) => page.getByTestId('influence-progress').waitFor({ state: 'detached' });

  it('is computed for the isolated token first, then for all, once for every kept set', async () => {
    const page = await open({ reconstructMs: 15 });
    await page.getByTestId('global-9').click();
    expect(await asked(page)).toEqual([]);
    await page.getByTestId('overlay-influence').click();
    await page.getByTestId('influence-progress').waitFor();
    await finished(page);
    const tokens = await asked(page);
    expect(tokens[0]).toBe(9);
    expect(tokens.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, i) => i));
    await setRange(page, 'loss-rate', 0.5);
    await page.getByTestId('stale').waitFor({ state: 'detached' });
    await page.getByTestId('influence-progress').waitFor();
    await finished(page);
    await setRange(page, 'loss-rate', 0.8);
    await page.getByTestId('stale').waitFor({ state: 'detached' });
    await page.waitForTimeout(100);
    expect(await asked(page)).toHaveLength(64);
    await page.close();
  });

  it('reads out the focused patch, keeps the overlay when another token is isolated, and scales its colours', async () => {
    const page = await open({ reconstructMs: 5 });
    await page.getByTestId('overlay-influence').click();
    await finished(page);
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('ArrowDown');
    expect(await page.getByTestId('readout').innerText()).toMatch(/influence\s+[\d.]+ of 255/);
    expect(await page.getByTestId('colour-bar').getAttribute('data-high')).toBe('32');
    await page.getByTestId('range').click();
    const ofAll = Number(await page.getByTestId('colour-bar').getAttribute('data-high'));
    await page.getByTestId('global-0').click();
    await expect.poll(() => page.getByTestId('overlay-influence').isChecked()).toBe(true);
    expect(Number(await page.getByTestId('colour-bar').getAttribute('data-high'))).toBeGreaterThan(ofAll);
    await page.getByTestId('overlay-entropy').click();
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('ArrowDown');
    expect(await page.getByTestId('readout').locator('.rows').innerText()).not.toContain('influence');
    await page.close();
  });

  it('can be cancelled and continued', async () => {
    const page = await open({ reconstructMs: 40 });
    await page.getByTestId('overlay-influence').click();
    await expect.poll(() => page.getByTestId('influence-progress').innerText()).toMatch(/^[2-9] of 32$/);
    await page.getByTestId('influence-cancel').click();
    await page.waitForTimeout(100);
    const before = await asked(page);
    await page.waitForTimeout(150);
    expect(await asked(page)).toEqual(before);
    await page.getByTestId('influence-continue').click();
    await finished(page);
    // Only the one that was cancelled is asked for again.
    expect((await asked(page)).length).toBeLessThanOrEqual(33);
    await page.close();
  });

  it('begins anew with the tokens that replace those it was of, and complains of nothing', async () => {
    const page = await open({ reconstructMs: 40 });
    await page.getByTestId('overlay-influence').click();
    await expect.poll(() => page.getByTestId('influence-progress').innerText()).toMatch(/^[2-9] of 32$/);
    await page.evaluate(() => (window.fixture.replacing = true));
    await setRange(page, 'loss-rate', 0.5);
    await page.waitForTimeout(300);
    expect(await page.getByRole('alert').allInnerTexts()).toEqual([]);
    await choose(page.getByTestId('model'), 'mine');
    await expect.poll(() => page.getByTestId('influence-progress').innerText()).toMatch(/^[2-9] of 32$/);
    await finished(page);
    expect(await page.getByTestId('influence-continue').count()).toBe(0);
    expect(await page.getByRole('alert').allInnerTexts()).toEqual([]);
    await page.close();
  });
});

describe('patches', () => {
  it('reads out the patch under the pointer, pins it by a click, copies it', async () => {
    const page = await open();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const box = await page.getByTestId('canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    const at = (row: number, column: number): [number, number] => [
      box.x + (box.width - 512) / 2 + 32 * (column + 0.5),
      box.y + (box.height - 512) / 2 + 32 * (row + 0.5),
    ];
    await page.mouse.move(...at(5, 9));
    const readout = page.getByTestId('readout');
    expect(await readout.innerText()).toContain('Patch (5, 9) · #89');
    await page.mouse.click(...at(5, 9));
    await page.mouse.move(...at(8, 3));
    expect(await readout.innerText()).toContain('#89');
    await page.getByTestId('copy-patch').click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied).toMatch(/^patch \(5, 9\) #89, code \d+ \[\d \d \d \d\], conditional entropy [\d.]+ bits/);
    await page.mouse.click(...at(5, 9));
    await page.mouse.move(...at(8, 3));
    expect(await readout.innerText()).toContain('#131');
    await page.close();
  });

  it('walks by keys, announces politely, and links with the plots both ways', async () => {
    const page = await open();
    await page.getByTestId('canvas').focus();
    const readout = page.getByTestId('readout');
    for (const [key, index] of [
      ['ArrowDown', 136],
      ['ArrowLeft', 135],
      ['ArrowUp', 119],
      ['Home', 112],
      ['End', 127],
      ['PageUp', 15],
      ['PageDown', 255],
      ['Control+Home', 0],
    ] as const) {
      await page.keyboard.press(key);
      expect(await readout.innerText()).toContain(`#${index}`);
    }
    expect(await page.getByTestId('curve-focus').count()).toBe(1);
    expect(await page.getByTestId('histogram-focus').count()).toBe(1);
    const live = page.getByTestId('announcement');
    await expect.poll(() => live.textContent()).toContain('patch (0, 0) #0');
    expect(await live.getAttribute('aria-live')).toBe('polite');
    const curve = await page.getByTestId('curve').boundingBox();
    if (curve === null) throw new Error('no curve');
    await page.mouse.move(curve.x + 36, curve.y + 20);
    expect(await readout.innerText()).toContain('1 / 256');
    await page.close();
  });
});

describe('zoom', () => {
  it('zooms about the cursor, pans within bounds, fits, and shows 100 %', async () => {
    const page = await open();
    const zoom = page.getByTestId('zoom');
    const box = await page.getByTestId('canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    const [x, y] = [box.x + box.width / 2 + 100, box.y + box.height / 2 - 90];
    await page.mouse.move(x, y);
    const under = await page.getByTestId('readout').locator('h2').innerText();
    for (let i = 0; i < 4; i++) await page.mouse.wheel(0, -300);
    await painted(page);
    expect(Number.parseInt(await zoom.innerText())).toBeGreaterThan(300);
    await page.mouse.move(x + 1, y);
    expect(await page.getByTestId('readout').locator('h2').innerText()).toBe(under);
    await page.mouse.down();
    await page.mouse.move(x + 3000, y, { steps: 3 });
    await page.mouse.up();
    await page.mouse.move(box.x + 80, y);
    expect(await page.getByTestId('readout').locator('h2').innerText()).toMatch(/Patch \(\d+, 0\)/);
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('1');
    expect(await zoom.innerText()).toBe('100 %');
    await page.keyboard.press('0');
    expect(await zoom.innerText()).toBe('200 %');
    await page.close();
  });

  it('fills the device pixels of a dense screen', async () => {
    const page = await open({ deviceScaleFactor: 2 });
    const size = await page
      .getByTestId('canvas')
      .evaluate((canvas: HTMLCanvasElement) => [
        canvas.width / canvas.clientWidth,
        canvas.height / canvas.clientHeight,
      ]);
    expect(size).toEqual([2, 2]);
    await page.close();
  });
});

describe('life of the page', () => {
  it('brings everything back after a reload', async () => {
    const page = await open();
    await setRange(page, 'loss-rate', 0.35);
    await choose(page.getByTestId('ranking'), 'sequential');
    await page.getByTestId('view-difference').click();
    await page.getByTestId('global-5').click();
    await choose(page.getByTestId('colormap'), 'magma');
    await page.getByTestId('range').click();
    await choose(page.getByTestId('head'), 'head 2');
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('1');
    await page.keyboard.press('+');
    await expect
      .poll(() => page.evaluate(() => window.fixture.state))
      .toMatchObject({
        uri: 'file:///photographs/kodim23.png',
        view: 'difference',
        overlay: 'attention',
        camera: { extent: 384 },
        settings: { lossRate: 0.35 },
      });
    await page.reload();
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    await painted(page);
    expect(await page.getByTestId('loss-rate').inputValue()).toBe('0.35');
    await expect.poll(() => chosen(page.getByTestId('ranking'))).toBe('sequential');
    await expect.poll(() => page.getByTestId('view-difference').isChecked()).toBe(true);
    await expect.poll(() => page.getByTestId('overlay-attention').isChecked()).toBe(true);
    expect(await page.getByTestId('isolated').innerText()).toBe('token 5');
    await expect.poll(() => chosen(page.getByTestId('colormap'))).toBe('magma');
    await expect.poll(() => chosen(page.getByTestId('head'))).toBe('head 2');
    expect(await page.getByTestId('zoom').innerText()).toBe('150 %');
    await page.close();
  });

  it('cancels the first tokenization and tries again', async () => {
    const page = await openInspector({ scenario: 'working' });
    expect(await page.getByTestId('progress').innerText()).toContain('estimating entropy');
    await page.getByTestId('cancel').click();
    await page.getByTestId('failure').waitFor();
    expect(await page.getByTestId('failure').innerText()).toContain('was cancelled');
    await page.getByTestId('action-retry').click();
    await page.getByTestId('progress').waitFor();
    await page.close();
  });

  it('switches the model from the header, and stays as it was where the folder holds none', async () => {
    const page = await open();
    const model = page.getByTestId('model');
    await expect.poll(() => chosen(model)).toBe('synthetic-s-256');
    await choose(model, 'mine');
    await expect.poll(() => chosen(model)).toBe('mine');
    await expect.poll(() => model.isEnabled()).toBe(true);
    const psnr = await number(page, 'psnr');
    await choose(model, 'Choose folder…');
    await page.getByTestId('failure').waitFor();
    expect(await page.getByTestId('failure').locator('p').innerText()).toBe(
      'There is no model: /photographs/manifest.json cannot be read. Choose the folder of a TaTok bundle, with manifest.json and its ONNX graphs.',
    );
    await expect.poll(() => chosen(model)).toBe('mine');
    expect(await number(page, 'psnr')).toBe(psnr);
    const asked = await page.evaluate(() =>
      window.fixture.received.filter(({ method }) => method === 'models/choose').map(({ params }) => params),
    );
    expect(asked).toEqual([{ model: 'mine' }, { model: null }]);
    await page.close();
  });

  it('shows why a faster provider was not used', async () => {
    const reason = 'libcudnn.so.9: cannot open shared object file';
    const page = await open({ provider: { provider: 'cpu', failures: [{ provider: 'cuda', reason }] } });
    expect(await page.getByTestId('provider').getAttribute('title')).toContain(reason);
    await page.getByTestId('provider').click();
    await page.getByText(reason).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText(reason).waitFor({ state: 'hidden' });
    expect(await page.getByTestId('provider').locator('.fallback').count()).toBe(1);
    await page.close();
  });

  it('is no warning where there is no GPU, and leads to the set-up of CUDA', async () => {
    const reason = 'No NVIDIA driver was found.';
    const page = await open({ provider: { provider: 'cpu', failures: [{ provider: 'cuda', reason }] } });
    const chip = page.getByTestId('provider');
    expect(await chip.locator('.fallback').count()).toBe(0);
    expect(await chip.innerText()).not.toContain('fallback');
    await chip.click();
    await page.getByText(reason).waitFor();
    await page.getByTestId('set-up-cuda').click();
    const asked = () =>
      page.evaluate(() =>
        window.fixture.received.filter(({ method }) => method === 'action').map(({ params }) => params),
      );
    await expect.poll(asked).toEqual([['setUpCuda']]);
    await page.close();
  });

  it('reaches every control by Tab, in the order of reading', async () => {
    const page = await open();
    await page.getByTestId('model').focus();
    const order: string[] = [];
    for (let i = 0; i < 64; i++) {
      order.push(
        await page.evaluate(() => {
          const { activeElement: element } = document;
          return element?.closest('[data-testid]')?.getAttribute('data-testid') ?? element?.getAttribute('title') ?? '';
        }),
      );
      await page.keyboard.press('Tab');
    }
    expect(order.join(' ')).toMatch(
      /^model model-details provider export view-reconstruction overlay-entropy about-entropy opacity colormap canvas range .* fit actual-size about-lossRate loss-rate-number ranking about-ranking budget about-budget edge-priority about-edgePriority reset save-defaults loss-rate side-width target target-unit target-set fold-experiments-title undo redo tool-inspect other-image draw seed sequence fold-rate-distortion-title about-rateDistortion rate-compute fold-curve-title about-curve loss-line fold-histogram-title about-histogram fold-anchors-title about-anchors anchors strip-height fold-globals layer head global-0/,
    );
    await page.close();
  });
});
