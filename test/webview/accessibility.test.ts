import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { chosen } from './fixture/controls';
import { violationsInEveryTheme } from './fixture/everyTheme';
import { themes } from './fixture/page';

const { openInspector, openComparison } = useChromium();

const pages = {
  inspector: async (): Promise<Page> => {
    const page = await openInspector();
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    await page.getByTestId('curve').waitFor();
    return page;
  },
  comparison: async (): Promise<Page> => {
    const page = await openComparison();
    await expect.poll(() => page.getByTestId('psnr-difference').innerText()).not.toBe('–');
    return page;
  },
};

describe('motion', () => {
  /** Animations of the document and of the shadow trees in it. */
  const running = (page: Page): Promise<number> =>
    page.evaluate(() => {
      const roots = [...document.querySelectorAll('*')].flatMap(({ shadowRoot }) => shadowRoot ?? []);
      return [document, ...roots].flatMap((root) => root.getAnimations()).length;
    });

  it('stops where less of it is wanted; the stages still tell of progress', async () => {
    const page = await openInspector({ scenario: 'working' });
    await page.getByTestId('progress').waitFor();
    await expect.poll(() => running(page)).toBeGreaterThan(0);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await expect.poll(() => running(page)).toBe(0);
    expect(await page.getByTestId('progress').innerText()).toContain('estimating entropy');
    await page.close();
  });
});

describe('forced colours', () => {
  /** Red of the canvas along a diagonal through one patch of 32 CSS pixels. */
  const diagonal = (page: Page, row: number, column: number): Promise<number[]> =>
    page.getByTestId('canvas').evaluate(
      (canvas: HTMLCanvasElement, [row, column]) => {
        const left = (canvas.width - 512) / 2 + 32 * column;
        const top = (canvas.height - 512) / 2 + 32 * row;
        const data = canvas.getContext('2d')?.getImageData(Math.round(left), Math.round(top), 32, 32).data ?? [];
        return Array.from({ length: 24 }, (_, i) => data[4 * 33 * (i + 4)] ?? 0);
      },
      [row, column] as const,
    );

  it.each(Object.keys(pages) as (keyof typeof pages)[])('leave the %s readable in every theme', async (name) => {
    const page = await pages[name]();
    await page.emulateMedia({ forcedColors: 'active' });
    const violations = await violationsInEveryTheme(page, `forced-${name}`, true);
    await page.close();
    expect(violations).toEqual([]);
  });

  it('leave dropped patches hatched, in the system’s colours', async () => {
    const page = await pages.inspector();
    await page.getByTestId('view-original').click();
    await page.getByTestId('overlay-kept').click();
    await page.emulateMedia({ forcedColors: 'active' });
    await painted(page);
    const dropped = await diagonal(page, 1, 9);
    expect(Math.max(...dropped) - Math.min(...dropped)).toBeGreaterThan(100);
    await page.emulateMedia({ forcedColors: 'none' });
    await painted(page);
    // The theme is dark, the system's page is light: what is dropped fades into that.
    expect(Math.max(...dropped)).toBeGreaterThan(Math.max(...(await diagonal(page, 1, 9))) + 30);
    await page.close();
  });

  it('show what is chosen, and draw no boxes where the theme draws triangles', async () => {
    const page = await pages.inspector();
    await page.emulateMedia({ forcedColors: 'active' });
    const segment = page.getByTestId('overlay-surprisal');
    const background = (): Promise<string> => segment.evaluate((radio) => getComputedStyle(radio).backgroundColor);
    const before = await background();
    await segment.click();
    expect(await background()).not.toBe(before);
    const triangle = await page
      .locator('.triangle')
      .first()
      .evaluate((drawn) => {
        const { borderLeftColor, borderTopColor } = getComputedStyle(drawn);
        return { borderLeftColor, borderTopColor };
      });
    expect(triangle.borderLeftColor).toBe('rgba(0, 0, 0, 0)');
    expect(triangle.borderTopColor).not.toBe(triangle.borderLeftColor);
    await page.close();
  });
});

describe('the keyboard', () => {
  it.each(Object.keys(pages) as (keyof typeof pages)[])('reaches every control of the %s', async (name) => {
    const page = await pages[name]();
    const controls = await page.evaluate(() => {
      const all = document.querySelectorAll(
        'button, input, canvas[tabindex], [role="slider"], [role="combobox"], [role="radio"], [role="checkbox"], vscode-button, vscode-text-field',
      );
      const shown = [...all].filter((element) => element.checkVisibility({ visibilityProperty: true }));
      shown.forEach((element, i) => element.setAttribute('data-control', String(i)));
      return shown.map((element, i) => ({
        id: String(i),
        // Of a group that arrow keys walk through, one member is a tab stop.
        group:
          element.closest('[role="radiogroup"]')?.ariaLabel ??
          (element.closest('[data-testid="thumbnails"]') === null ? String(i) : 'thumbnails'),
        html: element.outerHTML.slice(0, 120),
      }));
    });
    const reached = new Set<string>();
    for (let i = 0; i < controls.length + 10; i++) {
      await page.keyboard.press('Tab');
      const id = await page.evaluate(() => document.activeElement?.getAttribute('data-control') ?? '');
      const group = controls.find((control) => control.id === id)?.group;
      if (group !== undefined) reached.add(group);
    }
    expect(controls.length).toBeGreaterThan(20);
    expect(controls.filter(({ group }) => !reached.has(group)).map(({ html }) => html)).toEqual([]);
    await page.close();
  });

  it.each(['high-contrast', 'high-contrast-light'] as const)('shows where it is in %s', async (theme) => {
    const page = await pages.inspector();
    await page.evaluate((to) => window.fixture.setTheme(to), themes[theme]);
    const segment = page.getByTestId('overlay-entropy');
    const outline = (): Promise<string> =>
      segment.evaluate((radio) => {
        const { outlineStyle, outlineOffset } = getComputedStyle(radio);
        return `${outlineStyle} ${outlineOffset}`;
      });
    const without = await outline();
    // A key, so that the focus is one of the keyboard's.
    await page.keyboard.press('Tab');
    await segment.focus();
    expect(await outline()).not.toBe(without);
    await page.close();
  });

  it('tells of every button that opens something what that is', async () => {
    const page = await pages.inspector();
    const opened = page.locator('vscode-button', { has: page.locator('[aria-expanded]') });
    const names = await opened.evaluateAll((buttons) =>
      buttons.map((button) => {
        const control = button.shadowRoot?.querySelector('button');
        const [controlled] =
          (control as { ariaControlsElements?: Element[] } | null | undefined)?.ariaControlsElements ?? [];
        return controlled === button.nextElementSibling ? controlled.className : undefined;
      }),
    );
    expect(names).toContain('menu');
    expect(names).toContain('card');
    expect(names).not.toContain(undefined);
    await page.close();
  });

  it('walks the open list of a drop-down; Enter takes, Escape leaves what was chosen', async () => {
    const page = await pages.inspector();
    const ranking = page.getByRole('combobox', { name: 'Ranking' });
    /** The option that assistive technology reads. */
    const active = (): Promise<string | null | undefined> =>
      ranking.evaluate(
        (dropdown) => document.getElementById(dropdown.getAttribute('aria-activedescendant') ?? '')?.textContent,
      );
    await ranking.focus();
    for (const [key, then] of [
      ['Escape', 'entropy'],
      ['Enter', 'sequential'],
    ] as const) {
      await page.keyboard.press('Enter');
      await expect.poll(() => ranking.getAttribute('aria-expanded')).toBe('true');
      await page.keyboard.press('ArrowDown');
      await expect.poll(active).toBe('sequential');
      // A rendering of the controls around it does not move the walk.
      await page.getByTestId('loss-rate').evaluate((range: HTMLInputElement) => {
        range.value = String(range.valueAsNumber - 0.1);
        range.dispatchEvent(new Event('input', { bubbles: true }));
      });
      await painted(page);
      expect(await active()).toBe('sequential');
      await page.keyboard.press(key);
      await expect.poll(() => ranking.getAttribute('aria-expanded')).toBe('false');
      await painted(page);
      await expect.poll(() => chosen(ranking), { message: key }).toBe(then);
      expect(await ranking.evaluate((dropdown) => dropdown === document.activeElement)).toBe(true);
    }
    await page.close();
  });

  it.each([300, 620, 1280])('opens every drop-down within a page of %i pixels', async (width) => {
    const page = await openInspector({ width, height: 1500 });
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    const dropdowns = await page.getByRole('combobox').all();
    expect(dropdowns.length).toBeGreaterThan(6);
    for (const dropdown of dropdowns) {
      await dropdown.press('Enter');
      const list = await dropdown.getByRole('listbox').boundingBox();
      if (list === null) throw new Error('no list');
      expect(list.x).toBeGreaterThanOrEqual(0);
      expect(list.x + list.width).toBeLessThanOrEqual(width);
      await page.keyboard.press('Escape');
    }
    await page.close();
  });

  it('chooses in radio groups by arrows, counts in fields for numbers and ticks check boxes', async () => {
    const page = await pages.comparison();
    const view = page.getByRole('radiogroup', { name: 'View' });
    await view.getByRole('radio', { name: 'Reconstruction' }).press('ArrowRight');
    const difference = view.getByRole('radio', { name: 'Difference' });
    await expect.poll(() => difference.isChecked()).toBe(true);
    await expect.poll(() => view.getByRole('radio', { checked: true }).count()).toBe(1);
    await expect.poll(() => difference.evaluate((radio) => radio === document.activeElement)).toBe(true);
    const link = page.getByRole('checkbox', { name: 'link' });
    const linked = await link.isChecked();
    await link.press('Space');
    await expect.poll(() => link.isChecked()).toBe(!linked);
    const number = page.getByRole('spinbutton', { name: 'Information loss rate of A' });
    const before = Number(await number.inputValue());
    await number.press('ArrowDown');
    await expect.poll(async () => Number(await number.inputValue())).toBeCloseTo(before - 0.005);
    await page.close();
  });

  it('leaves the editor its own shortcuts while the picture has the focus', async () => {
    const page = await pages.inspector();
    await page.getByTestId('canvas').focus();
    const before = await page.getByTestId('zoom').innerText();
    for (const key of ['1', '=', '-']) {
      await page.keyboard.press(`Control+${key}`);
      expect(await page.getByTestId('zoom').innerText(), key).toBe(before);
    }
    await page.keyboard.press('=');
    expect(await page.getByTestId('zoom').innerText()).not.toBe(before);
    await page.close();
  });

  it('moves the ε line and the swipe line by Home, End and Page keys', async () => {
    const page = await pages.inspector();
    const value = (testId: string): Promise<number> =>
      page.getByTestId(testId).evaluate((slider) => Number(slider.getAttribute('aria-valuenow')));
    const pressed = async (testId: string, key: string): Promise<number> => {
      await page.getByTestId(testId).press(key);
      return value(testId);
    };
    expect(await pressed('loss-line', 'Home')).toBe(0);
    // The line stands lower where more is lost.
    expect(await pressed('loss-line', 'PageDown')).toBeCloseTo(0.05);
    expect(await pressed('loss-line', 'End')).toBe(1);
    expect(await pressed('loss-line', 'PageUp')).toBeCloseTo(0.95);
    await page.getByTestId('view-swipe').click();
    expect(await pressed('swipe', 'Home')).toBe(0);
    expect(await pressed('swipe', 'PageUp')).toBe(10);
    expect(await pressed('swipe', 'End')).toBe(100);
    expect(await pressed('swipe', 'PageDown')).toBe(90);
    await page.close();
  });
});
