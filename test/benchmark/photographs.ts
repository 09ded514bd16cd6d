/**
 * Photographs of 12 and 50 megapixels in a real VS Code, in tiles and with sequential ranking, to the end: how long until each
 * result is shown, the most memory that the processes had, and whether everything stops when the ranking is cancelled.
 *
 * The pictures are mosaics of the sample photographs, as JPEG. The extension host's memory is that of all extensions in it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import type { FrameLocator } from 'playwright-core';
import { afterAll, describe, expect, it } from 'vitest';
import { mosaic } from './mosaic';
import { useVSCode } from '../e2e/suite';
import { chooseInExplorer, inspectorOf, runCommand } from '../e2e/vscode';
import { enter } from '../webview/fixture/controls';

const out = process.env['TATOK_BENCH_OUT'];
const pictures = [
  { width: 4000, height: 3000 },
  { width: 8688, height: 5792 },
] as const;
const long = 3_000_000;

interface Figures {
  readonly width: number;
  readonly height: number;
  /** Seconds from the click in the Explorer's menu to the photograph, the first overlay, the kept set, the reconstruction. */
  readonly picture: number;
  readonly overlay: number;
  readonly ranked: number;
  readonly reconstructed: number;
  /** Texts of the header, one every half minute. */
  readonly said: readonly string[];
  /** MiB: the most that was resident since the process began. */
  readonly inferenceMiB: number;
  readonly extensionHostMiB: number;
  /** Seconds of processor time that the inference process takes in the two seconds after a cancelled ranking has settled. */
  readonly afterCancel: number;
}

const report: Figures[] = [];

describe('a large photograph', () => {
  const vscode = useVSCode({ settings: { 'tatok.cropMode': 'tiles', 'tatok.ranking': 'sequential' } });

  afterAll(async () => {
    console.table(report.map(({ said: _, ...figures }) => figures));
    for (const { width, height, said } of report) console.log(`${width}×${height}:\n  ${said.join('\n  ')}`);
    const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, load: loadavg()[0] };
    if (out !== undefined) await writeFile(out, `${JSON.stringify({ machine, photographs: report }, null, 2)}\n`);
  });

  it.each(pictures)('of $width×$height pixels', async ({ width, height }) => {
    const { page, folder } = vscode;
    const name = `${width}x${height}.jpg`;
    await writeFile(join(folder, name), await mosaic(width, height));
    const inspector = inspectorOf(page);
    const open = () => chooseInExplorer(page, name, 'Tokenize Image');
    const status = inspector.getByTestId('status');
    const settled = () => inspector.locator('[data-testid="status"][data-state="ready"]').waitFor({ timeout: long });

    await open();
    const start = performance.now();
    const seconds = () => Math.round((performance.now() - start) / 100) / 10;
    await inspector.locator('canvas.picture:not(.empty)').waitFor({ timeout: long });
    const picture = seconds();
    await inspector.getByTestId('colour-bar').waitFor({ timeout: long });
    const overlay = seconds();
    const said: string[] = [];
    const saying = setInterval(
      () =>
        void status.innerText().then(
          (text) => said.push(`${seconds()} s: ${text.replaceAll('\n', ' ')}`),
          () => undefined,
        ),
      30_000,
    );
    await kept(inspector);
    const ranked = seconds();
    await settled();
    const reconstructed = seconds();
    clearInterval(saying);
    const [inference, extensionHost] = await Promise.all([
      processOf('dist/inference.js'),
      processOf('--type=extensionHost'),
    ]);
    const [inferenceMiB, extensionHostMiB] = await Promise.all([peakMiB(inference), peakMiB(extensionHost)]);

    // Under another β the patches are ranked anew.
    await enter(inspector.getByTestId('edge-priority'), '1.5');
    await status.getByText('ranking patches').waitFor({ timeout: 60_000 });
    await inspector.getByTestId('cancel').click();
    await settled();
    await page.waitForTimeout(2000);
    const before = await processorSeconds(inference);
    await page.waitForTimeout(2000);
    const afterCancel = (await processorSeconds(inference)) - before;
    expect(afterCancel).toBeLessThan(0.2);

    report.push({
      width,
      height,
      picture,
      overlay,
      ranked,
      reconstructed,
      said,
      inferenceMiB,
      extensionHostMiB,
      afterCancel,
    });
    await runCommand(page, 'View: Close All Editors');
  });
});

/** Waits until the kept set is known. */
async function kept(inspector: FrameLocator): Promise<void> {
  await inspector.getByTestId('kept-count').getByText(/\d/).waitFor({ timeout: long });
}

/** The process below this one whose command line has some text. */
async function processOf(text: string): Promise<number> {
  for (const id of await below(process.pid)) {
    if ((await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')).includes(text)) return id;
  }
  throw new Error(`no process has ${text} in its command line`);
}

async function below(id: number): Promise<number[]> {
  const children = (await readFile(`/proc/${id}/task/${id}/children`, 'utf8').catch(() => ''))
    .split(' ')
    .filter(Boolean);
  return (await Promise.all(children.map(async (child) => [Number(child), ...(await below(Number(child)))]))).flat();
}

async function peakMiB(id: number): Promise<number> {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${id}/status`, 'utf8'))?.[1];
  return Math.round(Number(kibibytes) / 1024);
}

/** User and system time of all threads; a tick is ten milliseconds. */
async function processorSeconds(id: number): Promise<number> {
  const fields = (await readFile(`/proc/${id}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
