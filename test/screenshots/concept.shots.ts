import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { it } from 'vitest';
import { chromiumArguments, chromiumPath } from '../../scripts/lib/chromium.mjs';
import { keepBox } from './keep';

const root = resolve(import.meta.dirname, '../..');

/** The stages of the method on a photograph, with pictures that the command line wrote. */
function drawing(picture: (name: string) => string): string {
  const image = (name: string, caption: string) =>
    `<figure><img src="${picture(name)}" /><figcaption>${caption}</figcaption></figure>`;
  const step = (name: string, detail: string) =>
    `<div class="step"><b>${name}</b><span class="arrow">→</span><small>${detail}</small></div>`;
  return `<!doctype html>
    <style>
      body { margin: 0; background: #fff; color: #1f2328; font: 15px/1.35 'Open Sans', system-ui, sans-serif; }
      main { display: inline-flex; gap: 12px; align-items: flex-start; padding: 20px; }
      figure { margin: 0; width: 176px; }
      img { width: 176px; height: 176px; display: block; image-rendering: pixelated; border-radius: 4px; }
      figcaption { margin-top: 8px; text-align: center; }
      .step { width: 104px; height: 176px; display: flex; flex-direction: column; align-items: center; justify-content: center; text-align: center; }
      .arrow { font-size: 30px; line-height: 1.1; color: #0969da; }
      small { font-size: 12.5px; color: #59636e; }
    </style>
    <main>
      ${image('input', 'photograph')}
      ${step('Encoder,<br />entropy model', '32 global tokens,<br />256 patch tokens')}
      ${image('entropy', 'conditional entropy<br />of every patch')}
      ${step('Filter', 'drops patches as long as their bits stay within ε')}
      ${image('mask', 'kept patches')}
      ${step('Decoder', 'global tokens and<br />kept patches')}
      ${image('reconstruction', 'reconstruction')}
    </main>`;
}

it('the concept drawing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tatok-concept-'));
  const browser = await chromium.launch({ executablePath: await chromiumPath(), args: chromiumArguments });
  try {
    const photograph = join(root, 'media/samples/kodim23.png');
    const options = ['--loss-rate', '0.65', '--provider', 'cpu', '--out', folder];
    const tokenize = [join(root, 'scripts/tokenize.mjs'), photograph, ...options];
    const { status, stderr } = spawnSync(process.execPath, tokenize, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    const names = ['input', 'entropy', 'mask', 'reconstruction'];
    const written = names.map(async (name): Promise<[string, string]> => {
      const png = await readFile(join(folder, `kodim23.${name}.png`), 'base64');
      return [name, `data:image/png;base64,${png}`];
    });
    const pictures = new Map(await Promise.all(written));
    const page = await browser.newPage({ viewport: { width: 1200, height: 400 }, deviceScaleFactor: 1.5 });
    await page.setContent(drawing((name) => pictures.get(name) ?? ''));
    await keepBox(page.locator('main'), 'concept');
  } finally {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  }
});
