/**
 * How fast the page is, in headless Chromium without a GPU: canvases are rasterised by Skia on the page's main thread, and the
 * screen is put together in software by a process beside it.
 *
 * Inputs are sent by the DevTools protocol every 8 ms, whether or not the page keeps up. The browser hands those of one frame
 * to the page together, right before the frame. A frame is measured from the dispatch of its first input in the page to a
 * message that was posted from its animation callback and arrives once it is done: handlers, filtering, components, layout,
 * painting and rasterising are in it, the wait for the screen's next refresh is not. A page that takes no longer than 16.7 ms
 * keeps up with 60 refreshes a second. Intervals are those between the frames that followed an input, and frames a second how many
 * of them came from the first to the last of the gesture: 60 if none was missed. An empty page that only asks for the next frame
 * tells what the browser itself reaches here.
 *
 * Both suffer from whatever else the machine does (its load is reported); processor time of the main thread, taken from a trace
 * of the same frames, hardly does. Tracing itself takes part of it.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ascending, pairs, quantile, sum } from 'd3-array';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dist, launchChromium, openInspector } from '../webview/fixture/page';

const out = process.env['TATOK_BENCH_OUT'];
const viewport = { width: 1280, height: 800 };
/** Inputs of one drag, and how far they are apart. */
const moves = 250;
const inputEveryMs = 8;

/** Pictures of 16-pixel patches: one model image, 4×4 tiles (also on a fine screen), and the 14×14 tiles of 12.8 megapixels. */
const pictures = [
  { cells: 16, tiles: 1, ratio: 1 },
  { cells: 64, tiles: 4, ratio: 1 },
  { cells: 64, tiles: 4, ratio: 2 },
  { cells: 224, tiles: 14, ratio: 1 },
] as const;

const scenes = [
  { overlay: 'entropy', view: 'reconstruction' },
  { overlay: 'surprisal', view: 'reconstruction' },
  { overlay: 'kept', view: 'reconstruction' },
  { overlay: 'attention', view: 'reconstruction' },
  { overlay: 'influence', view: 'reconstruction' },
  { overlay: 'none', view: 'reconstruction' },
  { overlay: 'kept', view: 'swipe' },
  { overlay: 'entropy', view: 'difference' },
] as const;

/** Of the frames of a gesture; the display refreshes 60 times a second, every 16.7 ms. */
interface Pace {
  readonly framesPerSecond: number;
  /** Milliseconds from one frame to the next. */
  readonly interval50: number;
  readonly interval95: number;
}

interface Drag extends Pace {
  readonly patches: number;
  /** Device pixels for each CSS pixel. */
  readonly ratio: number;
  readonly gesture: string;
  readonly overlay: string;
  readonly view: string;
  /** Milliseconds from an input event to the end of the frame that shows it. */
  readonly p50: number;
  readonly p95: number;
  /**
   * Processor time of the page's main thread per painted frame, milliseconds: input, script, layout, painting, rasterising. Unlike
   * the times above it hardly depends on what else the machine does.
   */
  readonly cpu50: number;
  readonly cpu95: number;
}

interface Sample {
  readonly took: number;
  /** When the browser began the frame. */
  readonly at: number;
}

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const drags: Drag[] = [];
let ceiling: Pace | undefined;

it('an empty page', async () => {
  const page = await browser.newPage({ viewport });
  const frames = await page.evaluate(
    (count) =>
      new Promise<number[]>((resolve) => {
        const seen: number[] = [];
        const next = (at: number): void => {
          seen.push(at);
          if (seen.length < count) requestAnimationFrame(next);
          else resolve(seen);
        };
        requestAnimationFrame(next);
      }),
    300,
  );
  ceiling = paceOf(frames);
  await page.close();
});

it.each(pictures)('$cells×$cells patches at $ratio device pixels', async ({ cells, tiles, ratio }) => {
  const page = await openInspector(browser, {
    ...viewport,
    deviceScaleFactor: ratio,
    cells,
    tiles,
    size: 16 * cells,
    provider: { provider: 'cpu', failures: [] },
  });
  await page.getByTestId('psnr').waitFor({ timeout: 120_000 });
  for (const { overlay, view } of scenes) {
    await page.getByTestId(`view-${view}`).click();
    await page.getByTestId(`overlay-${overlay}`).click();
    if (overlay === 'influence') await page.getByTestId('influence-progress').waitFor({ state: 'detached' });
    for (const [gesture, run] of Object.entries({ 'drag ε': dragLossRate, zoom, pan })) {
      // Only a picture larger than the canvas can be panned.
      if (gesture === 'pan') for (let i = 0; i < 2; i++) await page.getByTestId('canvas').press('+');
      // The answer to the last drag is no part of this one.
      await page.getByTestId('stale').first().waitFor({ state: 'detached', timeout: 60_000 });
      await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
      const samples = await measured(page, () => run(page));
      const cpu = frameCosts(await browser.stopTracing()).sort(ascending);
      expect(samples.length, 'frames follow the inputs').toBeGreaterThan(moves / 20);
      const times = samples.map(({ took }) => took).sort(ascending);
      drags.push({
        patches: cells ** 2,
        ratio,
        gesture,
        overlay,
        view,
        p50: quantile(times, 0.5) ?? NaN,
        p95: quantile(times, 0.95) ?? NaN,
        cpu50: quantile(cpu, 0.5) ?? NaN,
        cpu95: quantile(cpu, 0.95) ?? NaN,
        ...paceOf(samples.map(({ at }) => at)),
      });
    }
    await page.getByTestId('canvas').press('0');
  }
  await page.close();
});

it('first paint and size', async () => {
  const bundle = await Promise.all(
    ['webview.js', 'webview.css'].map(async (file) => ({
      file,
      bytes: (await stat(join(dist, file))).size,
      gzip: gzipSync(await readFile(join(dist, file))).length,
    })),
  );
  const firstPaint: number[] = [];
  const firstOverlay: number[] = [];
  for (let run = 0; run < 11; run++) {
    const page = await openInspector(browser, viewport);
    await page.getByTestId('colour-bar').waitFor();
    const paint = () =>
      page.evaluate(() => performance.getEntriesByName('first-contentful-paint').map(({ startTime }) => startTime));
    await expect.poll(async () => (await paint()).length).toBe(1);
    firstPaint.push(...(await paint()));
    firstOverlay.push(await page.evaluate(() => window.fixture.firstOverlay ?? NaN));
    await page.close();
  }
  const median = (values: readonly number[]): number => quantile([...values].sort(ascending), 0.5) ?? NaN;
  const first = rounded({ firstPaintMs: median(firstPaint), firstOverlayMs: median(firstOverlay) });
  const report = {
    machine: { cpu: cpus()[0]?.model ?? '', cores: cpus().length, browser: browser.version(), viewport, gpu: false },
    /** Of the last minute, at the end: other work on the machine makes every figure worse. */
    load: loadavg()[0],
    bundle,
    ceiling: rounded(ceiling ?? {}),
    ...first,
  };
  console.table(drags.map((drag) => ({ ...drag, ...rounded(drag) })));
  console.log(JSON.stringify({ bundle, ceiling: report.ceiling, ...first }));
  if (out !== undefined) await writeFile(out, written(report));
});

/** The report with a line for each drag. */
function written(report: object): string {
  const lines = drags.map((drag) => `    ${JSON.stringify({ ...drag, ...rounded(drag) })}`);
  const head = JSON.stringify(report, null, 2).replace(/\n\}$/, '');
  return `${head},\n  "drags": [\n${lines.join(',\n')}\n  ]\n}\n`;
}

function rounded(values: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]: [string, unknown]) => [
      name,
      typeof value === 'number' ? Math.round(10 * value) / 10 : value,
    ]),
  );
}

/** @param frames when they began, milliseconds. */
function paceOf(frames: readonly number[]): Pace {
  const intervals = pairs(frames, (before, now) => now - before).sort(ascending);
  return {
    framesPerSecond: (1000 * intervals.length) / sum(intervals),
    interval50: quantile(intervals, 0.5) ?? NaN,
    interval95: quantile(intervals, 0.95) ?? NaN,
  };
}

/** Inputs come at the pace of a mouse, whether or not the page keeps up. */
async function paced(count: number, input: (i: number) => Promise<void>): Promise<void> {
  const sent: Promise<void>[] = [];
  const start = performance.now();
  for (let i = 0; i <= count; i++) {
    await new Promise((resolve) => setTimeout(resolve, start + i * inputEveryMs - performance.now()));
    sent.push(input(i));
  }
  await Promise.all(sent);
}

/** Frames that inputs caused while `gesture` ran. */
async function measured(page: Page, gesture: () => Promise<void>): Promise<Sample[]> {
  await page.evaluate(() => {
    const samples: { took: number; at: number }[] = [];
    let since: number | undefined;
    const { port1, port2 } = new MessageChannel();
    // A message posted from the frame's callback arrives once the frame is done.
    port2.onmessage = ({ data }: MessageEvent<{ readonly since: number; readonly at: number }>) =>
      samples.push({ took: performance.now() - data.since, at: data.at });
    const onInput = (event: Event): void => {
      if (since !== undefined || (event instanceof MouseEvent && event.type === 'pointermove' && event.buttons === 0)) {
        return;
      }
      since = performance.now();
      requestAnimationFrame((at) => {
        port1.postMessage({ since, at });
        since = undefined;
      });
    };
    const types = ['pointermove', 'wheel'];
    for (const type of types) window.addEventListener(type, onInput, { capture: true, passive: true });
    window.endOfMeasurement = () => {
      for (const type of types) window.removeEventListener(type, onInput, { capture: true });
      return samples;
    };
  });
  await gesture();
  return page.evaluate(() => window.endOfMeasurement());
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds: start, duration, processor time. */
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
}

/** Milliseconds of processor time that the page's main thread spent up to the end of every frame in which it painted. */
function frameCosts(trace: Buffer): number[] {
  const { traceEvents } = JSON.parse(trace.toString()) as { readonly traceEvents: readonly TraceEvent[] };
  const painted = traceEvents.filter(({ name }) => name === 'FireAnimationFrame');
  const onMain = (event: TraceEvent): boolean => event.pid === painted[0]?.pid && event.tid === painted[0].tid;
  const tasks = traceEvents
    .filter((event) => event.ph === 'X' && event.name === 'ThreadControllerImpl::RunTask' && onMain(event))
    .sort((a, b) => ascending(a.ts, b.ts));
  const costs: number[] = [];
  let spent = 0;
  let next = 0;
  for (const { ts, dur = 0, tdur = 0 } of tasks) {
    spent += tdur / 1000;
    const before = next;
    while ((painted[next]?.ts ?? Infinity) < ts + dur) next++;
    if (next === before) continue;
    costs.push(spent);
    spent = 0;
  }
  // Events before the gesture belong to none of its frames.
  return costs.slice(1);
}

async function boxOf(page: Page, testId: string): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await page.getByTestId(testId).boundingBox();
  if (box === null) throw new Error(`${testId} is not shown`);
  return box;
}

/** The slider's thumb, over its whole track and back. */
async function dragLossRate(page: Page): Promise<void> {
  const { x, y, width, height } = await boxOf(page, 'loss-rate');
  const share = Number(await page.getByTestId('loss-rate').inputValue());
  const at = (value: number): number => x + 8 + value * (width - 16);
  await page.mouse.move(at(share), y + height / 2);
  await page.mouse.down();
  await paced(moves, (i) => {
    const phase = share * Math.PI + (2 * Math.PI * i) / moves;
    return page.mouse.move(at(0.5 - 0.5 * Math.cos(phase)), y + height / 2);
  });
  await page.mouse.up();
}

/** The picture, magnified so that it can be panned, in circles. */
async function pan(page: Page): Promise<void> {
  const { x, y, width, height } = await boxOf(page, 'canvas');
  const [middleX, middleY] = [x + width / 2, y + height / 2];
  await page.mouse.move(middleX + 120, middleY);
  await page.mouse.down();
  await paced(moves, (i) => {
    const angle = (4 * Math.PI * i) / moves;
    return page.mouse.move(middleX + 120 * Math.cos(angle), middleY + 120 * Math.sin(angle));
  });
  await page.mouse.up();
}

/** In and out again about a point. */
async function zoom(page: Page): Promise<void> {
  const { x, y, width, height } = await boxOf(page, 'canvas');
  await page.mouse.move(x + width / 2 + 40, y + height / 2 - 30);
  await paced(moves, (i) => page.mouse.wheel(0, i < moves / 2 ? -8 : 8));
}

declare global {
  interface Window {
    endOfMeasurement: () => Sample[];
  }
}
