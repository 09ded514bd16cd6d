import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { painted, useChromium } from './fixture/chromium';
import { choose, enter, toggle } from './fixture/controls';
import { complaintsOf, violationsInEveryTheme } from './fixture/everyTheme';
import type { ComparisonOptions } from './fixture/page';
import { keepFile } from './fixture/shots';

const { openComparison } = useChromium();

async function open(options: ComparisonOptions = {}): Promise<Page> {
  const page = await openComparison(options);
  await tokenized(page);
  return page;
}

async function tokenized(page: Page): Promise<void> {
  await expect.poll(() => page.getByTestId('psnr-difference').innerText()).not.toBe('–');
  await painted(page);
}

it('The figures of a side without PSNR and SSIM are ∞ and n/a, and there is no difference to the other', async () => {
  const page = await openComparison({ a: { immeasurable: true } });
  await expect.poll(() => page.getByTestId('psnr-b').innerText()).toMatch(/^\d/);
  expect(await page.getByTestId('psnr-a').innerText()).toBe('∞');
  expect(await page.getByTestId('ssim-a').innerText()).toBe('n/a');
  for (const name of ['psnr', 'ssim']) expect(await page.getByTestId(`${name}-difference`).innerText()).toBe('–');
  await page.close();
});

const side = (page: Page, which: 'left' | 'right'): Locator => page.getByTestId(which);

/** One file under two thresholds. */
const thresholds: ComparisonOptions = { a: { lossRate: 0.8 }, b: { lossRate: 0.55 } };

interface State {
  readonly name: string;
  readonly options?: ComparisonOptions;
  readonly prepare?: (page: Page) => Promise<void>;
}

const states: readonly State[] = [
  { name: 'images', prepare: (page) => focusPatch(page) },
  { name: 'thresholds', options: thresholds, prepare: (page) => page.getByTestId('overlay-kept').click() },
  { name: 'attention', prepare: (page) => page.getByTestId('overlay-attention').click() },
  { name: 'export', prepare: (page) => page.getByTestId('export').click() },
  { name: 'swipe', options: thresholds, prepare: (page) => page.getByTestId('layout-swipe').click() },
  { name: 'narrow', options: { width: 300, height: 2000 }, prepare: (page) => focusPatch(page) },
  {
    name: 'narrow-swipe',
    options: { width: 300, height: 1500 },
    prepare: (page) => page.getByTestId('layout-swipe').click(),
  },
  {
    name: 'rival',
    options: { b: { parts: { globalTokens: 57, patchTokens: 0, filters: false } } },
    prepare: (page) => focusPatch(page),
  },
  { name: 'half', options: { width: 700, height: 1600 } },
  { name: 'medium', options: { width: 1020, height: 820 }, prepare: (page) => focusPatch(page) },
  { name: 'wide', options: { width: 1920, height: 1080 }, prepare: (page) => focusPatch(page) },
];

async function focusPatch(page: Page): Promise<void> {
  await side(page, 'left').getByTestId('canvas').focus();
  for (const key of ['ArrowUp', 'ArrowRight', 'ArrowDown']) await page.keyboard.press(key);
}

describe('every state of a comparison in every theme', () => {
  it.each(states)('$name: axe finds nothing, the console is quiet', async ({ name, options, prepare }) => {
    const page = await openComparison(options);
    const complaints = complaintsOf(page);
    await tokenized(page);
    await prepare?.(page);
    const violations = await violationsInEveryTheme(page, `compare-${name}`);
    await page.close();
    expect(violations).toEqual([]);
    expect(complaints).toEqual([]);
  });
});

describe('settings of each side', () => {
  it('are its own: ranking, rounds, budget, β, model and crop', async () => {
    const page = await open({ a: {}, b: {} });
    await choose(side(page, 'right').getByTestId('ranking'), 'by distortion');
    await choose(side(page, 'right').getByTestId('rounds'), '8');
    await choose(side(page, 'left').getByTestId('budget'), 'reference');
    await enter(side(page, 'left').getByTestId('edge-priority'), '1.5');
    const last = () =>
      page.evaluate(() =>
        (['a', 'b'] as const).map(
          (which) => window.fixtures?.[which]?.received.findLast(({ method }) => method === 'filtering')?.params,
        ),
      );
    await expect.poll(last).toMatchObject([
      { ranking: 'entropy', budget: 'reference', edgePriority: 1.5 },
      { ranking: 'distortion', rankingRounds: 8, budget: 'image', edgePriority: 0 },
    ]);
    await choose(side(page, 'right').getByTestId('model'), 'mine');
    await expect
      .poll(() => page.evaluate(() => window.fixtures?.b?.received.map(({ method }) => method)))
      .toContain('models/choose');
    expect(await page.evaluate(() => window.fixtures?.a?.received.map(({ method }) => method))).not.toContain(
      'models/choose',
    );
    await page.close();
  });

  it('that a model does not have are not offered, nor overlays that one side alone has', async () => {
    const page = await open({ b: { parts: { globalTokens: 57, patchTokens: 0, filters: false } } });
    expect(await side(page, 'right').getByTestId('ranking').count()).toBe(0);
    expect(await side(page, 'left').getByTestId('ranking').count()).toBe(1);
    expect(await page.getByTestId('overlay-entropy').count()).toBe(0);
    expect(await page.getByTestId('colour-bar').count()).toBe(0);
    await page.close();
  });

  it('never lie over names and menus, however narrow', async () => {
    for (const width of [1280, 1020, 760, 480]) {
      const page = await open({ width, height: 1200 });
      for (const which of ['left', 'right'] as const) {
        const boxes = await side(page, which)
          .locator('.header > *:visible')
          .evaluateAll((parts) =>
            parts
              .map((part) => part.getBoundingClientRect())
              .filter(({ width: across, height }) => across > 0 && height > 0)
              .map(({ left, right, top, bottom }) => ({ left, right, top, bottom })),
          );
        for (const [i, a] of boxes.entries()) {
          for (const b of boxes.slice(i + 1)) {
            const overlap =
              Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
              Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
            expect(overlap, `${width} ${which}`).toBe(false);
          }
        }
      }
      await page.close();
    }
  });
});

describe('rate–distortion of both sides', () => {
  it('is measured at once, and drawn in each side’s colour against tokens, bits and bits per pixel', async () => {
    const page = await open({ a: { reconstructMs: 5 }, b: { reconstructMs: 5, photograph: 'kodim07.png' } });
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-compute').waitFor({ state: 'detached' });
    await page.getByTestId('rate-cancel').waitFor({ state: 'detached', timeout: 20_000 });
    const points = (letter: 'a' | 'b') => page.getByTestId(`rates-${letter}`).locator('.rate-dot').count();
    expect(await points('a')).toBeGreaterThan(5);
    expect(await points('b')).toBeGreaterThan(5);
    const colours = await page
      .locator('[data-testid^="rates-"] .curve-line')
      .evaluateAll((lines) => lines.map((line) => getComputedStyle(line).stroke));
    expect(new Set(colours).size).toBe(2);
    await choose(page.getByTestId('rate'), 'bits per pixel');
    expect(await page.getByTestId('compared-rates').getAttribute('aria-label')).toContain('against bits per pixel');
    await page.close();
  });
});

describe('two thresholds', () => {
  it('are filtered and counted apart, until they are linked', async () => {
    const page = await open(thresholds);
    await expect.poll(() => lossRates(page)).toEqual(['0.8', '0.55']);
    const [a, b] = [await figure(page, 'kept-a'), await figure(page, 'kept-b')];
    expect(b).toBeGreaterThan(a);
    expect(await page.getByTestId('kept-difference').innerText()).toBe(`+${b - a}`);
    expect(await page.getByTestId('kept-sets').innerText()).toBe(
      `Kept by both ${a} · by A only 0 · by B only ${b - a}`,
    );
    await setRange(page, 0, 0.3);
    await expect.poll(() => lossRates(page)).toEqual(['0.3', '0.55']);
    await expect.poll(() => page.getByTestId('kept-difference').innerText()).toMatch(/^−\d+$/);
    expect(await figure(page, 'kept-b')).toBe(b);
    await toggle(page.getByTestId('link'), true);
    await expect.poll(() => lossRates(page)).toEqual(['0.3', '0.3']);
    await setRange(page, 1, 0.7);
    await expect.poll(() => lossRates(page)).toEqual(['0.7', '0.7']);
    await toggle(page.getByTestId('link'), false);
    await setRange(page, 1, 0.2);
    await expect.poll(() => lossRates(page)).toEqual(['0.7', '0.2']);
    await page.close();
  });

  it('are decoded apart, each at its own ε', async () => {
    const page = await open(thresholds);
    await setRange(page, 1, 0.2);
    await page.locator('.figures [data-stale="true"]').first().waitFor({ state: 'detached' });
    const asked = await page.evaluate(() =>
      (['a', 'b'] as const).map((side) =>
        window.fixtures?.[side]?.received
          .filter(({ method }) => method === 'reconstruct')
          .map(({ params }) => (params as { lossRate: number }).lossRate),
      ),
    );
    expect(asked).toEqual([[0.8], [0.55, 0.2]]);
    expect(await page.getByTestId('psnr-difference').innerText()).toMatch(/^\+/);
    await page.close();
  });
});

describe('two images', () => {
  it('start linked, with the provider and the model of each', async () => {
    const page = await open();
    await expect.poll(() => page.getByTestId('link').isChecked()).toBe(true);
    expect(await side(page, 'left').locator('h2').innerText()).toBe('kodim23.png');
    expect(await side(page, 'right').locator('h2').innerText()).toBe('kodim07.png');
    expect(await side(page, 'right').getByTestId('provider').innerText()).toBe('CUDA');
    await page.close();
  });

  it('are exchanged by Swap, differences and all', async () => {
    const page = await open();
    const before = await page.getByTestId('kept-difference').innerText();
    const left = await picture(side(page, 'left'));
    await page.getByTestId('swap').click();
    await painted(page);
    expect(await side(page, 'left').locator('h2').innerText()).toBe('kodim07.png');
    expect(await page.getByTestId('kept-difference').innerText()).toBe(before.replace('+', '−'));
    expect(await picture(side(page, 'right'))).toBe(left);
    await page.close();
  });

  it('zoom and pan together, from either side and by keyboard', async () => {
    const page = await open();
    const zoom = (): Promise<string[]> => page.getByTestId('zoom').allInnerTexts();
    const box = await side(page, 'right').getByTestId('canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    await page.mouse.move(box.x + 150, box.y + 200);
    await page.mouse.wheel(0, -600);
    await painted(page);
    const [left, right] = await zoom();
    expect(left).toBe(right);
    expect(Number.parseInt(left ?? '')).toBeGreaterThan(250);
    // The same overlay-free photograph on both sides would show the same pixels: both canvases have one transform.
    const before = await picture(side(page, 'left'));
    await page.mouse.down();
    await page.mouse.move(box.x + 90, box.y + 150, { steps: 4 });
    await painted(page);
    expect(await picture(side(page, 'left')), 'panned while the button is down').not.toBe(before);
    await page.mouse.up();
    await side(page, 'left').getByTestId('canvas').focus();
    await page.keyboard.press('1');
    await painted(page);
    expect(await zoom()).toEqual(['100 %', '100 %']);
    await page.close();
  });

  it('of different sizes show the same part', async () => {
    const page = await open({ a: { size: 256 }, b: { size: 512, cells: 32 } });
    await side(page, 'left').getByTestId('canvas').focus();
    await page.keyboard.press('1');
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    await painted(page);
    expect(await page.getByTestId('zoom').allInnerTexts()).toEqual(['225 %', '113 %']);
    expect(await page.getByTestId('kept-sets').count()).toBe(0);
    await page.keyboard.press('ArrowUp');
    // The place on the photograph, in a grid of half the side.
    expect(await readout(page, 'patch')).toEqual(['(8, 8)', '(17, 17)']);
    await page.close();
  });

  it('share the focused patch where patches correspond, and both are read out', async () => {
    const page = await open();
    await side(page, 'right').getByTestId('canvas').focus();
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowUp');
    expect(await readout(page, 'patch')).toEqual(['(7, 8)', '(7, 8)']);
    await expect
      .poll(() => page.getByTestId('announcement').innerText())
      .toMatch(/^A: patch \(7, 8\) #120, .*\. B: patch \(7, 8\) #120/);
    await page.close();
  });

  it('have one scale when it is fitted, so that one colour means the same bits', async () => {
    const page = await open();
    const domain = (which: 'left' | 'right'): Promise<unknown> =>
      side(page, which)
        .getByTestId('colour-bar')
        .evaluate((bar: HTMLElement) => [bar.dataset['low'], bar.dataset['high']]);
    const fixed = await domain('left');
    await side(page, 'right').getByTestId('range').click();
    expect(await domain('left')).not.toEqual(fixed);
    expect(await domain('left')).toEqual(await domain('right'));
    await page.close();
  });
});

describe('attention and influence', () => {
  const asked = (page: Page, method: string): Promise<unknown[][]> =>
    page.evaluate(
      (wanted) =>
        (['a', 'b'] as const).map((side) =>
          (window.fixtures?.[side]?.received ?? [])
            .filter(({ method }) => method === wanted)
            .map(({ params }) => params),
        ),
      method,
    );
  const domains = (page: Page): Promise<unknown[]> =>
    page
      .getByTestId('colour-bar')
      .evaluateAll((bars) =>
        bars.map((bar) => [(bar as HTMLElement).dataset['low'], (bar as HTMLElement).dataset['high']]),
      );

  it('show one global token, layer and head on both sides, with one scale', async () => {
    const page = await open({ a: { cells: 16 }, b: { photograph: 'kodim07.png', cells: 32 } });
    expect(await asked(page, 'attention'), 'nothing is computed that is not shown').toEqual([[], []]);
    await page.getByTestId('overlay-attention').click();
    await choose(page.getByTestId('global-token'), 'token 12');
    await choose(page.getByTestId('head'), 'head 3');
    await expect
      .poll(async () => (await asked(page, 'attention')).map((requests) => requests.at(-1)))
      .toEqual([
        { tile: 0, layer: 5, head: 2 },
        { tile: 0, layer: 5, head: 2 },
      ]);
    await painted(page);
    const [left, right] = await domains(page);
    expect(left).toEqual(right);
    const one = await picture(side(page, 'right'));
    await choose(page.getByTestId('global-token'), 'mean of all tokens');
    await painted(page);
    expect(await picture(side(page, 'right'))).not.toBe(one);
    await page.close();
  });

  it('of influence are computed on both sides, the chosen token first, and read out', async () => {
    const page = await open({ a: { reconstructMs: 5 }, b: { reconstructMs: 5, photograph: 'kodim07.png' } });
    await page.getByTestId('overlay-influence').click();
    await page.getByTestId('influence-progress').first().waitFor();
    await page.getByTestId('influence-progress').first().waitFor({ state: 'detached' });
    await page.getByTestId('influence-progress').waitFor({ state: 'detached' });
    expect((await asked(page, 'influence')).map(({ length }) => length)).toEqual([32, 32]);
    await focusPatch(page);
    for (const cell of await readout(page, 'influence')) expect(cell).toMatch(/^[\d.]+ of 255$/);
    await page.getByTestId('range').first().click();
    const [left, right] = await domains(page);
    expect(left).toEqual(right);
    await page.close();
  });
});

describe('an exported comparison', () => {
  interface Sent {
    readonly kind: string;
    readonly png: string;
  }

  async function exported(page: Page, from: 'a' | 'b'): Promise<Sent> {
    const count = (): Promise<number> =>
      page.evaluate(
        (which) => window.fixtures?.[which]?.received.filter(({ method }) => method === 'export').length ?? 0,
        from,
      );
    const before = await count();
    await page.getByTestId('export').click();
    await page.getByTestId('export-comparison.png').click();
    await expect.poll(count, { timeout: 30_000 }).toBe(before + 1);
    await page.getByText(/^Saved /).waitFor();
    return page.evaluate((which) => {
      const { params } = window.fixtures?.[which]?.received.findLast(({ method }) => method === 'export') ?? {};
      const { kind, bytes } = params as { kind: string; bytes: Uint8Array };
      return { kind, png: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) };
    }, from);
  }

  async function decode({ png }: Sent, name: string): Promise<Pixels> {
    const bytes = Buffer.from(png, 'base64');
    await keepFile(`figure-compare-${name}.png`, bytes);
    const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const at = (x: number, y: number): number[] => [
      ...data.subarray(3 * (y * info.width + x), 3 * (y * info.width + x) + 3),
    ];
    return { width: info.width, at };
  }

  interface Pixels {
    readonly width: number;
    readonly at: (x: number, y: number) => number[];
  }

  /** The pixel of a photograph, which figures of the whole picture show as six by six. */
  async function original(name: string, x: number, y: number): Promise<number[]> {
    const file = join(import.meta.dirname, '../../media/samples', name);
    const rgb = await sharp(file).resize(256, 256, { fit: 'cover' }).removeAlpha().raw().toBuffer();
    return [...rgb.subarray(3 * (256 * y + x), 3 * (256 * y + x) + 3)];
  }

  /** Where the pictures begin, at two pixels for every unit of the layout. */
  const [leftOfA, leftOfB, top] = [40, 40 + 1536 + 40, 2 * (20 + 18 + 20 + 14)];

  it('shows both pictures side by side, and follows Swap', async () => {
    const page = await open();
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('view-original').click();
    const sent = await exported(page, 'a');
    expect(sent).toMatchObject({ kind: 'comparison.png' });
    const figure = await decode(sent, 'original');
    expect(figure.width).toBe(2 * (20 + 768 + 20 + 768 + 20));
    for (const [x, y] of [
      [10, 20],
      [250, 249],
    ] as const) {
      const place = (left: number): [number, number] => [left + 6 * x + 3, top + 6 * y + 3];
      expect(figure.at(...place(leftOfA))).toEqual(await original('kodim23.png', x, y));
      expect(figure.at(...place(leftOfB))).toEqual(await original('kodim07.png', x, y));
    }
    await page.getByTestId('swap').click();
    await painted(page);
    const swapped = await exported(page, 'b');
    expect((await decode(swapped, 'swapped')).at(leftOfA + 63, top + 123)).toEqual(
      await original('kodim07.png', 10, 20),
    );
    await page.close();
  });

  it('is data that says what the table says', async () => {
    const page = await open(thresholds);
    const sent = async (kind: string): Promise<string> => {
      await page.getByTestId('export').click();
      await page.getByTestId(`export-${kind}`).click();
      await page.getByText(`Saved kodim23.${kind}`).waitFor();
      return page.evaluate(() => {
        const { params } = window.fixtures?.a?.received.findLast(({ method }) => method === 'export') ?? {};
        return new TextDecoder().decode((params as { bytes: Uint8Array }).bytes);
      });
    };
    const [head, a, b] = (await sent('comparison.csv')).split('\n').map((line) => line.split(','));
    const column = (name: string): number => head?.indexOf(name) ?? -1;
    for (const [name, testId] of [
      ['patches_kept', 'kept'],
      ['tokens', 'tokens'],
      ['bits_with_mask', 'bits'],
      ['bytes', 'bytes'],
    ] as const) {
      const shown = [await figure(page, `${testId}-a`), await figure(page, `${testId}-b`)];
      expect([a?.[column(name)], b?.[column(name)]].map(Number), name).toEqual(shown);
    }
    expect(Number(a?.[column('psnr_db')])).toBeCloseTo(await figure(page, 'psnr-a'), 2);
    const record = JSON.parse(await sent('comparison.json')) as { sides: Record<string, { keep: number[] }> };
    expect(record.sides['B']?.keep.filter((kept) => kept === 1)).toHaveLength(await figure(page, 'kept-b'));
    await page.close();
  });

  it('is what a command asks of either side', async () => {
    const page = await open();
    await page.evaluate(() => window.fixtures?.b?.requestComparison('comparison.png'));
    await page.getByText('Saved kodim23.comparison.png').waitFor();
    const sent = await page.evaluate(() =>
      (['a', 'b'] as const).map((side) =>
        window.fixtures?.[side]?.received.filter(({ method }) => method === 'export').map(({ params }) => params),
      ),
    );
    expect(sent).toMatchObject([[{ kind: 'comparison.png' }], []]);
    await page.close();
  });

  it('has one legend at the right, and of a swipe one picture of both', async () => {
    const page = await open();
    expect((await decode(await exported(page, 'a'), 'entropy')).width).toBe(2 * (20 + 768 + 20 + 768 + 96 + 20));
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('view-original').click();
    await page.getByTestId('layout-swipe').click();
    await painted(page);
    const figure = await decode(await exported(page, 'a'), 'swipe');
    expect(figure.width).toBe(2 * (20 + 768 + 20));
    expect(figure.at(leftOfA + 63, top + 123)).toEqual(await original('kodim23.png', 10, 20));
    expect(figure.at(leftOfA + 6 * 250 + 3, top + 6 * 249 + 3)).toEqual(await original('kodim07.png', 250, 249));
    await page.close();
  });
});

describe('swipe', () => {
  it('shows A left of the line and B right of it, and the arrow keys move it', async () => {
    const page = await open(thresholds);
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('view-original').click();
    await page.getByTestId('layout-swipe').click();
    await page.getByTestId('swap').click();
    await painted(page);
    const canvas = page.getByTestId('canvas');
    expect(await canvas.count()).toBe(1);
    const plain = await picture(page);
    await page.getByTestId('view-reconstruction').click();
    await painted(page);
    const middle = await picture(page);
    expect(middle).not.toBe(plain);
    const line = page.getByTestId('swipe');
    expect(await line.getAttribute('aria-label')).toBe('Swipe between A and B');
    await line.focus();
    await page.keyboard.press('End');
    await painted(page);
    const onlyA = await picture(page);
    await page.keyboard.press('Home');
    await painted(page);
    const onlyB = await picture(page);
    expect(new Set([onlyA, middle, onlyB]).size).toBe(3);
    expect(await line.getAttribute('aria-valuetext')).toBe('0 % A');
    // All of B is all of A once the sides are exchanged.
    await page.getByTestId('swap').click();
    await page.keyboard.press('Tab');
    await line.focus();
    await page.keyboard.press('End');
    await painted(page);
    expect(await picture(page)).toBe(onlyB);
    await page.close();
  });
});

describe('a comparison', () => {
  it('comes back as it was after the window reloads', async () => {
    const page = await open(thresholds);
    await page.getByTestId('layout-swipe').click();
    await page.getByTestId('swap').click();
    await page.getByTestId('overlay-kept').click();
    await page.getByTestId('canvas').focus();
    await page.keyboard.press('1');
    await setRange(page, 0, 0.35);
    await expect
      .poll(() => page.evaluate(() => window.fixture.state))
      .toMatchObject({
        a: { uri: 'file:///photographs/kodim23.png', settings: { lossRate: 0.8 }, camera: { extent: 256 } },
        b: { settings: { lossRate: 0.35 }, overlay: 'kept' },
        layout: 'swipe',
        swapped: true,
        linked: false,
      });
    await page.reload();
    await tokenized(page);
    await expect.poll(() => lossRates(page)).toEqual(['0.35', '0.8']);
    await expect.poll(() => page.getByTestId('layout-swipe').isChecked()).toBe(true);
    await expect.poll(() => page.getByTestId('overlay-kept').isChecked()).toBe(true);
    expect(await page.getByTestId('zoom').innerText()).toBe('100 %');
    await page.close();
  });

  it('says what became of one side and keeps the other', async () => {
    const page = await open();
    const message = 'kodim07.png was deleted or moved. It is tokenized again when it is back.';
    await page.evaluate((text) => window.fixtures?.b?.fail({ message: text, actions: ['retry'] }), message);
    expect(await side(page, 'right').getByTestId('failure').innerText()).toContain(message);
    expect(await side(page, 'left').getByTestId('failure').count()).toBe(0);
    await page.getByTestId('layout-swipe').click();
    expect(await page.getByTestId('failure').innerText()).toContain(message);
    await page.getByTestId('action-retry').click();
    await page.getByTestId('failure').waitFor({ state: 'detached' });
    await page.close();
  });
});

const figure = async (page: Page, testId: string): Promise<number> =>
  Number(await page.getByTestId(testId).innerText());

/** ε of A and B, as their sliders stand. */
const lossRates = (page: Page): Promise<string[]> =>
  page.getByTestId('loss-rate').evaluateAll((ranges) => ranges.map((range) => (range as HTMLInputElement).value));

async function setRange(page: Page, index: number, value: number): Promise<void> {
  await page
    .getByTestId('loss-rate')
    .nth(index)
    .evaluate((input: HTMLInputElement, to) => {
      input.value = String(to);
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }, value);
  await painted(page);
}

/** Stands for everything on a canvas: FNV-1a of its picture. */
const picture = (within: Page | Locator): Promise<number> =>
  within.getByTestId('canvas').evaluate((canvas: HTMLCanvasElement) => {
    let hash = 0x811c9dc5;
    for (const character of canvas.toDataURL()) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
    return hash;
  });

/** A row of the readout: A's and B's. */
const readout = (page: Page, row: string): Promise<string[]> =>
  page
    .getByTestId('readout')
    .getByRole('row')
    .filter({ has: page.getByRole('rowheader', { name: row, exact: true }) })
    .getByRole('cell')
    .allInnerTexts();
