import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import { choose, enter } from './fixture/controls';
import type { OpenOptions } from './fixture/page';
import { keepDrawing, keepFile } from './fixture/shots';
import type { ExportKind } from '../../src/protocol/exports';

const { openInspector } = useChromium();

async function open(options: OpenOptions = {}): Promise<Page> {
  const page = await openInspector(options);
  await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
  await page.getByTestId('curve').waitFor();
  return page;
}

/** Exports through the menu and returns the bytes that the page sent. */
async function exported(page: Page, kind: ExportKind): Promise<Buffer> {
  const count = (): Promise<number> =>
    page.evaluate(() => window.fixture.received.filter(({ method }) => method === 'export').length);
  const before = await count();
  await page.getByTestId('export').click();
  await page.getByTestId(`export-${kind}`).click();
  await expect.poll(count, { timeout: 30_000 }).toBe(before + 1);
  await page.getByText(`Saved kodim23.${kind}`).waitFor();
  const base64 = await page.evaluate(() => {
    const { params } = window.fixture.received.findLast(({ method }) => method === 'export') ?? {};
    const { bytes } = params as { bytes: Uint8Array };
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  });
  return Buffer.from(base64, 'base64');
}

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly at: (x: number, y: number) => readonly [number, number, number];
}

async function decode(png: Buffer, name: string): Promise<Pixels> {
  await keepFile(`figure-${name}.png`, png);
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number): [number, number, number] => {
    const offset = 3 * (y * info.width + x);
    return [data[offset] ?? -1, data[offset + 1] ?? -1, data[offset + 2] ?? -1];
  };
  return { width: info.width, height: info.height, at };
}

const near = (a: readonly number[], b: readonly number[], tolerance = 3): boolean =>
  a.every((value, i) => Math.abs(value - (b[i] ?? 0)) <= tolerance);

/** First and last row of the colour bar: a column, right of the picture, that runs from one colour to the other. */
function findBar({ width, height, at }: Pixels, high: readonly number[], low: readonly number[]): number[] | undefined {
  for (let x = width - 1; x > 0.8 * width; x--) {
    const rows = Array.from({ length: height }, (_, y) => y);
    const first = rows.find((y) => near(at(x, y), high));
    const last = rows.findLast((y) => near(at(x, y), low));
    if (first !== undefined && last !== undefined && last - first > height / 3) return [first, last];
  }
  return undefined;
}

const viridis = { high: [253, 231, 37], low: [68, 1, 84] };
const margin = 40;
/** Where the picture begins, at two pixels for every unit of the layout. */
const top = 2 * (20 + 18 + 20 + 14);

describe('pictures without marks', () => {
  it('are the input, what it decodes to, their difference and the mask, pixel for pixel', async () => {
    const page = await open();
    const [input, decoded, difference, mask] = [
      await decode(await exported(page, 'input.png'), 'input'),
      await decode(await exported(page, 'reconstruction.png'), 'reconstruction'),
      await decode(await exported(page, 'difference.png'), 'difference-plain'),
      await decode(await exported(page, 'mask.png'), 'mask'),
    ];
    const file = join(import.meta.dirname, '../../media/samples/kodim23.png');
    const rgb = await sharp(file).resize(256, 256, { fit: 'cover' }).removeAlpha().raw().toBuffer();
    let white = 0;
    for (let y = 8; y < 256; y += 16) {
      for (let x = 8; x < 256; x += 16) {
        const [a, b] = [input.at(x, y), decoded.at(x, y)];
        expect(a).toEqual([...rgb.subarray(3 * (256 * y + x), 3 * (256 * y + x) + 3)]);
        const mean = a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / 3;
        expect(Math.abs(difference.at(x, y)[0] - mean)).toBeLessThanOrEqual(1);
        expect([0, 255]).toContain(mask.at(x, y)[0]);
        if (mask.at(x, y)[0] === 255) white++;
      }
    }
    expect([mask.width, mask.height]).toEqual([256, 256]);
    expect(white).toBe(Number(await page.getByTestId('kept-count').innerText()));
    const settings = await page.evaluate(() => {
      const { params } = window.fixture.received.findLast(({ method }) => method === 'export') ?? {};
      return (params as { settings: object }).settings;
    });
    expect(settings).toMatchObject({ lossRate: 0.8, ranking: 'entropy' });
    await page.close();
  });

  it('have the attention of a global token, its largest weight white', async () => {
    const page = await open();
    await page.getByTestId('global-12').click();
    const { at } = await decode(await exported(page, 'attention.png'), 'attention-plain');
    const levels = Array.from({ length: 256 }, (_, i) => at(16 * (i % 16) + 8, 16 * Math.floor(i / 16) + 8)[0]);
    expect(Math.max(...levels)).toBe(255);
    expect(levels.filter((level) => level < 64).length).toBeGreaterThan(128);
    await page.close();
  });

  it('that cannot be made say why, and make nothing', async () => {
    const page = await open();
    await page.getByTestId('export').click();
    const item = page.getByTestId('export-rate-distortion.csv');
    expect(await item.getAttribute('aria-disabled')).toBe('true');
    expect(await item.innerText()).toContain('Compute the rate–distortion curve first.');
    await item.click({ force: true });
    expect(await page.evaluate(() => window.fixture.received.some(({ method }) => method === 'export'))).toBe(false);
    await page.close();
  });
});

describe('exported views', () => {
  it('show the whole picture in full resolution on white, with a colour bar', async () => {
    const page = await open();
    const pixels = await decode(await exported(page, 'view.png'), 'entropy');
    expect(pixels.width).toBe(2 * (768 + 20 + 20 + 96));
    expect(pixels.height).toBeGreaterThan(1536 + top);
    expect(pixels.at(3, 3)).toEqual([255, 255, 255]);
    const bar = findBar(pixels, viridis.high, viridis.low);
    expect(bar).toBeDefined();
    // The title, the subtitle, the legend's ends and the caption are written in ink.
    const inked = (x0: number, y0: number, x1: number, y1: number): number => {
      let dark = 0;
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) if (pixels.at(x, y)[0] < 110) dark++;
      return dark;
    };
    expect(inked(margin, 40, 600, 78)).toBeGreaterThan(200);
    expect(inked(margin, 82, 800, 120)).toBeGreaterThan(200);
    expect(inked(margin + 1536 + 32, top, pixels.width, top + 36)).toBeGreaterThan(50);
    expect(inked(margin, top + 1536 + 20, 1000, pixels.height - 20)).toBeGreaterThan(500);
    await page.close();
  });

  it('draw the same pixels as the canvas, in every view and overlay', async () => {
    const page = await open();
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('view-original').click();
    const plain = await decode(await exported(page, 'view.png'), 'original');
    // Without a legend the figure is narrower.
    expect(plain.width).toBe(2 * (768 + 20 + 20));
    const { data } = await page.evaluate(() => ({ data: window.fixtureOptions.image.rgb }));
    const rgb = Buffer.from(data, 'base64');
    for (const [x, y] of [
      [10, 20],
      [130, 77],
      [250, 249],
    ] as const) {
      const offset = 3 * (256 * y + x);
      expect(plain.at(margin + 6 * x + 3, top + 6 * y + 3)).toEqual([...rgb.subarray(offset, offset + 3)]);
    }
    await page.getByTestId('overlay-kept').click();
    const kept = await decode(await exported(page, 'view.png'), 'kept');
    expect(kept.at(margin + 6 * 200 + 40, top + 6 * 70 + 3)).not.toEqual(
      plain.at(margin + 6 * 200 + 40, top + 6 * 70 + 3),
    );
    await page.getByTestId('view-difference').click();
    await page.getByTestId('overlay-none').click();
    expect(
      findBar(await decode(await exported(page, 'view.png'), 'difference'), viridis.high, viridis.low),
    ).toBeDefined();
    await page.getByTestId('global-12').click();
    await choose(page.getByTestId('colormap'), 'grey');
    const attention = await decode(await exported(page, 'view.png'), 'attention');
    expect(findBar(attention, [255, 255, 255], [0, 0, 0])).toBeDefined();
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('view-swipe').click();
    const swipe = await decode(await exported(page, 'view.png'), 'swipe');
    expect(swipe.at(margin + 768, top + 768)).toEqual([255, 255, 255]);
    expect(swipe.at(margin + 63, top + 123)).toEqual(plain.at(margin + 63, top + 123));
    await page.close();
  });

  it('hold what the canvas shows when it is zoomed, and a pinned patch only', async () => {
    const page = await open({ width: 900, height: 700 });
    await page.getByTestId('overlay-none').click();
    await page.getByTestId('view-original').click();
    await page.getByTestId('canvas').focus();
    for (let i = 0; i < 5; i++) await page.keyboard.press('+');
    const zoomed = await decode(await exported(page, 'view.png'), 'zoomed');
    // The canvas is wider than high, and so is what it shows.
    expect(zoomed.width).toBe(2 * (768 + 20 + 20));
    expect(zoomed.height).toBeLessThan(1536);
    await page.keyboard.press('0');
    const corner = [margin + 4, top + 10] as const;
    const hovered = await decode(await exported(page, 'view.png'), 'hovered');
    await page.getByTestId('canvas').focus();
    // The first key finds a patch, whichever it is; the second goes to the corner.
    for (const key of ['ArrowUp', 'Control+Home', 'Enter']) await page.keyboard.press(key);
    const pinned = await decode(await exported(page, 'view.png'), 'pinned');
    expect(pinned.at(...corner)).not.toEqual(hovered.at(...corner));
    await page.close();
  });

  it('wait for the reconstruction of the settings shown', async () => {
    const page = await open({ reconstructMs: 600, provider: { provider: 'cpu', failures: [] } });
    await enter(page.getByTestId('loss-rate-number'), '0.3');
    await page.getByTestId('stale').waitFor();
    await exported(page, 'view.png');
    expect(await page.getByTestId('stale').count()).toBe(0);
    await page.close();
  });

  it('go to the clipboard, or say what to do where it takes none', async () => {
    const page = await open();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.evaluate(() => window.fixture.requestExport('copy'));
    await page.getByText('View copied').waitFor();
    const bytes = await page.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      const blob = await item?.getType('image/png');
      return Array.from(new Uint8Array((await blob?.arrayBuffer()) ?? []));
    });
    expect((await sharp(Buffer.from(bytes)).metadata()).width).toBe(2 * (768 + 40 + 96));
    await page.evaluate(() => {
      navigator.clipboard.write = () => Promise.reject(new Error('no'));
    });
    await page.getByTestId('export').click();
    await page.getByTestId('export-copy').click();
    await expect.poll(() => page.getByTestId('failure').innerText()).toContain('export the view as PNG instead');
    await page.close();
  });
});

describe('exported plots', () => {
  it('are SVG files that stand alone, in light colours whatever the theme', async () => {
    const page = await open({ theme: 'high-contrast' });
    for (const [kind, marks, label] of [
      ['curve.svg', 'path[stroke-width="2"]', 'patches kept'],
      ['histogram.svg', 'rect', 'bits'],
    ] as const) {
      const svg = (await exported(page, kind)).toString();
      await keepDrawing(`figure-${kind}`, svg);
      expect(svg).not.toMatch(/var\(|class=|style=|aria-|data-|<style/);
      expect(svg).toContain(`>${label}<`);
      const counted = await page.evaluate(
        ([text, selector]) => {
          const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
          return [parsed.querySelectorAll('parsererror').length, parsed.querySelectorAll(selector).length];
        },
        [svg, marks] as const,
      );
      expect(counted[0]).toBe(0);
      expect(counted[1]).toBeGreaterThan(0);
      const { data, info } = await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
      expect(info.width).toBeGreaterThan(250);
    }
    await page.close();
  });

  it('are tables of what is plotted', async () => {
    const page = await open();
    const curve = (await exported(page, 'curve.csv')).toString().trimEnd().split('\n');
    expect(curve[0]).toBe('kept,patch,held_bits');
    expect(curve).toHaveLength(257);
    const held = curve.slice(1).map((line) => Number(line.split(',')[2]));
    expect(held.every((bits, i) => i === 0 || bits >= (held[i - 1] ?? 0))).toBe(true);
    expect(new Set(curve.slice(1).map((line) => line.split(',')[1])).size).toBe(256);
    const histogram = (await exported(page, 'histogram.csv')).toString().trimEnd().split('\n');
    expect(histogram[0]).toBe('from_bits,to_bits,patches');
    const total = histogram.slice(1).reduce((sum, line) => sum + Number(line.split(',')[2]), 0);
    expect(total).toBe(256);
    await page.close();
  });
});

describe('the exported rate–distortion curve', () => {
  it('is the one computed, and waits for that', async () => {
    const page = await open();
    await page.evaluate(() => window.fixture.requestExport('rate-distortion.csv'));
    await expect.poll(() => page.getByTestId('failure').innerText()).toContain('has not been computed');
    await page.getByTestId('dismiss').click();
    await page.getByTestId('rate-compute').click();
    await page.getByTestId('rate-cancel').waitFor({ state: 'detached' });
    const table = (await exported(page, 'rate-distortion.csv')).toString().trimEnd().split('\n');
    expect(table[0]).toBe('loss_rate,tokens,payload_bits,mask_bits,psnr_db,ssim');
    expect(table.length).toBeGreaterThan(5);
    const svg = (await exported(page, 'rate-distortion.svg')).toString();
    expect(svg).toContain('>PSNR (dB)<');
    expect(svg).not.toMatch(/var\(|class=|<style/);
    await keepDrawing('figure-rate-distortion.svg', svg);
    await page.close();
  });
});

it('Figures and curves are exported where identical pictures have no PSNR and small ones no SSIM', async () => {
  const page = await open({ immeasurable: true });
  await page.getByTestId('rate-compute').click();
  await page.getByTestId('rate-cancel').waitFor({ state: 'detached' });
  const [, first] = (await exported(page, 'rate-distortion.csv')).toString().split('\n');
  expect(first).toMatch(/,inf,$/);
  await page.getByTestId('view-reconstruction').click();
  expect((await exported(page, 'view.png')).length).toBeGreaterThan(1000);
  await page.close();
});

describe('the export menu', () => {
  it('is walked by keys, closes by Escape and Tab, and gives the focus back', async () => {
    const page = await open();
    const focused = (): Promise<string | null | undefined> =>
      page.evaluate(() => document.activeElement?.getAttribute('data-testid'));
    const button = page.getByTestId('export');
    await button.press('Enter');
    await expect.poll(() => button.getAttribute('aria-expanded')).toBe('true');
    await expect.poll(focused).toBe('export-view.png');
    for (const [key, expected] of [
      ['ArrowDown', 'export-copy'],
      ['End', 'export-rate-distortion.csv'],
      ['ArrowDown', 'export-view.png'],
      ['ArrowUp', 'export-rate-distortion.csv'],
      ['Home', 'export-view.png'],
      ['p', 'export-patches.csv'],
      ['p', 'export-patches.json'],
      ['a', 'export-npz'],
    ] as const) {
      await page.keyboard.press(key);
      await expect.poll(focused).toBe(expected);
    }
    await page.keyboard.press('Escape');
    await expect.poll(focused).toBe('export');
    await expect.poll(() => button.getAttribute('aria-expanded')).toBe('false');
    await button.press('ArrowUp');
    await expect.poll(focused).toBe('export-rate-distortion.csv');
    await page.keyboard.press('Tab');
    await page.getByRole('menu').waitFor({ state: 'hidden' });
    await button.click();
    await page.mouse.click(400, 400);
    await page.getByRole('menu').waitFor({ state: 'hidden' });
    await page.close();
  });

  it.each([300, 560, 700, 1000, 1280])('stays within a page of %i pixels', async (width) => {
    const page = await open({ width });
    await page.getByTestId('export').click();
    const box = await page.getByRole('menu').boundingBox();
    expect(box?.x).toBeGreaterThanOrEqual(14);
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(width - 14);
    await page.close();
  });

  it('leaves data to the host, under the settings shown', async () => {
    const page = await open();
    await enter(page.getByTestId('loss-rate-number'), '0.25');
    await page.evaluate(() => window.fixture.requestExport('npz'));
    await page.getByText('Saved kodim23.npz').waitFor();
    const asked = await page.evaluate(() => window.fixture.received.findLast(({ method }) => method === 'export'));
    expect(asked?.params).toEqual({
      kind: 'npz',
      settings: { lossRate: 0.25, edgePriority: 0, budget: 'image', ranking: 'entropy' },
    });
    await page.close();
  });

  it('says when a file could not be written', async () => {
    const page = await open();
    await page.evaluate(() => (window.fixture.failExport = true));
    await page.getByTestId('export').click();
    await page.getByTestId('export-npz').click();
    await expect.poll(() => page.getByTestId('failure').innerText()).toContain('the disk is full');
    await page.getByTestId('dismiss').click();
    await page.close();
  });
});
