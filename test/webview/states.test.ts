import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import { choose } from './fixture/controls';
import { complaintsOf, violationsInEveryTheme } from './fixture/everyTheme';
import type { OpenOptions } from './fixture/page';

interface State {
  readonly name: string;
  readonly options?: OpenOptions;
  readonly prepare?: (page: Page) => Promise<void>;
}

const press =
  (...testIds: string[]) =>
  async (page: Page): Promise<void> => {
    for (const testId of testIds) await page.getByTestId(testId).click();
  };

const states: readonly State[] = [
  { name: 'entropy', prepare: (page) => focusPatch(page, 5, 9) },
  { name: 'original', prepare: press('view-original', 'overlay-none') },
  { name: 'surprisal', prepare: press('view-original', 'overlay-surprisal', 'range') },
  { name: 'kept', prepare: press('view-original', 'overlay-kept') },
  { name: 'attention', prepare: press('view-original', 'global-12') },
  {
    name: 'influence',
    prepare: async (page) => {
      await press('view-original', 'overlay-influence', 'global-12')(page);
      await page.getByTestId('influence-progress').waitFor({ state: 'detached' });
      await focusPatch(page, 5, 9);
    },
  },
  {
    name: 'influence-cancelled',
    prepare: async (page) => {
      await press('overlay-influence')(page);
      await page.waitForTimeout(300);
      await press('influence-cancel')(page);
    },
  },
  { name: 'difference', prepare: press('view-difference', 'overlay-none') },
  { name: 'swipe', prepare: press('view-swipe', 'overlay-none') },
  {
    name: 'fallback',
    options: {
      provider: {
        provider: 'cpu',
        failures: [{ provider: 'cuda', reason: 'libonnxruntime_providers_cuda.so was not found beside the binding.' }],
      },
    },
    prepare: press('provider'),
  },
  { name: 'model', prepare: press('model-details') },
  { name: 'export', prepare: press('export') },
  { name: 'export-narrow', options: { width: 300, height: 900 }, prepare: press('export') },
  { name: 'narrow', options: { width: 300, height: 1500 }, prepare: (page) => focusPatch(page, 5, 9) },
  { name: 'half', options: { width: 620, height: 1000 } },
  { name: 'wide', options: { width: 1920, height: 1080 }, prepare: (page) => focusPatch(page, 5, 9) },
  { name: 'pinned', prepare: (page) => pinPatch(page, 7, 4) },
  {
    name: 'stale',
    options: { reconstructMs: 60_000, provider: { provider: 'cpu', failures: [] } },
    prepare: async (page) => {
      await choose(page.getByTestId('ranking'), 'sequential');
      await page.getByTestId('stale').first().waitFor();
    },
  },
  {
    name: 'rate-distortion',
    options: { height: 1000 },
    prepare: async (page) => {
      await page.getByTestId('rate-compute').click();
      await page.getByTestId('rate-progress').waitFor();
      await page.getByTestId('rate-progress').waitFor({ state: 'detached' });
      await page.getByTestId('rate-point-0').focus();
    },
  },
  {
    name: 'rate-stale',
    options: { height: 1000 },
    prepare: async (page) => {
      await page.getByTestId('rate-compute').click();
      await page.locator('.rate-point').first().waitFor();
      await page.getByTestId('rate-cancel').click();
      await choose(page.getByTestId('budget'), 'reference');
      await page.getByTestId('rate-stale').waitFor();
    },
  },
  { name: 'zoomed', prepare: zoom },
  {
    name: 'fixed-globals',
    options: { parts: { globalTokens: 57, patchTokens: 0, filters: false } },
    prepare: (page) => focusPatch(page, 5, 9),
  },
  {
    name: 'fixed-patches',
    options: { parts: { globalTokens: 0, patchTokens: 256, filters: false } },
    prepare: (page) => focusPatch(page, 5, 9),
  },
  {
    name: 'fixed-patches-narrow',
    options: { parts: { globalTokens: 0, patchTokens: 256, filters: false }, width: 300, height: 1000 },
  },
  {
    name: 'patches-only',
    options: { parts: { globalTokens: 0, patchTokens: 256, filters: true } },
    prepare: (page) => focusPatch(page, 5, 9),
  },
  {
    name: 'token-file',
    options: { opened: { tokens: 'file', original: 'kodim23.png' } },
    prepare: (page) => focusPatch(page, 5, 9),
  },
  {
    name: 'data-set-row',
    options: { opened: { tokens: 'dataset', original: null } },
    prepare: press('overlay-surprisal'),
  },
  { name: 'working', options: { scenario: 'working' } },
  { name: 'pictured', options: { scenario: 'pictured' } },
  { name: 'ranking', options: { scenario: 'ranking' } },
  {
    name: 'ranking-tiles',
    options: { scenario: 'ranking', cells: 64, tiles: 4 },
    prepare: (page) => focusPatch(page, 5, 9),
  },
  { name: 'failed', options: { scenario: 'failed' } },
  {
    name: 'banner',
    prepare: (page) =>
      page.evaluate(() =>
        window.fixture.fail({
          message: 'kodim23.png was deleted or moved. It is tokenized again when it is back.',
          actions: ['retry', 'showOutput'],
        }),
      ),
  },
];

async function canvasBox(page: Page): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await page.getByTestId('canvas').boundingBox();
  if (box === null) throw new Error('no canvas');
  return box;
}

async function focusPatch(page: Page, row: number, column: number): Promise<void> {
  await page.getByTestId('canvas').focus();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Control+Home');
  for (let i = 0; i < row; i++) await page.keyboard.press('ArrowDown');
  for (let i = 0; i < column; i++) await page.keyboard.press('ArrowRight');
  await page.getByRole('heading', { name: `Patch (${row}, ${column})` }).waitFor();
}

async function pinPatch(page: Page, row: number, column: number): Promise<void> {
  await focusPatch(page, row, column);
  await page.keyboard.press('Enter');
  await page.getByTestId('overlay-kept').click();
}

async function zoom(page: Page): Promise<void> {
  const box = await canvasBox(page);
  await page.getByTestId('view-reconstruction').click();
  await page.mouse.move(box.x + box.width / 2 + 60, box.y + box.height / 2 - 70);
  for (let i = 0; i < 6; i++) await page.mouse.wheel(0, -300);
}

describe('every state in every theme', () => {
  const { openInspector } = useChromium();

  it.each(states)('$name: axe finds nothing, the console is quiet', async ({ name, options, prepare }) => {
    const page = await openInspector({ ...options, theme: 'dark' });
    const complaints = complaintsOf(page);
    const waiting = options?.scenario === 'working' ? 'progress' : options?.scenario === 'failed' ? 'failure' : 'bits';
    await page.getByTestId(waiting).waitFor();
    await prepare?.(page);
    const violations = await violationsInEveryTheme(page, name);
    await page.close();
    expect(violations).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
