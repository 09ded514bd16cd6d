/** Experiments in the page: click, brush, keys, undo, other codes, the menu of the picture, the token sequence, targets. */
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { choose } from './fixture/controls';
import { violationsInEveryTheme } from './fixture/everyTheme';
import type { OpenOptions } from './fixture/page';
import type { Edits } from '../../src/method/edits';

const { openInspector } = useChromium();

async function open(options: OpenOptions = {}): Promise<Page> {
  const page = await openInspector(options);
  await ready(page);
  return page;
}

async function ready(page: Page): Promise<void> {
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  await expect.poll(() => page.getByTestId('psnr').innerText()).not.toBe('–');
}

const columns = 16;

/** The middle of a patch in the page, at fit. */
async function middleOf(page: Page, patch: number): Promise<{ x: number; y: number }> {
  const box = await page.getByTestId('canvas').boundingBox();
  if (box === null) throw new Error('no canvas');
  // A patch of the fixture has 16 image pixels.
  const side = (16 * Number.parseInt(await page.getByTestId('zoom').innerText())) / 100;
  return {
    x: box.x + (box.width - columns * side) / 2 + side * ((patch % columns) + 0.5),
    y: box.y + (box.height - columns * side) / 2 + side * (Math.floor(patch / columns) + 0.5),
  };
}

async function click(page: Page, patch: number, button: 'left' | 'right' = 'left'): Promise<void> {
  const { x, y } = await middleOf(page, patch);
  await page.mouse.click(x, y, { button });
}

/** Puts the focus of the picture on a patch, by keys alone. */
async function goTo(page: Page, patch: number): Promise<void> {
  await page.getByTestId('canvas').focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Control+Home');
  for (let row = 0; row < Math.floor(patch / columns); row++) await page.keyboard.press('ArrowDown');
  for (let column = 0; column < patch % columns; column++) await page.keyboard.press('ArrowRight');
}

const said = (page: Page): Promise<string> => page.getByTestId('experiment-said').innerText();
const expectSaid = (page: Page, text: string | RegExp) => expect.poll(() => said(page)).toMatch(text);
const edits = (page: Page): Promise<Edits | undefined> =>
  page.evaluate(() => (window.fixture.state as { edits?: { edits: Edits } } | undefined)?.edits?.edits);
const kept = async (page: Page): Promise<number> => Number(await page.getByTestId('kept-count').innerText());

describe('forcing patches', () => {
  it('by keys keeps, drops and frees the focused patch, is announced, and is undone and done again', async () => {
    const page = await open();
    const before = await kept(page);
    await goTo(page, 0);
    const isKept = (await page.getByTestId('readout').innerText()).includes('kept');
    await page.keyboard.press(isKept ? 'd' : 'k');
    await expectSaid(page, `Patch (0, 0) ${isKept ? 'dropped' : 'kept'}`);
    const after = before + (isKept ? -1 : 1);
    expect(await kept(page)).toBe(after);
    await expect.poll(() => page.getByTestId('readout').innerText()).toContain(isKept ? 'dropped' : 'kept');
    // What it costs and gives, against the same settings without it.
    await expect.poll(() => page.getByTestId('delta-tokens').innerText()).toBe(`${isKept ? '−1' : '+1'} tokens`);
    expect(await page.getByTestId('delta-bits').innerText()).toMatch(isKept ? /^−\d+ bits$/ : /^\+\d+ bits$/);
    await expect.poll(() => page.getByTestId('delta-psnr').innerText()).toMatch(/^[±+−]\d\.\d\d dB$/);

    await page.keyboard.press('Control+z');
    await expectSaid(page, /^Undone: patch \(0, 0\)/);
    expect(await kept(page)).toBe(before);
    await page.keyboard.press('Control+Shift+Z');
    await expectSaid(page, /^Done again: patch \(0, 0\)/);
    expect(await kept(page)).toBe(after);
    await page.keyboard.press('f');
    await expectSaid(page, 'Patch (0, 0) left to the filter');
    expect(await kept(page)).toBe(before);
    await page.keyboard.press('Control+z');
    expect(await kept(page)).toBe(after);
    await page.keyboard.press('Control+y');
    expect(await kept(page)).toBe(before);
    await page.keyboard.press('Control+y');
    await expectSaid(page, 'Nothing to redo');
    await page.close();
  });

  it('by a brush forces every patch of a stroke as one change, and does not pan; the wheel still zooms', async () => {
    const page = await open();
    const before = await kept(page);
    const camera = () => page.evaluate(() => (window.fixture.state as { camera?: unknown }).camera);
    await page.getByTestId('canvas').press('+');
    await page.getByTestId('canvas').press('0');
    await page.getByTestId('tool-keep').click();
    const [from, to] = [await middleOf(page, 33), await middleOf(page, 42)];
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    // One step: the patches between are crossed all the same.
    await page.mouse.move(to.x, to.y);
    await page.mouse.up();
    await expectSaid(page, '10 patches kept');
    const row = Array.from({ length: 10 }, (_, i) => 33 + i);
    await expect.poll(() => edits(page)).toEqual({ forcedKept: row, forcedDropped: [], replaced: [] });
    expect(await camera()).toBe('fit');
    // A press with it is a stroke of one patch, and pins nothing.
    await page.getByTestId('tool-drop').click();
    await click(page, 34);
    await expectSaid(page, 'Patch (2, 2) dropped');
    await expect.poll(() => edits(page)).toMatchObject({ forcedDropped: [34] });
    await page.getByTestId('undo').click();
    await page.getByTestId('undo').click();
    await expect.poll(() => kept(page)).toBe(before);
    await expect.poll(() => edits(page)).toBeUndefined();
    const zoom = await page.getByTestId('zoom').innerText();
    await page.mouse.move(to.x, to.y);
    await page.mouse.wheel(0, -200);
    await expect.poll(() => page.getByTestId('zoom').innerText()).not.toBe(zoom);
    await page.close();
  });

  it('is taken back as a whole by Reset, which is undone too', async () => {
    const page = await open();
    await goTo(page, 5);
    await page.keyboard.press('k');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('d');
    await page.getByTestId('reset-experiments').click();
    await expectSaid(page, 'All experiments taken back');
    await expect.poll(() => edits(page)).toBeUndefined();
    await page.keyboard.press('Control+z');
    await expect.poll(() => edits(page)).toEqual({ forcedKept: [5], forcedDropped: [6], replaced: [] });
    await page.close();
  });

  it('decodes anew with the patches, exports them, and survives a reload', async () => {
    const page = await open();
    await goTo(page, 20);
    await page.keyboard.press('k');
    const last = () =>
      page.evaluate(() => window.fixture.received.filter(({ method }) => method === 'reconstruct').at(-1)?.params);
    await expect.poll(last).toMatchObject({ edits: { forcedKept: [20] } });
    await page.getByTestId('export').click();
    await page.getByTestId('export-tokens.json').click();
    await expect
      .poll(() => page.evaluate(() => window.fixture.received.find(({ method }) => method === 'export')?.params))
      .toMatchObject({ kind: 'tokens.json', edits: { forcedKept: [20], forcedDropped: [], replaced: [] } });
    await expect.poll(() => edits(page)).toMatchObject({ forcedKept: [20] });
    await page.reload();
    await ready(page);
    await expect.poll(last).toMatchObject({ edits: { forcedKept: [20] } });
    await expect.poll(() => page.getByTestId('outcome').innerText()).toContain('1 kept by hand');
    // Tokens of another model are others.
    await choose(page.getByTestId('model'), 'mine');
    await expect.poll(() => page.getByTestId('outcome').innerText()).not.toContain('by hand');
    await page.close();
  });

  it('is not offered for a model that drops no single patches, and its keys do nothing', async () => {
    const page = await open({ parts: { globalTokens: 0, patchTokens: 256, filters: false } });
    expect(await page.getByTestId('tool-keep').count()).toBe(0);
    await goTo(page, 0);
    await page.keyboard.press('d');
    await painted(page);
    expect(await said(page)).toBe('');
    expect(await edits(page)).toBeUndefined();
    await page.close();
  });
});

describe('other codes', () => {
  const codeOf = async (page: Page, token: 'patch' | 'global'): Promise<number> =>
    Number((await page.getByTestId(`code-now-${token}`).innerText()).match(/^code (\d+)/)?.[1]);

  it('come of a level, of another patch, and go back', async () => {
    const page = await open();
    await click(page, 40);
    const own = await codeOf(page, 'patch');
    const level = page.getByTestId('level-patch-1');
    const changed = (Number(await level.inputValue()) + 1) % 8;
    await level.fill(String(changed));
    await level.press('Enter');
    // The second dimension counts eights.
    const now = own - 8 * ((changed + 7) % 8) + 8 * changed;
    await expect.poll(() => page.getByTestId('code-now-patch').innerText()).toBe(`code ${now}, was ${own}`);
    await expect
      .poll(() => edits(page))
      .toEqual({ forcedKept: [], forcedDropped: [], replaced: [{ token: 'patch', index: 40, code: now }] });
    await expect.poll(() => page.getByTestId('readout').innerText()).toContain(`${now} [`);
    // A level that there is not is put back.
    await level.fill('8');
    await level.press('Enter');
    expect(await level.inputValue()).toBe(String(changed));

    await goTo(page, 41);
    await page.keyboard.press('c');
    const copied = await codeOf(page, 'patch');
    await expectSaid(page, `Code ${copied} is copied`);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('v');
    await expectSaid(page, `Patch (2, 10) has code ${copied}`);
    // Both have one code now: the next one with it is the other.
    await page.keyboard.press('e');
    await expect.poll(() => page.getByTestId('readout').locator('h2').innerText()).toContain('(2, 9)');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Delete');
    await expectSaid(page, 'Patch (2, 8) as the model has it');
    await expect.poll(async () => (await edits(page))?.replaced.map(({ index }) => index)).toEqual([42]);
    await page.close();
  });

  it('of a global token are those of another image, one or all', async () => {
    const page = await open();
    await page.getByTestId('other-image').click();
    await page.getByTestId('other-name').waitFor();
    await expectSaid(page, 'Global tokens of parrots.png can be put here');
    await page.getByTestId('global-3').click();
    const own = await codeOf(page, 'global');
    await page.getByTestId('swap-globals').click();
    const swapped = (own + 100) % 4096;
    await expect.poll(() => edits(page)).toMatchObject({ replaced: [{ token: 'global', index: 3, code: swapped }] });
    await page.getByTestId('code-restore-global').click();
    await expect.poll(() => edits(page)).toBeUndefined();
    // Pressed again, no token is shown alone.
    await page.getByTestId('global-3').click();
    await page.getByTestId('swap-globals').click();
    await expect.poll(async () => (await edits(page))?.replaced.length).toBe(32);
    await page.close();
  });

  it('are drawn for what is dropped, with a seed, and are kept', async () => {
    const page = await open();
    const dropped = 256 - (await kept(page));
    await page.getByTestId('seed').fill('7');
    await page.getByTestId('seed').press('Enter');
    await page.getByTestId('draw').click();
    await expectSaid(page, `Codes of ${dropped} patches drawn with seed 7`);
    expect(await kept(page)).toBe(256);
    const request = () => page.evaluate(() => window.fixture.received.find(({ method }) => method === 'draw')?.params);
    expect(await request()).toMatchObject({ seed: 7 });
    await page.keyboard.press('Control+z');
    await expect.poll(() => kept(page)).toBe(256 - dropped);
    await page.close();
  });
});

describe('the menu of the picture', () => {
  it('opens at the pointer and by key, walks, acts, and gives the focus back', async () => {
    const page = await open();
    await click(page, 50, 'right');
    await page.getByTestId('picture-menu').waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByTestId('picture-menu').count()).toBe(0);
    await goTo(page, 1);
    await page.keyboard.press('Shift+F10');
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-testid'));
    await expect.poll(focused).toBe('menu-keep');
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe('menu-drop');
    await page.keyboard.press('Enter');
    await expectSaid(page, 'Patch (0, 1) dropped');
    expect(await focused()).toBe('canvas');
    // What cannot be done now says why, and does nothing.
    await page.keyboard.press('ContextMenu');
    const paste = page.getByTestId('menu-paste-code');
    expect(await paste.getAttribute('aria-disabled')).toBe('true');
    expect(await paste.getAttribute('title')).toBe('Copy the code of a patch first');
    await paste.click({ force: true });
    expect(await page.getByTestId('picture-menu').count()).toBe(1);
    await page.getByTestId('menu-restore').click();
    await expect.poll(() => edits(page)).toBeUndefined();
    await page.close();
  });
});

describe('the token sequence', () => {
  it('has global tokens, then the kept patches with positions, and is copied as Python and JSON', async () => {
    const page = await open();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByTestId('sequence').locator('summary').click();
    const list = page.getByTestId('tokens-in-order').locator('li');
    await expect.poll(async () => list.count()).toBe(32 + (await kept(page)));
    expect(await list.first().innerText()).toMatch(/^global 0: \d+$/);
    expect(await list.last().innerText()).toMatch(/^patch \(\d+, \d+\): \d+$/);
    await page.getByTestId('copy-json').click();
    await expect.poll(() => page.getByTestId('sequence-said').innerText()).toContain('JSON');
    const json = JSON.parse(await page.evaluate(() => navigator.clipboard.readText())) as Record<string, unknown[]>;
    expect(json['globalCodes']).toHaveLength(32);
    expect(json['patchCodes']).toHaveLength(await kept(page));
    await page.getByTestId('copy-python').click();
    await expect
      .poll(() => page.evaluate(() => navigator.clipboard.readText()))
      .toMatch(/^# kodim23\.png: tokens of synthetic/);
    await page.close();
  });
});

describe('a target', () => {
  it.each([
    ['tokens', '64', 64],
    ['bits', '1200', 100],
  ] as const)('in %s sets the ε that gives it', async (unit, target, tokens) => {
    const page = await open();
    await choose(page.getByTestId('target-unit'), unit);
    await page.getByTestId('target').fill(target);
    await page.getByTestId('target').press('Enter');
    // 32 global tokens are always there; a code has 12 bits.
    await expect.poll(() => page.getByTestId('total-tokens').innerText()).toBe(String(tokens));
    await expect.poll(() => page.getByTestId('target-said').innerText()).toMatch(/^ε 0\.\d{4}$/);
    await page.close();
  });

  it('in dB sets the largest ε that reaches it, and says so where none does', async () => {
    const page = await open({ reconstructMs: 1 });
    await choose(page.getByTestId('target-unit'), 'dB');
    await page.getByTestId('target').fill('24');
    await page.getByTestId('target-set').click();
    await expect.poll(() => page.getByTestId('target-said').innerText(), { timeout: 10_000 }).toMatch(/^ε /);
    await expect.poll(async () => Number(await page.getByTestId('psnr').innerText())).toBeGreaterThanOrEqual(24);
    await page.getByTestId('target').fill('99');
    await page.getByTestId('target-set').click();
    await expect
      .poll(() => page.getByTestId('target-said').innerText(), { timeout: 10_000 })
      .toMatch(/^at most \d+\.\d\d dB$/);
    await page.close();
  });
});

describe('the next image', () => {
  it('is asked for by key with all that is chosen here; at the end of the folder the page says so', async () => {
    const page = await open();
    await page.getByTestId('overlay-kept').click();
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('n');
    const asked = () =>
      page.evaluate(
        () =>
          window.fixture.received.filter(({ method }) => method === 'neighbour/open').at(-1)?.params as
            { which: string; view: string } | undefined,
      );
    await expect.poll(async () => (await asked())?.which).toBe('next');
    expect(JSON.parse((await asked())?.view ?? '')).toMatchObject({ overlay: 'kept', camera: 'fit' });
    await page.getByTestId('previous-image').click();
    await expect
      .poll(() => page.getByTestId('failure').innerText())
      .toContain('This is the first image of its folder.');
    await page.close();
  });
});

describe('with experiments', () => {
  it('the page has no violations in any theme', async () => {
    const page = await open();
    await click(page, 70);
    await page.keyboard.press('k');
    await page.getByTestId('level-patch-0').fill('3');
    await page.getByTestId('level-patch-0').press('Enter');
    await page.getByTestId('other-image').click();
    await page.getByTestId('other-name').waitFor();
    await page.getByTestId('sequence').locator('summary').click();
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('Shift+F10');
    await page.getByTestId('picture-menu').waitFor();
    expect(await violationsInEveryTheme(page, 'experiments')).toEqual([]);
    await page.close();
  });
});
