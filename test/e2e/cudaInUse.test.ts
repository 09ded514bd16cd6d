/**
 * Setting up CUDA to its best end, on a GPU: nothing stands in for anything.
 *
 * Runs only where NVIDIA's driver is found and TATOK_CUDA_PROVIDER names the wheel of onnxruntime-gpu, which README tells how to get,
 * or a folder with its two provider libraries. CUDA and cuDNN must be where the extension looks for them; VIRTUAL_ENV, the Python
 * environment that is active, becomes the opened folder's .venv. TATOK_SCREENSHOTS names a folder for pictures.
 */
import { stat, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeServerRunsHere } from '../../scripts/lib/codeServer.mjs';
import { keepScreenshot } from '../webview/fixture/shots';
import {
  choosePath,
  clearMessages,
  dialog,
  driverIsHere,
  environmentReport,
  line,
  lines,
  message,
  openList,
} from './cuda';
import { chooseOverlay, chooseView, dragRange, numberOf, settled } from './inspector';
import { useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, runCommand } from './vscode';

const provider = process.env['TATOK_CUDA_PROVIDER'] ?? '';
const virtualEnvironment = process.env['VIRTUAL_ENV'];

/** Milliseconds for what reads gigabytes of libraries from a disk the first time. */
const long = 60_000;

describe.runIf(codeServerRunsHere && provider !== '' && (await driverIsHere()))('CUDA in VS Code, on a GPU', () => {
  const vscode = useVSCode({
    settings: { 'workbench.colorTheme': 'Default Dark Modern' },
    viewport: { width: 1400, height: 1120 },
  });
  const status = (text: string) => vscode.page.locator('.statusbar-item').filter({ hasText: text });

  beforeAll(async () => {
    if (virtualEnvironment) await symlink(resolve(virtualEnvironment), join(vscode.folder, '.venv'));
  });

  beforeEach(async ({ onTestFailed }) => {
    onTestFailed(() => keepScreenshot(vscode.page, 'cuda-failed'));
    await clearMessages(vscode.page);
  });

  /** Waits until the image is tokenized on a provider, which the header and the status bar name. */
  async function expectOn(name: string): Promise<void> {
    const inspector = inspectorOf(vscode.page);
    await status(`TaTok: ${name}`).waitFor({ timeout: long });
    await expect.poll(() => inspector.getByTestId('provider').textContent(), { timeout: long }).toContain(name);
    await settled(inspector);
  }

  it('lacks the provider alone, while an image is inspected on the CPU', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await expectOn('CPU');
    await openList(page);
    await line(page, 'The CUDA provider of ONNX Runtime 1.29.0 is not set up.').waitFor();
    const missing = lines(page).filter({ has: page.locator('.codicon-warning') });
    expect(await missing.allTextContents()).toHaveLength(1);
    await keepScreenshot(page, 'cuda-missing');
    await page.keyboard.press('Escape');
  });

  it('is in use once the provider is taken from this machine, and tokenizes the inspected image anew', async () => {
    const { page } = vscode;
    const isFolder = (await stat(provider)).isDirectory();
    await openList(page);
    await line(page, isFolder ? 'Use a local folder…' : 'Use a local archive…').click();
    await choosePath(page, isFolder ? join(resolve(provider), '/') : resolve(provider));
    const outcome = message(page).filter({ hasText: 'CUDA is set up' });
    const unexpected = dialog(page).or(line(page, 'Look again'));
    await outcome.or(unexpected).first().waitFor({ timeout: long });
    expect(await unexpected.allTextContents(), 'the build is known, and nothing is missing any more').toEqual([]);
    expect(await outcome.innerText()).toContain('CUDA is set up, and in use.');
    await keepScreenshot(page, 'cuda-set-up');
    await expectOn('CUDA');
    await chooseOverlay(inspectorOf(page), 'kept');
    await keepScreenshot(page, 'cuda-same-image');
  });

  it('tokenizes the next image, and decodes what the slider has it keep', async () => {
    const { page } = vscode;
    await runCommand(page, 'View: Close Editor');
    const inspector = inspectorOf(page);
    await inspector.getByTestId('canvas').waitFor({ state: 'detached' });
    await chooseInExplorer(page, 'kodim05.png', 'Tokenize Image');
    await expectOn('CUDA');
    expect(await inspector.locator('h1').textContent()).toBe('kodim05.png');
    await chooseView(inspector, 'reconstruction');
    await chooseOverlay(inspector, 'none');
    await settled(inspector);
    const [kept, psnr] = [inspector.getByTestId('kept-count'), inspector.getByTestId('psnr')];
    const before = { kept: await numberOf(kept), psnr: await numberOf(psnr) };
    await dragRange(inspector.getByTestId('loss-rate'), 0.3);
    await expect.poll(() => numberOf(psnr), { timeout: long }).not.toBe(before.psnr);
    await expectOn('CUDA');
    expect(await numberOf(kept)).toBeGreaterThan(before.kept);
    expect(await numberOf(psnr)).toBeGreaterThan(before.psnr);
    await keepScreenshot(page, 'cuda-next-image');
  });

  it('is what the report names, with the driver, the GPU and every library that was found', async () => {
    const { page } = vscode;
    const report = await environmentReport(page);
    console.log(report);
    expect(report).toContain('- runs on **cuda**\n');
    expect(report).not.toContain('not on cuda');
    expect(report).not.toContain('**missing**');
    expect(report).toMatch(/^- NVIDIA driver: `\d+\.\d+/m);
    expect(report).toMatch(/^- GPU 0: .+, \d+ MiB`$/m);
    expect(report).toMatch(/^- CUDA provider of ONNX Runtime 1\.29\.0: .+ \(set up by TaTok\)`$/m);
    expect(report).toMatch(/^- CUDA runtime: .+\/libcudart\.so\.13 \(.+\)`$/m);
    expect(report).toMatch(/^- cuDNN: .+\/libcudnn\.so\.9 \(.+\)`$/m);
    await keepScreenshot(page, 'cuda-report');
    await openList(page);
    await line(page, 'Nothing is missing').waitFor();
    await keepScreenshot(page, 'cuda-nothing-missing');
    await page.keyboard.press('Escape');
  });
});
