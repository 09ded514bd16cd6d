/** Pictures and models at the edge of what there is, in VS Code: nothing throws, nothing stays stale, nothing holds up the next picture. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { writeToyBundle } from '../onnxGraphs';
import { numberOf, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, quickRanking } from './vscode';
import { choose } from '../webview/fixture/controls';

const thrown: string[] = [];

describeInVSCode('A picture that is', () => {
  const vscode = useVSCode({ settings: quickRanking });
  const inspector = () => inspectorOf(vscode.page);

  const pictures = [
    { name: 'panorama.png', width: 12_000, height: 200 },
    { name: 'line.png', width: 300, height: 1 },
    { name: 'dot.png', width: 1, height: 1 },
  ];

  beforeAll(async () => {
    vscode.page.on('pageerror', (error) => thrown.push(error.message));
    for (const { name, width, height } of pictures) {
      const noise = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) % 251);
      await sharp(noise, { raw: { width, height, channels: 3 } }).toFile(join(vscode.folder, name));
    }
  });

  async function open(name: string, cropMode: string): Promise<void> {
    await chooseInExplorer(vscode.page, name, 'Tokenize Image');
    await inspector().getByRole('heading', { name }).waitFor({ timeout: 60_000 });
    await settled(inspector());
    await choose(inspector().getByTestId('crop-mode'), cropMode);
    await settled(inspector(), 120_000);
  }

  it.each([
    ['12,000×200 pixels, in fit,', 'panorama.png', 'fit with padding'],
    ['300×1 pixels, in tiles,', 'line.png', 'tiles at native resolution'],
    ['1×1 pixel, in tiles,', 'dot.png', 'tiles at native resolution'],
  ])('%s has a PSNR but no SSIM, follows the slider, and can be measured', async (_name, file, cropMode) => {
    await open(file, cropMode);
    const [ssim, psnr] = [inspector().getByTestId('ssim'), inspector().getByTestId('psnr')];
    for (const lossRate of ['0', '1', '0.5']) {
      await inspector().getByTestId('loss-rate').fill(lossRate);
      await settled(inspector());
      await expect.poll(() => inspector().getByTestId('stale').count(), { timeout: 30_000 }).toBe(0);
      expect(await ssim.textContent()).toBe('n/a');
      expect(await numberOf(psnr)).toBeGreaterThan(0);
    }
    for (const overlay of ['surprisal', 'kept', 'attention', 'entropy']) {
      await inspector().getByTestId(`overlay-${overlay}`).click();
      await settled(inspector());
    }
    await inspector().getByTestId('rate-compute').click();
    await inspector().getByTestId('rate-cancel').waitFor({ state: 'detached', timeout: 120_000 });
    await choose(inspector().getByTestId('distortion'), 'SSIM');
    await inspector().getByTestId('no-ssim').waitFor();
    expect(await inspector().getByTestId('rate-stale').count()).toBe(0);
    await choose(inspector().getByTestId('distortion'), 'PSNR');
    expect(await inspector().locator('[data-testid^="rate-point-"]').count()).toBeGreaterThan(0);
    expect(thrown).toEqual([]);
  });
});

describeInVSCode('A model whose encoder never ends', () => {
  const vscode = useVSCode({ settings: quickRanking });
  const inspector = () => inspectorOf(vscode.page);

  beforeAll(async () => {
    await writeToyBundle(join(vscode.folder, 'endless'), { graphs: { encoder: { endless: true } } });
    // Relative to the folder that is opened.
    await vscode.configure({ 'tatok.model': 'endless' });
    await chooseInExplorer(vscode.page, 'kodim05.png', 'Tokenize Image');
    await inspector().getByTestId('cancel').waitFor({ timeout: 60_000 });
  });

  it('is left by Cancel, and the next picture is tokenized with another', async () => {
    await expect.poll(() => inspector().getByTestId('status').innerText(), { timeout: 60_000 }).toMatch(/encod/i);
    await inspector().getByTestId('cancel').click();
    await inspector().getByTestId('failure').waitFor();
    expect(await inspector().getByTestId('failure').innerText()).toContain('was cancelled');
    await vscode.configure({});
    await chooseInExplorer(vscode.page, 'kodim07.png', 'Tokenize Image');
    await inspector().getByRole('heading', { name: 'kodim07.png' }).waitFor({ timeout: 60_000 });
    await settled(inspector());
    expect(await numberOf(inspector().getByTestId('psnr'))).toBeGreaterThan(8);
  });

  it('ends at the time limit of the settings, with what to do', async () => {
    await vscode.configure({ 'tatok.model': 'endless', 'tatok.timeLimit': 3 });
    const failure = inspector().getByTestId('failure');
    await expect.poll(() => failure.innerText(), { timeout: 60_000 }).toContain('took longer than 3 seconds');
    expect(await failure.innerText()).toContain('tatok.timeLimit');
    await vscode.configure({});
    await settled(inspector());
  });

  it.skipIf(process.platform === 'win32')(
    'does not hold up others, and neither does a pipe in place of an image',
    async () => {
      execFileSync('mkfifo', [join(vscode.folder, 'pipe.png')]);
      await chooseInExplorer(vscode.page, 'pipe.png', 'Tokenize Image');
      const failure = inspector().getByTestId('failure');
      await expect.poll(() => failure.innerText(), { timeout: 60_000 }).toContain('pipe.png is a pipe or a device');
      await chooseInExplorer(vscode.page, 'kodim15.png', 'Tokenize Image');
      await inspector().getByRole('heading', { name: 'kodim15.png' }).waitFor({ timeout: 60_000 });
      await settled(inspector());
    },
  );
});
