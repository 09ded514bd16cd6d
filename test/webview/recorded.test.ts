import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useChromium } from './fixture/chromium';
import type { Recorded } from './fixture/fakeHost';
import { keepScreenshot } from './fixture/shots';

const root = join(import.meta.dirname, '../..');

/** The inspector must show the command line's figures for a photograph. */
describe('a photograph tokenized by the model', () => {
  const { openInspector } = useChromium();
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tatok-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(['kodim23', 'kodim07'])('%s: kept set, counts and quality are those of the command line', async (name) => {
    const recorded = await record(name, folder);
    const page = await openInspector({ photograph: `${name}.png`, recorded, theme: 'dark' });
    await page.locator('[data-testid="status"][data-state="ready"]').waitFor();
    expect(await page.getByTestId('stale').count()).toBe(0);
    expect(Number(await page.getByTestId('kept-count').innerText())).toBe(recorded.keptTokens);
    expect(Number(await page.getByTestId('total-tokens').innerText())).toBe(recorded.totalTokens);
    expect(await page.getByTestId('bits').innerText()).toBe(
      `${recorded.payloadBits.toFixed(0)} + ${recorded.maskBits.toFixed(0)} bits`,
    );
    expect(await page.getByTestId('psnr').innerText()).toBe(recorded.psnr.toFixed(1));
    await keepScreenshot(page, `recorded-${name}`);
    await page.close();
  });
});

async function record(name: string, folder: string): Promise<Recorded> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      'scripts/tokenize.mjs',
      join('media/samples', `${name}.png`),
      ...['--provider', 'cpu', '--json', '--out', folder],
      // The page computes one-shot filtering under the image's own budget itself.
      ...['--loss-rate', '0.8', '--conditioning', 'global', '--budget', 'image'],
    ],
    { cwd: root },
  );
  const pixels = await sharp(join(folder, `${name}.reconstruction.png`))
    .removeAlpha()
    .raw()
    .toBuffer();
  return { ...(JSON.parse(stdout) as Omit<Recorded, 'reconstruction'>), reconstruction: pixels.toString('base64') };
}
