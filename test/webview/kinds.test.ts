/** Tokenizers of other kinds than TaTok: what the page reads out of their tokens, and ε as a length. */
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import type { TokenizerKind } from './fixture/kinds';
import type { OpenOptions } from './fixture/page';

const { openInspector } = useChromium();

async function open(kind: TokenizerKind, options: OpenOptions = {}): Promise<Page> {
  const page = await openInspector({ kind, ...options });
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  return page;
}

const text = (page: Page, testId: string) => page.getByTestId(testId).first().innerText();

/** Shows the readout of a patch. */
async function pointAtPatch(page: Page): Promise<void> {
  await page.getByTestId('canvas').focus();
  await page.keyboard.press('ArrowUp');
}

/** The facts of the patch in focus by their names. */
async function facts(page: Page): Promise<Record<string, string>> {
  const readout = page.getByTestId('readout');
  const [names, values] = [await readout.locator('dt').allInnerTexts(), await readout.locator('dd').allInnerTexts()];
  return Object.fromEntries(names.map((name, i) => [name, values[i] ?? '']));
}

describe('a table of vectors', () => {
  it('has an index, its nearest entries and the patches that took it, and no levels', async () => {
    const page = await open('table');
    await pointAtPatch(page);
    await expect
      .poll(async () => (await facts(page))['nearest entries'])
      .toMatch(/^\d+ \(0\.1[23]\), \d+ \(0\.25\), \d+ \(0\.3[78]\)$/);
    const read = await facts(page);
    expect(read['code']).toMatch(/^\d+$/);
    const code = Number(read['code']);
    expect(read['nearest entries']?.startsWith(`${code + 1} (`)).toBe(true);
    // 256 patches of codes 0, 3, 6, …, 765 modulo 512.
    expect(Number(read['patches with this code'])).toBe(1);
    await page.close();
  });
});

describe('residual codes', () => {
  it('are read out one by one, each with its nearest entries', async () => {
    const page = await open('residual');
    await pointAtPatch(page);
    await expect
      .poll(async () => Object.keys(await facts(page)).filter((name) => name.startsWith('nearest to')))
      .toHaveLength(4);
    expect((await facts(page))['code']?.split(', ')).toHaveLength(4);
    await page.close();
  });

  it('are a depth that ε chooses, with what each level adds', async () => {
    const page = await open('residual', { lossRate: 0 });
    expect(await text(page, 'length')).toBe('4 of 4');
    await page.getByTestId('rate-compute').click();
    const rows = page.getByTestId('step-gains').locator('tbody tr');
    await expect.poll(() => rows.count()).toBe(4);
    const cells = await rows.evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
    expect(cells.map(([level, tokens]) => [level, tokens])).toEqual([
      ['1', '256'],
      ['2', '512'],
      ['3', '768'],
      ['4', '1024'],
    ]);
    expect(cells[0]?.[3]).toBe('–');
    for (const [, , psnr, adds] of cells.slice(1)) {
      expect(Number(psnr)).toBeGreaterThan(10);
      expect(adds).toMatch(/^\+\d+\.\d\d dB$/);
    }
    await rows.nth(1).getByRole('button').click();
    await expect.poll(() => text(page, 'length')).toBe('2 of 4');
    expect(await rows.nth(1).getAttribute('aria-current')).toBe('true');
    await page.close();
  });
});

describe('scales', () => {
  it('are left out from the finest', async () => {
    const page = await open('scales', { lossRate: 0 });
    expect(await text(page, 'kind')).toContain('3 scales of 1×1, 4×4, 16×16');
    expect(await text(page, 'length')).toBe('3 of 3');
    expect(await text(page, 'total-tokens')).toBe('273');
    await page.getByTestId('rate-compute').click();
    const rows = page.getByTestId('step-gains').locator('tbody tr');
    await expect.poll(() => rows.count()).toBe(3);
    await rows.first().getByRole('button').click();
    await expect.poll(() => text(page, 'length')).toBe('1 of 3');
    await expect.poll(() => text(page, 'total-tokens')).toBe('1');
    await page.close();
  });
});

describe('latents', () => {
  it('are numbers, and have no codes, entries or ε', async () => {
    const page = await open('latents');
    await pointAtPatch(page);
    const read = await facts(page);
    expect(read['latent']).toMatch(/^\[\d+\.\d\d( \d+\.\d\d){3}\]$/);
    expect(Object.keys(read)).not.toContain('nearest entries');
    expect(await page.getByTestId('loss-rate').count()).toBe(0);
    expect(Number(await text(page, 'psnr'))).toBeGreaterThan(10);
    await page.close();
  });
});
