import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import { choose } from './fixture/controls';
import { complaintsOf, violationsInEveryTheme } from './fixture/everyTheme';

const { openModelTable } = useChromium();

async function open(options: Parameters<typeof openModelTable>[0] = {}): Promise<Page> {
  const page = await openModelTable(options);
  await page.getByTestId('row-0').waitFor();
  return page;
}

/** Places of the rows, from top to bottom. */
const order = (page: Page): Promise<(string | undefined)[]> =>
  page.locator('tbody tr').evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['testid']?.slice(4)));

const received = (page: Page, method: string): Promise<unknown[]> =>
  page.evaluate(
    (wanted) => window.tableFixture.received.filter(({ method }) => method === wanted).map(({ params }) => params),
    method,
  );

describe('the table of models', () => {
  it('is sorted by a column, the other way, and then again as it was asked for; exports follow', async () => {
    const page = await open();
    const psnr = page.getByTestId('sort-psnr');
    await psnr.click();
    expect(await order(page)).toEqual(['0', '1', '2', '3']);
    expect(await page.getByRole('columnheader', { name: 'PSNR, dB' }).getAttribute('aria-sort')).toBe('descending');
    await psnr.click();
    await expect.poll(() => order(page)).toEqual(['2', '1', '0', '3']);
    await page.getByTestId('export').click();
    await page.getByTestId('export-models.tex').click();
    await page.getByText('Saved models.tex').waitFor();
    expect(await received(page, 'table/save')).toEqual([{ kind: 'models.tex', order: [2, 1, 0, 3] }]);
    await psnr.click();
    await expect.poll(() => order(page)).toEqual(['0', '1', '2', '3']);
    await page.getByTestId('sort-name').focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => order(page)).toEqual(['1', '3', '0', '2']);
    await page.close();
  });

  it('says what has no file, and shows text of others as text', async () => {
    const page = await open();
    expect(await page.getByTestId('row-3').getByTestId('missing').innerText()).toBe(
      '2 of 2 without: none ≤ 166 bytes (smallest 322, 296 of them container)',
    );
    expect(await page.getByTestId('images').getAttribute('title')).toBe('kodim05.png\n<b>kodim07</b>.png');
    expect(await page.getByTestId('row-0').getByRole('cell').allInnerTexts()).toEqual([
      ...['73', '1328', '166', '0.0203', '21.50', '0.537'],
    ]);
    await page.close();
  });

  it('is cancelled and gone on with, and has formats at the bytes of another row', async () => {
    const page = await open();
    expect(await page.getByTestId('status').innerText()).toContain('3 of 6');
    await page.getByTestId('cancel').click();
    await expect.poll(() => page.getByTestId('status').innerText()).toBe('stopped at 3 of 6');
    await page.getByTestId('resume').click();
    await page.getByTestId('cancel').waitFor();
    await choose(page.getByTestId('reference'), 'fixed-57 0.1.0, every token');
    expect(await received(page, 'table/reference')).toEqual([[1]]);
    await page.close();
  });

  it.each([
    { name: 'model-table', options: {} },
    { name: 'model-table-narrow', options: { width: 320, height: 700 } },
  ])('$name: axe finds nothing in any theme, the console is quiet', async ({ name, options }) => {
    const page = await open(options);
    const complaints = complaintsOf(page);
    expect(await violationsInEveryTheme(page, name)).toEqual([]);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
