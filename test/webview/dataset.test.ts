import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { enter } from './fixture/controls';
import { complaintsOf, violationsInEveryTheme } from './fixture/everyTheme';
import type { DatasetOptions } from './fixture/page';

const { openDataset } = useChromium();

/** A page whose rows have all arrived. */
async function opened(options: DatasetOptions = {}): Promise<Page> {
  const page = await openDataset(options);
  const rows = (options.rows ?? 300).toLocaleString('en');
  await page.getByTestId('progress').getByText(`: ${rows} of`).waitFor();
  return page;
}

const paths = (page: Page): Promise<string[]> => page.locator('[data-testid="row"] .grid-path').allTextContents();

/** Values of a column as the rows in the document have them. */
async function column(page: Page, place: number): Promise<number[]> {
  const rows = page.locator('.grid-row:not(.failed)');
  return (await rows.locator(`[role="gridcell"]:nth-child(${place})`).allTextContents()).map(Number);
}

const received = (page: Page, method: string) =>
  page.evaluate((wanted) => window.datasetFixture.received.filter((each) => each.method === wanted), method);

describe('the table of 10,000 images', () => {
  it('has the rows that are seen in the document, wherever it is scrolled to', async () => {
    const page = await opened({ rows: 10_000 });
    const table = page.getByTestId('table');
    expect(await table.getAttribute('aria-rowcount')).toBe('10001');
    const first = await page.getByTestId('row').count();
    expect(first).toBeGreaterThan(10);
    expect(first).toBeLessThan(45);
    await table.evaluate((element) => (element.scrollTop = 44 * 5000));
    await expect.poll(() => paths(page)).toContain('class 2/image-05000.png');
    expect(await page.getByTestId('row').count()).toBeLessThan(45);
    const indices = await page.getByTestId('row').evaluateAll((rows) => rows.map((row) => row.ariaRowIndex));
    expect(indices).toContain('5002');
    // What is seen has pictures, and nothing was asked for in between.
    await expect.poll(() => page.locator('.row-thumbnail img').count()).toBeGreaterThan(10);
    const asked = (await received(page, 'dataset/thumbnail')).map(({ params }) => (params as [number])[0]);
    expect(asked.filter((index) => index > 100 && index < 4900 && index % 50 !== 7)).toEqual(
      // Those of the lists of worst and best, which are anywhere.
      expect.not.arrayContaining([200, 2000, 4000]),
    );
    await page.close();
  });

  it('is sorted by each column both ways, rows without a value last', async () => {
    const page = await opened({ rows: 10_000 });
    for (const [name, place] of [
      ['tokens', 2],
      ['psnr', 4],
    ] as const) {
      await page.getByTestId(`sort-${name}`).click();
      const ascending = await column(page, place);
      expect(ascending).toEqual([...ascending].sort((a, b) => a - b));
      await page.getByTestId(`sort-${name}`).click();
      const descending = await column(page, place);
      expect(descending).toEqual([...descending].sort((a, b) => b - a));
      expect(Math.min(...descending)).toBeGreaterThan(Math.max(...ascending));
      const header = page.getByRole('columnheader', { name: name === 'psnr' ? 'PSNR' : 'Tokens' });
      expect(await header.getAttribute('aria-sort')).toBe('descending');
    }
    await page.getByTestId('table').evaluate((element) => (element.scrollTop = element.scrollHeight));
    await expect.poll(() => page.locator('.grid-row.failed').count()).toBeGreaterThan(5);
    await page.close();
  });

  it('is filtered by conditions, and says what is none', async () => {
    const page = await opened({ rows: 10_000 });
    const filter = page.getByTestId('filter').getByRole('textbox');
    await filter.fill('psnr < 19 and kept > 22');
    await expect.poll(() => page.getByTestId('shown').innerText()).toMatch(/^\d+ of 10,000 images$/);
    const psnr = await column(page, 4);
    expect(psnr.length).toBeGreaterThan(5);
    // As rounded to two digits.
    expect(Math.max(...psnr)).toBeLessThanOrEqual(19);
    await filter.fill('psnr is low');
    await expect.poll(() => page.getByRole('alert').innerText()).toContain('“psnr is low” is no condition.');
    expect(await page.getByTestId('shown').innerText()).toBe('');
    await filter.fill('');
    await page.getByTestId('selection-failed').click();
    await expect.poll(() => page.getByTestId('shown').innerText()).toBe('100 of 10,000 images');
    expect(await page.getByTestId('row').first().innerText()).toContain('The image is damaged or cut short');
    await page.getByTestId('selection-repeated').click();
    await expect.poll(() => page.getByTestId('shown').innerText()).toBe('400 of 10,000 images');
    expect(await page.getByTestId('row').first().innerText()).toContain('The same file 2 times');
    await page.close();
  });
});

describe('the keyboard', () => {
  it('walks through the rows, which are announced as rows, and opens the inspector', async () => {
    const page = await opened({ rows: 10_000 });
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-rowindex') ?? null);
    await page.getByTestId('row').first().focus();
    await page.keyboard.press('ArrowDown');
    await expect.poll(focused).toBe('3');
    await page.keyboard.press('End');
    await expect.poll(focused).toBe('10001');
    await page.keyboard.press('ArrowUp');
    await expect.poll(focused).toBe('10000');
    await page.keyboard.press('PageUp');
    await expect.poll(async () => Number(await focused())).toBeLessThan(9995);
    await page.keyboard.press('Home');
    await expect.poll(focused).toBe('2');
    // It keeps its place where the mouse scrolls far away.
    await page.getByTestId('table').evaluate((element) => (element.scrollTop = 44 * 5000));
    await expect.poll(() => paths(page)).toContain('class 2/image-05000.png');
    expect(await focused()).toBe('2');
    await page.keyboard.press('ArrowDown');
    await expect.poll(focused).toBe('3');
    await page.keyboard.press('Enter');
    expect(await received(page, 'dataset/open')).toEqual([{ method: 'dataset/open', params: [1] }]);
    await page.close();
  });

  it('reaches one row of the table by the Tab key', async () => {
    const page = await opened();
    expect(await page.locator('[data-testid="row"][tabindex="0"]').count()).toBe(1);
    await page.close();
  });
});

describe('a run', () => {
  it('fills the table, tells how far it is, and can be cancelled and gone on with', async () => {
    const page = await openDataset({ rows: 0, total: 40, phase: 'running' });
    await page.getByTestId('progress').getByText('tokenizing: 0 of 40 images').waitFor();
    await page.evaluate(() => window.datasetFixture.make(0, 8));
    await page.getByTestId('progress').getByText('tokenizing: 8 of 40 images, 1 failed, 2 repeated').waitFor();
    expect(await page.getByTestId('tokens-summary').innerText()).toMatch(/^mean \d+\.\d, /);
    await page.getByTestId('cancel').click();
    expect(await received(page, 'cancel')).toHaveLength(1);
    await page.evaluate(() => {
      window.datasetFixture.lose(4, 40);
      window.datasetFixture.tell({ phase: 'stopped', written: 4 });
    });
    await page.getByTestId('progress').getByText('stopped: 4 of 40 images').waitFor();
    await page.getByTestId('resume').click();
    expect(await received(page, 'dataset/resume')).toHaveLength(1);
    await page.evaluate(() =>
      window.datasetFixture.tell({
        phase: 'stopped',
        failure: { message: 'The model is missing.', actions: ['openSettings'] },
      }),
    );
    await page.getByRole('alert').getByText('The model is missing.').waitFor();
    await page.getByTestId('action-openSettings').click();
    expect(await received(page, 'action')).toEqual([{ method: 'action', params: ['openSettings'] }]);
    await page.close();
  });

  it('comes back with its order and filter after a reload', async () => {
    const page = await opened();
    await page.getByTestId('sort-psnr').click();
    await page.getByTestId('filter').getByRole('textbox').fill('psnr > 20');
    await expect.poll(() => page.getByTestId('shown').innerText()).not.toBe('');
    const before = await paths(page);
    await page.waitForFunction(() => JSON.stringify(window.datasetFixture.state).includes('psnr > 20'));
    await page.reload();
    await expect.poll(() => paths(page)).toEqual(before);
    expect(await page.evaluate(() => window.datasetFixture.state)).toMatchObject({
      uri: 'file:///work/photographs.tokens',
      sort: 'psnr',
      filter: 'psnr > 20',
    });
    await page.close();
  });
});

describe('all images', () => {
  it('have a mean curve with its spread, named by how many were measured', async () => {
    const page = await opened();
    await page.getByTestId('curve-measure').click();
    await page.getByTestId('curve-status').getByText('Mean of 3 of 297 images, taken at random').waitFor();
    expect(await page.getByTestId('mean-curve').getAttribute('aria-label')).toContain(
      'ε 0: 272.0 tokens, 31.0 dB (30.2 to 31.8)',
    );
    await page.close();
  });

  it('have budgets for a mean number of tokens, which are written to the settings on request', async () => {
    const page = await opened();
    await enter(page.getByTestId('budget-tokens'), '56');
    await page.getByTestId('budget-find').click();
    await page.getByTestId('budgets').getByText('Mean of at most 56 tokens over 40 images.').waitFor();
    expect(await page.getByTestId('budget-image').innerText()).toMatch(/ε = 0\.\d+: mean 5[0-6]\.\d tokens/);
    expect(await page.getByTestId('budget-collection').innerText()).toContain('For the manifest of a model');
    await page.getByTestId('budget-save-image').click();
    await page.getByRole('status').getByText('Settings written').waitFor();
    expect(await received(page, 'dataset/saveBudget')).toEqual([{ method: 'dataset/saveBudget', params: ['image'] }]);
    await enter(page.getByTestId('budget-tokens'), '271');
    await page.close();
  });

  it('have their worst and best, which open in the inspector', async () => {
    const page = await opened();
    const psnr = async (list: string) =>
      (await page.getByTestId(list).getByRole('listitem').allTextContents()).map((text) =>
        Number(/([\d.]+) dB$/.exec(text)?.[1]),
      );
    const [worst, best] = [await psnr('worst'), await psnr('best')];
    expect(worst).toEqual([...worst].sort((a, b) => a - b));
    expect(Math.min(...best)).toBeGreaterThan(Math.max(...worst));
    await page.getByTestId('worst').getByRole('button').first().click();
    expect(await received(page, 'dataset/open')).toEqual([{ method: 'dataset/open', params: [0] }]);
    await page.close();
  });

  it('are exported as a table and as charts', async () => {
    const page = await opened();
    await page.getByTestId('selection-failed').click();
    const saved = async (kind: string): Promise<string> => {
      await page.getByTestId('export').click();
      await page.getByTestId(`export-${kind}`).click();
      await page.getByRole('status').getByText(`Saved photographs.${kind}`).waitFor();
      return page.evaluate(() => {
        const last = window.datasetFixture.received.filter(({ method }) => method === 'dataset/export').at(-1);
        return new TextDecoder().decode((last?.params as { bytes: Uint8Array }).bytes);
      });
    };
    const lines = (await saved('table.csv')).split('\n');
    expect(lines[0]).toBe(
      'path,label,width,height,crop_x,crop_y,crop_width,crop_height,kept,tokens,payload_bits,mask_bits,coded_bits,psnr,ssim,mean_entropy,id,copies,error',
    );
    expect(lines[1]).toBe(
      'class 1/image-00007.png,class 1,,,,,,,,,,,,,,,,1,The image is damaged or cut short (it lacks rows).',
    );
    expect(lines).toHaveLength(5);
    const table = (await saved('psnr.csv')).trim().split('\n').slice(1);
    expect(table.reduce((sum, line) => sum + Number(line.split(',')[2]), 0)).toBe(297);
    const svg = await saved('tokens.svg');
    expect(svg).toContain('<svg');
    expect(svg).not.toMatch(/class=|var\(--/);
    await page.close();
  });
});

describe('for everyone', () => {
  it.each([
    ['wide', { width: 1280 }],
    ['narrow', { width: 420 }],
  ])('axe finds nothing in the %s page, in four themes', async (name, size) => {
    const page = await opened({ ...size, rows: 300, total: 400, phase: 'stopped' });
    await page.getByTestId('curve-measure').click();
    await page.getByTestId('mean-curve').waitFor();
    await page.getByTestId('budget-find').click();
    await page.getByTestId('budgets').waitFor();
    expect(await violationsInEveryTheme(page, `dataset-${name}`, name === 'wide')).toEqual([]);
    await page.close();
  });

  it('nothing leaves a narrow page, and no script complains', async () => {
    const page = await openDataset({ width: 320 });
    const complaints = complaintsOf(page);
    await page.getByTestId('row').first().waitFor();
    await painted(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
