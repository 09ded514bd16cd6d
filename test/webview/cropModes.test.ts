import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import { choose, chosen } from './fixture/controls';

const { openInspector } = useChromium();

describe('crop modes', () => {
  it('are chosen in the header, with progress by tile and a way out', async () => {
    const page = await openInspector({});
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    await expect.poll(() => chosen(page.getByTestId('crop-mode'))).toBe('centre crop');
    await choose(page.getByTestId('crop-mode'), 'tiles at native resolution');
    const asked = () => page.evaluate(() => window.fixture.received.map(({ method, params }) => ({ method, params })));
    expect(await asked()).toContainEqual({ method: 'cropMode/choose', params: ['tiles'] });
    await page.evaluate(() => window.fixture.progress('encode', { done: 40, total: 192 }));
    const status = page.getByTestId('status');
    await expect.poll(() => status.innerText()).toContain('encoding 40 of 192 tiles');
    await page.getByTestId('cancel').click();
    await expect.poll(async () => (await asked()).map(({ method }) => method)).toContain('cancel');
    await page.close();
  });

  it('show one map over all tiles, and the attention of the tile under the focused patch', async () => {
    const page = await openInspector({ size: 512, cells: 32, tiles: 2 });
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    expect(await page.getByTestId('dimensions').innerText()).toContain('512×512 in 2×2 tiles');
    expect(Number(await page.getByTestId('total-tokens').innerText())).toBe(
      4 * 32 + Number(await page.getByTestId('kept-count').innerText()),
    );
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Control+Home');
    const tiles = () =>
      page.evaluate(() =>
        window.fixture.received
          .filter(({ method }) => method === 'attention')
          .map(({ params }) => (params as { tile: number }).tile),
      );
    await expect.poll(async () => (await tiles()).at(-1)).toBe(0);
    await page.keyboard.press('End');
    await expect.poll(async () => (await tiles()).at(-1)).toBe(1);
    await page.close();
  });

  it('offer to open what is above the limit anyway', async () => {
    const page = await openInspector({ scenario: 'failed' });
    await page.getByTestId('failure').waitFor();
    await page.evaluate(() => window.fixture.fail({ message: 'It is too large.', actions: ['openAnyway'] }));
    await page.getByTestId('action-openAnyway').click();
    expect(await page.evaluate(() => window.fixture.received.at(-1)?.params)).toEqual(['openAnyway']);
    await page.close();
  });
});

describe('a file with several pages', () => {
  it('has the one that was taken named in the header', async () => {
    const page = await openInspector({ page: { unit: 'page', number: 1, count: 3 } });
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    expect(await page.getByTestId('dimensions').innerText()).toContain('768×512 (page 1 of 3) → 256×256');
    await page.close();
  });
});
