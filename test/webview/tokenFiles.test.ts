/** The page of tokens out of files: what it shows of them, and what it leaves out. */
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';

const { openInspector } = useChromium();

const ready = (page: Page) => page.locator('[data-testid="status"][data-state="ready"]').waitFor();
const received = (page: Page, method: string) =>
  page.evaluate(
    (name) => window.fixture.received.flatMap((message) => (message.method === name ? [message.params] : [])),
    method,
  );
const views = (page: Page) => page.getByRole('radiogroup', { name: 'View' }).getByRole('radio').allInnerTexts();
const overlays = (page: Page) => page.getByRole('radiogroup', { name: 'Overlay' }).getByRole('radio').allInnerTexts();

describe('a token file', () => {
  it('has the kept set of the file and no ε, and is measured where its picture was found', async () => {
    const page = await openInspector({ opened: { tokens: 'file', original: 'kodim23.png' } });
    await ready(page);
    expect(await page.getByTestId('original').innerText()).toBe('original: kodim23.png');
    for (const absent of ['loss-rate', 'crop-mode', 'ranking', 'rate-compute']) {
      expect(await page.getByTestId(absent).count(), absent).toBe(0);
    }
    expect(Number(await page.getByTestId('kept-count').innerText())).toBeGreaterThan(0);
    expect(Number(await page.getByTestId('psnr').innerText())).toBeGreaterThan(0);
    expect(await overlays(page)).toContain('Attention');
    expect(await page.getByTestId('curve').count()).toBe(1);
    // Its filter is not asked for anything.
    expect(await received(page, 'rank')).toEqual([]);
    await page.close();
  });

  it('has no attention, no figures of quality and no codecs without its picture, and says what it is shown as', async () => {
    const page = await openInspector({ opened: { tokens: 'file', original: null } });
    await ready(page);
    expect(await page.getByTestId('original').innerText()).toBe('original not found');
    expect(await page.getByTestId('note').innerText()).toMatch(/earlier version/);
    expect(await views(page)).toEqual(['Unedited', 'Reconstruction', 'Difference', 'Swipe']);
    expect(await overlays(page)).not.toContain('Attention');
    expect([await page.getByTestId('psnr').count(), await page.getByTestId('anchors').count()]).toEqual([0, 0]);
    expect(await received(page, 'attention')).toEqual([]);
    expect(await page.getByTestId('dimensions').innerText()).toBe('256×256');
    await page.close();
  });
});

describe('edits of a token file', () => {
  const open = async () => {
    const page = await openInspector({ opened: { tokens: 'file', original: 'kodim23.png' } });
    await ready(page);
    await page.getByTestId('canvas').focus();
    // The first key goes to the middle.
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Control+Home');
    return page;
  };
  const kept = async (page: Page) => Number(await page.getByTestId('kept-count').innerText());

  it('are told to the host, which undoes them: Ctrl-Z is for VS Code alone', async () => {
    const page = await open();
    const before = await kept(page);
    await page.keyboard.press('k');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('k');
    await expect.poll(async () => (await received(page, 'edit')).length).toBe(2);
    expect(await received(page, 'edit')).toEqual([
      { edits: { forcedKept: [0], forcedDropped: [], replaced: [] }, label: 'patch (0, 0) kept' },
      { edits: { forcedKept: [0, 1], forcedDropped: [], replaced: [] }, label: 'patch (0, 1) kept' },
    ]);
    const edited = await kept(page);
    expect(edited).toBeGreaterThanOrEqual(before);
    await page.keyboard.press('Control+z');
    expect(await received(page, 'travel')).toEqual([]);
    await page.getByTestId('undo').click();
    await expect.poll(() => received(page, 'travel')).toEqual([['undo']]);
    await expect.poll(() => page.getByTestId('outcome').innerText()).toContain('1 kept by hand');
    expect(await received(page, 'edit')).toHaveLength(2);
    await page.close();
  });

  it('of a stroke are told once, at its end', async () => {
    const page = await open();
    await page.getByTestId('tool-drop').click();
    const box = await page.getByTestId('canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 120, y, { steps: 8 });
    expect(await received(page, 'edit')).toEqual([]);
    await page.mouse.up();
    await expect.poll(async () => (await received(page, 'edit')).length).toBe(1);
    const [edit] = (await received(page, 'edit')) as { edits: { forcedDropped: number[] } }[];
    expect(edit?.edits.forcedDropped.length).toBeGreaterThan(2);
    await page.close();
  });

  it('are the host’s, not the page’s: a page that comes back has those that it is told', async () => {
    const page = await open();
    await page.keyboard.press('d');
    await expect.poll(async () => (await received(page, 'edit')).length).toBe(1);
    // The fake host forgets with the page.
    await page.reload();
    await ready(page);
    expect(await page.getByTestId('outcome').innerText()).not.toContain('by hand');
    expect(await received(page, 'edit')).toEqual([]);
    await page.close();
  });
});

describe('a data set', () => {
  it('shows one row, goes to others, and nothing of the former one where a row is broken', async () => {
    const page = await openInspector({ opened: { tokens: 'dataset', original: null } });
    await ready(page);
    expect(await page.getByTestId('row').innerText()).toBe('a/0.png · 1 of 3');
    await page.getByRole('button', { name: 'Row after' }).click();
    await page.getByText('b/none.gif has no tokens: There is no such file.').waitFor();
    expect([await page.getByTestId('kept-count').count(), await page.getByTestId('row').innerText()]).toEqual([
      0,
      'Choose row…',
    ]);
    await page.getByTestId('row').click();
    await expect.poll(() => page.getByTestId('row').innerText()).toBe('a/2.png · 3 of 3');
    await ready(page);
    expect(await received(page, 'row/choose')).toEqual([['next'], ['list']]);
    // The next page of this tab begins with the row.
    await expect.poll(() => page.evaluate(() => (window.fixture.state as { row?: number }).row)).toBe(2);
    await page.reload();
    await ready(page);
    expect(await received(page, 'ready')).toEqual([expect.objectContaining({ row: 2 })]);
    await page.close();
  });

  it('keeps no patch that it has no code of', async () => {
    const page = await openInspector({ opened: { tokens: 'dataset', original: null } });
    await ready(page);
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('Control+Home');
    const before = await page.getByTestId('kept-count').innerText();
    for (let i = 0; i < 16 && (await page.getByTestId('readout').innerText()).includes('kept'); i++) {
      await page.keyboard.press('ArrowRight');
    }
    await page.keyboard.press('k');
    await page.getByText('The data set has no code of a patch that it drops').waitFor({ state: 'attached' });
    expect(await page.getByTestId('kept-count').innerText()).toBe(before);
    expect(await received(page, 'edit')).toEqual([]);
    await page.close();
  });

  it('knows neither code nor surprisal of a patch that its row drops', async () => {
    const page = await openInspector({ opened: { tokens: 'dataset', original: null } });
    await ready(page);
    await page.getByTestId('canvas').focus();
    const seen = new Set<boolean>();
    await page.keyboard.press('Control+Home');
    for (let i = 0; i < 16 && seen.size < 2; i++) {
      await page.keyboard.press('ArrowRight');
      const text = await page.getByTestId('readout').innerText();
      const kept = text.includes('kept');
      seen.add(kept);
      expect([text.includes('its code is not in the file'), /^code/m.test(text)]).toEqual([!kept, kept]);
    }
    expect(seen.size).toBe(2);
    await page.close();
  });
});
