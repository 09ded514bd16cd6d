import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import { choose, chosen } from './fixture/controls';

const { openInspector } = useChromium();

const text = (page: Page, testId: string) => page.getByTestId(testId).innerText();
const received = (page: Page, method: string) =>
  page.evaluate((wanted) => window.fixture.received.filter((message) => message.method === wanted).length, method);
/** Edges of what stands in the page, which must not move while results arrive. */
const places = (page: Page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('canvas.picture, .loss-rate, .sidebar section, .globals')].map((element) => {
      const { x, y, width, height } = element.getBoundingClientRect();
      return [x, y, width, height].map(Math.round).join(' ');
    }),
  );

describe('results as they come', () => {
  it('shows the photograph first, with the settings that will hold and a way out', async () => {
    const page = await openInspector({ scenario: 'pictured' });
    await page.getByTestId('canvas').and(page.locator(':not(.empty)')).waitFor();
    expect(await text(page, 'status')).toContain('loading model');
    expect(await page.getByTestId('colour-bar').count()).toBe(0);
    expect(await page.getByTestId('loss-rate').inputValue()).toBe('0.8');
    expect(await page.getByTestId('phase-said').textContent()).toBe('Tokenizing kodim23.png');
    await page.getByTestId('cancel').click();
    expect(await text(page, 'failure')).toContain('was cancelled');
    await page.close();
  });

  it('shows the overlay, its histogram and attention before the patches are ranked; nothing moves then', async () => {
    const pictured = await openInspector({ scenario: 'pictured' });
    await pictured.getByTestId('stand-in').waitFor();
    const page = await openInspector({ scenario: 'ranking' });
    await page.getByTestId('colour-bar').waitFor();
    await page.getByTestId('histogram').waitFor();
    expect(await page.getByTestId('status').getAttribute('data-state')).toBe('pending');
    expect(await text(page, 'kept-count')).toBe('–');
    expect(await text(page, 'stand-in')).toContain('original');
    expect(await page.getByTestId('phase-said').textContent()).toBe('kodim23.png is tokenized');
    const done = await openInspector();
    await done.locator('[data-testid="status"][data-state="ready"]').waitFor();
    expect(await places(page)).toEqual(await places(pictured));
    expect(await places(done)).toEqual(await places(pictured));
    await Promise.all([pictured, page, done].map((each) => each.close()));
  });

  it('stops ranking a tiled picture on request, and takes it up again', async () => {
    const page = await openInspector({ scenario: 'ranking', cells: 64, tiles: 4 });
    await page.getByText('ranking patches 2 %').waitFor();
    await page.getByTestId('cancel').click();
    await page.getByTestId('resume').waitFor();
    expect(await page.evaluate(() => window.fixture.cancelled)).toBe(1);
    expect(await page.getByTestId('status').getAttribute('data-state')).toBe('ready');
    expect(await text(page, 'stand-in')).toContain('not reconstructed');
    await page.getByTestId('resume').click();
    await page.getByTestId('cancel').waitFor();
    expect(await received(page, 'rank')).toBe(2);
    // ε has no part in the ranking under way.
    await page.getByTestId('loss-rate').press('ArrowLeft');
    expect(await received(page, 'rank')).toBe(2);
    await choose(page.getByTestId('ranking'), 'entropy');
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    expect(Number(await text(page, 'kept-count'))).toBeGreaterThan(0);
    await page.close();
  });

  it('offers the ranking that takes no time, where the other takes long', async () => {
    const page = await openInspector({ scenario: 'ranking', cells: 64, tiles: 4 });
    await page.getByTestId('rank-globally').click();
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    await expect.poll(() => chosen(page.getByTestId('ranking'))).toBe('entropy');
    expect(Number(await text(page, 'kept-count'))).toBeGreaterThan(0);
    expect(await page.getByTestId('rank-globally').count()).toBe(0);
    await page.close();
    const small = await openInspector({ scenario: 'ranking' });
    await small.locator('[data-testid="status"][data-state="pending"]').waitFor();
    expect(await small.getByTestId('rank-globally').count()).toBe(0);
    await small.close();
  });

  it.each([300, 420, 560, 760, 1020, 1280])('covers nothing in the header of a panel of %i pixels', async (width) => {
    const page = await openInspector({ scenario: 'ranking', cells: 64, tiles: 4, width });
    await page.getByTestId('rank-globally').waitFor();
    const overlaps = await page.locator('.header').evaluate((header) => {
      const controls = [
        ...header.querySelectorAll('h1, .dimensions, .status, .status vscode-button, vscode-dropdown, vscode-button'),
      ];
      const boxes = controls.map((element) => ({ element, box: element.getBoundingClientRect() }));
      return boxes.flatMap(({ element, box }, i) => [
        ...(box.right > innerWidth ? [`${element.outerHTML.slice(0, 80)} is cut`] : []),
        ...boxes
          .slice(i + 1)
          .filter((other) => !element.contains(other.element))
          .filter(({ box: { left, right, top, bottom } }) => {
            return left < box.right - 1 && right > box.left + 1 && top < box.bottom - 1 && bottom > box.top + 1;
          })
          .map((other) => `${element.outerHTML.slice(0, 80)} lies on ${other.element.outerHTML.slice(0, 80)}`),
      ]);
    });
    expect(overlaps).toEqual([]);
    await page.close();
  });

  it('says how long it will take, once that is known', async () => {
    const page = await openInspector();
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    await page.clock.install();
    const progress = (done: number) =>
      page.evaluate((tiles) => window.fixture.progress('encode', { done: tiles, total: 192 }), done);
    await progress(2);
    await page.getByText('encoding 2 of 192 tiles').waitFor();
    expect(await text(page, 'status')).not.toContain('left');
    await page.clock.fastForward(10_000);
    await progress(42);
    await expect.poll(() => text(page, 'status')).toMatch(/encoding 42 of 192 tiles · about 40 s left/);
    await page.close();
  });

  it('keeps the former picture while it is tokenized anew', async () => {
    const page = await openInspector();
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    await page.evaluate(() => window.fixture.progress('read'));
    await page.locator('[data-testid="status"][data-state="working"]').waitFor();
    expect(await page.getByTestId('colour-bar').count()).toBe(1);
    expect(await page.getByTestId('stand-in').count()).toBe(0);
    expect(Number(await text(page, 'kept-count'))).toBeGreaterThan(0);
    await page.close();
  });
});
