/** Tokenizers that lack a part: what they do not have is not offered, and what they have is right. */
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import { choose, options } from './fixture/controls';
import type { OpenOptions } from './fixture/page';

const fixedGlobals = { globalTokens: 57, patchTokens: 0, filters: false };
const fixedPatches = { globalTokens: 0, patchTokens: 256, filters: false };
const patchesOnly = { globalTokens: 0, patchTokens: 256, filters: true };
const whole = { globalTokens: 32, patchTokens: 256, filters: true };

const { openInspector, openComparison } = useChromium();

async function open(options: OpenOptions): Promise<Page> {
  const page = await openInspector(options);
  await settled(page);
  return page;
}

const settled = (page: Page) => page.locator('[data-testid="status"][data-state="ready"]').waitFor();

const overlays = (page: Page) => page.locator('[data-testid^="overlay-"]').allInnerTexts();

const text = (page: Page, testId: string) => page.getByTestId(testId).innerText();

const asked = (page: Page, method: string): Promise<number> =>
  page.evaluate((name) => window.fixture.received.filter((message) => message.method === name).length, method);

/** Test ids of what belongs to filtering. */
const filtering = ['loss-rate', 'edge-priority', 'curve', 'histogram', 'rate-compute', 'kept-count'];

async function present(page: Page, testIds: readonly string[]): Promise<string[]> {
  const counts = await Promise.all(testIds.map((testId) => page.getByTestId(testId).count()));
  return testIds.filter((_, i) => (counts[i] ?? 0) > 0);
}

async function exportKinds(page: Page): Promise<string[]> {
  await page.getByTestId('export').click();
  return page
    .locator('[data-testid^="export-"][role="menuitem"]')
    .evaluateAll((items) => items.map((item) => item.getAttribute('data-testid')?.replace('export-', '') ?? ''));
}

async function chooseModel(page: Page, name: string): Promise<void> {
  await choose(page.getByTestId('model'), name);
  await settled(page);
}

describe('a tokenizer of global tokens alone', () => {
  it('says what it is, what it costs and what it is worth, and has no filter', async () => {
    const page = await open({ parts: fixedGlobals });
    expect(await text(page, 'kind')).toBe('57 global tokens, no patch tokens: every image takes 57 tokens');
    expect(await text(page, 'total-tokens')).toBe('57');
    expect(await text(page, 'bits')).toBe('684 bits');
    expect(Number(await text(page, 'psnr'))).toBeGreaterThan(10);
    expect(await present(page, filtering)).toEqual([]);
    expect(await asked(page, 'rank')).toBe(0);
    await page.close();
  });

  it('shows attention and influence of its tokens, and no entropies that a former page showed', async () => {
    const page = await open({ parts: fixedGlobals });
    expect(await overlays(page)).toEqual(['Attention', 'Influence', 'Off']);
    expect(await page.getByTestId('colour-bar').count(), 'the default overlay is of entropies').toBe(0);
    expect(await page.locator('.thumbnail').count()).toBe(57);
    await page.getByTestId('overlay-attention').click();
    await page.getByTestId('colour-bar').waitFor();
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('ArrowUp');
    expect(await page.getByTestId('readout').locator('dt').allInnerTexts()).toEqual(['mean RGB']);
    await page.close();
  });

  it('is exported as what it is', async () => {
    const page = await open({ parts: fixedGlobals });
    expect(await exportKinds(page)).toEqual([
      ...['view.png', 'copy', 'input.png', 'reconstruction.png', 'difference.png', 'attention.png'],
      ...['tokens.json', 'npz'],
    ]);
    await page.close();
  });

  it('takes its tokens for every tile', async () => {
    const page = await open({ parts: fixedGlobals, cells: 32, tiles: 2 });
    expect(await text(page, 'kind')).toBe('57 global tokens, no patch tokens: every tile takes 57 tokens');
    expect(await text(page, 'total-tokens')).toBe('228');
    await page.close();
  });
});

describe('a tokenizer that keeps every patch token', () => {
  it('has no overlay to choose, no attention to ask for, and codes to read', async () => {
    const page = await open({ parts: fixedPatches });
    expect(await text(page, 'kind')).toBe('no global tokens, 256 patch tokens: every image takes 256 tokens');
    expect(await text(page, 'bits')).toBe('3072 bits');
    expect(await overlays(page)).toEqual([]);
    expect(await present(page, [...filtering, 'thumbnails', 'layer'])).toEqual([]);
    expect(await asked(page, 'attention')).toBe(0);
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('ArrowUp');
    expect(await page.getByTestId('readout').locator('dt').allInnerTexts()).toEqual(['code', 'mean RGB']);
    expect(await exportKinds(page)).toEqual([
      ...['view.png', 'copy', 'input.png', 'reconstruction.png', 'difference.png'],
      ...['patches.csv', 'patches.json', 'tokens.json', 'npz'],
    ]);
    await page.close();
  });

  it('still shows reconstruction, difference and swipe', async () => {
    const page = await open({ parts: fixedPatches });
    const picture = () =>
      page.getByTestId('canvas').evaluate(async (canvas: HTMLCanvasElement) => {
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        return canvas.toDataURL();
      });
    const seen = new Set<string>();
    for (const view of ['original', 'reconstruction', 'difference', 'swipe']) {
      await page.getByTestId(`view-${view}`).click();
      seen.add(await picture());
    }
    expect(seen.size).toBe(4);
    await page.close();
  });
});

describe('a tokenizer of patch tokens that are filtered', () => {
  it('is filtered as ever, given nothing at first', async () => {
    const page = await open({ parts: patchesOnly });
    expect(await text(page, 'kind')).toBe('no global tokens, 256 patch tokens: every image takes 0 to 256 tokens');
    expect(await overlays(page)).toEqual(['Priority', 'Entropy', 'Surprisal', 'Kept', 'Off']);
    expect(await options(page.getByTestId('ranking'))).toEqual(['entropy', 'sequential', 'by distortion']);
    const kept = Number(await text(page, 'kept-count'));
    await page.getByTestId('loss-rate').fill('0.4');
    await expect.poll(async () => Number(await text(page, 'kept-count'))).toBeGreaterThan(kept);
    expect(await text(page, 'bits')).toMatch(new RegExp(`^${12 * Number(await text(page, 'kept-count'))} \\+ `));
    expect(await page.getByTestId('thumbnails').count()).toBe(0);
    await page.close();
  });
});

describe('choosing another model', () => {
  it('falls back from an overlay that it does not have, and comes back to it', async () => {
    const page = await open({ parts: whole, otherParts: fixedGlobals });
    await page.getByTestId('overlay-surprisal').click();
    await page.getByTestId('colour-bar').waitFor();
    await chooseModel(page, 'mine');
    await page.getByTestId('kind').waitFor();
    expect(await page.getByTestId('colour-bar').count()).toBe(0);
    await expect.poll(() => page.getByTestId('overlay-none').isChecked()).toBe(true);
    await chooseModel(page, 'synthetic-s-256');
    await page.getByTestId('kind').waitFor({ state: 'detached' });
    await expect.poll(() => page.getByTestId('overlay-surprisal').isChecked()).toBe(true);
    await page.close();
  });

  it('keeps the ε chosen for those that have one', async () => {
    const page = await open({ parts: whole, otherParts: fixedPatches });
    await page.getByTestId('loss-rate').fill('0.3');
    const kept = await text(page, 'kept-count');
    await chooseModel(page, 'mine');
    await page.getByTestId('kind').waitFor();
    expect(await text(page, 'total-tokens')).toBe('256');
    await chooseModel(page, 'synthetic-s-256');
    await page.getByTestId('loss-rate').waitFor();
    expect(await page.getByTestId('loss-rate').inputValue()).toBe('0.3');
    expect(await text(page, 'kept-count')).toBe(kept);
    await page.close();
  });

  it('restores a page whose overlay the model of now does not have', async () => {
    const page = await open({ parts: fixedPatches });
    await page.evaluate(() => {
      sessionStorage.setItem('vscode-state', JSON.stringify({ uri: 'x', overlay: 'influence', isolated: [3] }));
    });
    await page.reload();
    await settled(page);
    expect(await page.getByTestId('colour-bar').count()).toBe(0);
    expect(await page.getByTestId('failure').count()).toBe(0);
    expect(await asked(page, 'influence')).toBe(0);
    await page.close();
  });
});

describe('a comparison with TaTok', () => {
  const figures = async (page: Page, name: string) =>
    Promise.all(['a', 'b', 'difference'].map((which) => text(page, `${name}-${which}`)));

  async function compare(parts: OpenOptions['parts']): Promise<Page> {
    const page = await openComparison({
      a: { parts: whole },
      b: parts === undefined ? {} : { parts, photograph: 'kodim23.png' },
    });
    await expect.poll(() => text(page, 'psnr-difference')).not.toBe('–');
    return page;
  }

  it('counts tokens, bits and quality of both, and kept patches where there is a choice', async () => {
    const page = await compare(fixedGlobals);
    const [kept] = await figures(page, 'kept');
    expect(await figures(page, 'kept')).toEqual([kept, '–', '–']);
    const tokens = 32 + Number(kept);
    expect(await figures(page, 'tokens')).toEqual([
      String(tokens),
      '57',
      tokens > 57 ? `−${tokens - 57}` : `+${57 - tokens}`,
    ]);
    expect((await figures(page, 'bits'))[1]).toBe('684');
    for (const name of ['psnr', 'ssim']) expect((await figures(page, name))[2]).toMatch(/^[+−]?[\d.]+$/);
    expect(await present(page, ['link', 'kept-sets'])).toEqual([]);
    expect(await page.getByTestId('loss-rate').count(), 'one side has an ε').toBe(1);
    await page.close();
  });

  it('offers the overlays that both sides have', async () => {
    const none = await compare(fixedPatches);
    expect(await overlays(none)).toEqual([]);
    expect(await none.getByTestId('colour-bar').count()).toBe(0);
    await none.close();
    const some = await compare(patchesOnly);
    expect(await overlays(some)).toEqual(['Priority', 'Entropy', 'Surprisal', 'Kept', 'Off']);
    await some.getByTestId('overlay-entropy').click();
    expect(await some.getByTestId('colour-bar').count()).toBe(2);
    await some.close();
  });

  it('has both kept sets where both models filter', async () => {
    const page = await compare(patchesOnly);
    expect(await text(page, 'kept-sets')).toMatch(/^Kept by both \d+/);
    await expect.poll(() => page.getByTestId('link').isChecked()).toBe(true);
    await page.close();
  });
});

describe('a tokenizer of which leading tokens decode', () => {
  const prefix = { globalTokens: 57, patchTokens: 0, filters: false, prefix: true };

  it('has ε as a length, and nothing that belongs to single patches', async () => {
    const page = await open({ parts: prefix });
    expect(await text(page, 'kind')).toBe('57 global tokens, no patch tokens: every image takes 1 to 57 tokens');
    expect(await present(page, filtering)).toEqual(['loss-rate', 'rate-compute']);
    await page.getByTestId('loss-rate').fill('0.5');
    await expect.poll(() => text(page, 'length')).toBe('29 of 57');
    expect(await text(page, 'total-tokens')).toBe('29');
    expect(await text(page, 'bits')).toBe('348 bits');
    await expect.poll(() => page.getByTestId('stale').count()).toBe(0);
    expect(await asked(page, 'rank')).toBe(0);
    expect(await overlays(page)).toEqual(['Attention', 'Influence', 'Off']);
    expect(await exportKinds(page)).toEqual([
      ...['view.png', 'copy', 'input.png', 'reconstruction.png', 'difference.png', 'attention.png'],
      ...['sweep.webp', 'sweep.gif'],
      'tokens.json',
      'npz',
      'rate-distortion.svg',
      'rate-distortion.csv',
    ]);
    await page.close();
  });
});
