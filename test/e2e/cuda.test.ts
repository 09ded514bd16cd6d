import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeServerRunsHere } from '../../scripts/lib/codeServer.mjs';
import {
  choosePath,
  clearMessages,
  dialog,
  driverIsHere,
  environmentReport,
  hasEveryPart,
  line,
  lines,
  message,
  openList,
  press,
  providerLibraries,
} from './cuda';
import { startVSCode, type VSCode } from './vscode';

const otherSource = 'Choose the onnxruntime-gpu wheel for Linux x86-64, or a folder with its two provider libraries.';
const wheel = 'onnxruntime_gpu-1.29.0-cp312-cp312-manylinux_2_28_x86_64.whl';

const hasDriver = await driverIsHere();

describe.runIf(codeServerRunsHere)('Setting up CUDA in VS Code', () => {
  let vscode: VSCode;

  beforeAll(async () => {
    // Nobody listens on that port: no download leaves the machine.
    vscode = await startVSCode({ settings: { 'http.proxy': 'http://127.0.0.1:9' } });
  });

  afterAll(() => vscode[Symbol.asyncDispose]());

  beforeEach(() => clearMessages(vscode.page));

  it('shows on one screen what is missing and how to get it', async () => {
    const { page } = vscode;
    await openList(page);
    await line(page, 'The CUDA provider of ONNX Runtime 1.29.0 is not set up.')
      .filter({ hasText: 'Fetch it with TaTok: Set Up CUDA…, or choose a local archive or folder there.' })
      .waitFor();
    await line(page, 'Fetch the CUDA provider of ONNX Runtime 1.29.0…')
      .filter({ hasText: '202 MB from files.pythonhosted.org, the official onnxruntime-gpu wheel' })
      .waitFor();
    await line(page, 'Use a local archive…').waitFor();
    await line(page, 'Use a local folder…').waitFor();
    await line(page, 'Copy a report for bug reports').waitFor();
    // No line is cut at its end, except paths of what was found.
    const cut = await lines(page)
      .locator('.monaco-icon-label')
      .evaluateAll((labels) =>
        labels.filter((label) => label.scrollWidth > label.clientWidth).map((label) => label.textContent),
      );
    expect(cut.filter((text) => !text.includes('/'))).toEqual([]);
    await page.keyboard.press('Escape');
  });

  it('stays open while something else has the focus, until it is dismissed', async () => {
    const { page } = vscode;
    await openList(page);
    await page.locator('.explorer-folders-view').getByRole('treeitem', { name: 'kodim05.png' }).click();
    await page.waitForTimeout(500);
    await line(page, 'Look again').waitFor({ timeout: 1000 });
    await page.locator('.quick-input-widget input[type="text"]').press('Escape');
    await line(page, 'Look again').waitFor({ state: 'hidden' });
  });

  it.skipIf(hasDriver)('says without a driver that the CPU is used, and what a download is worth', async () => {
    const { page } = vscode;
    await openList(page);
    await line(page, 'No NVIDIA driver was found.')
      .filter({
        hasText: 'Install it, or give the container its GPUs (docker run --gpus all); else the CPU is used.',
      })
      .waitFor();
    await line(page, 'Fetch the CUDA provider').click();
    expect(await dialog(page).textContent()).toContain(
      'No NVIDIA driver was found. Until that changes the download is of no use.',
    );
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    await line(page, 'Look again').waitFor();
    await page.keyboard.press('Escape');
  });

  it('asks before it fetches, names size and source, and goes back when refused', async () => {
    const { page } = vscode;
    await openList(page);
    await line(page, 'Fetch the CUDA provider').click();
    const text = await dialog(page).textContent();
    expect(text).toContain(`Fetch ${wheel} (202 MB) from files.pythonhosted.org?`);
    expect(text).toContain('Its two provider libraries (230 MB) are kept in ');
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    await line(page, 'Look again').waitFor();
    await page.keyboard.press('Escape');
    expect(await message(page).count()).toBe(0);
  });

  it('says that the download was refused, and what to do then', async () => {
    const { page } = vscode;
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await openList(page);
    await line(page, 'Fetch the CUDA provider').click();
    await dialog(page).getByRole('button', { name: 'Fetch 202 MB' }).click();
    const toast = message(page).filter({ hasText: 'files.pythonhosted.org could not be reached: ' });
    expect(await toast.textContent()).toContain(
      'ECONNREFUSED 127.0.0.1:9. Check VS Code’s setting http.proxy, or fetch the file another way and choose it as a local archive.',
    );
    expect(await hasEveryPart(toast)).toBe(true);
    await press(toast, 'Copy Link');
    await expect
      .poll(() => page.evaluate(() => navigator.clipboard.readText()))
      .toMatch(new RegExp(`^https://files\\.pythonhosted\\.org/.*/${wheel}$`));
  });

  it('refuses a folder whose libraries are broken, and leads back to the list', async () => {
    const { page, folder } = vscode;
    const broken = join(folder, 'broken');
    await mkdir(broken);
    for (const name of providerLibraries) await copyFile(join(folder, 'kodim05.png'), join(broken, name));
    await openList(page);
    await line(page, 'Use a local folder…').click();
    await choosePath(page, `${broken}/`);
    const toast = message(page).filter({ hasText: ' of broken cannot be used: ' });
    expect(await toast.textContent()).toContain(
      `libonnxruntime_providers_cuda.so of broken cannot be used: it is no shared library. ${otherSource}`,
    );
    expect(await hasEveryPart(toast)).toBe(true);
    await press(toast, 'Set Up CUDA…');
    await line(page, 'Look again').waitFor();
    await page.keyboard.press('Escape');
  });

  it('refuses a folder without the libraries', async () => {
    const { page, folder } = vscode;
    const empty = join(folder, 'empty');
    await mkdir(empty);
    await openList(page);
    await line(page, 'Use a local folder…').click();
    await choosePath(page, `${empty}/`);
    const toast = message(page).filter({ hasText: 'empty holds no ' });
    expect(await toast.textContent()).toContain(`empty holds no libonnxruntime_providers_shared.so. ${otherSource}`);
  });

  it('refuses a file that is no archive', async () => {
    const { page, folder } = vscode;
    const archive = join(folder, 'wrong.whl');
    await writeFile(archive, 'no archive');
    await openList(page);
    await line(page, 'Use a local archive…').click();
    await choosePath(page, archive);
    const toast = message(page).filter({ hasText: 'wrong.whl' });
    expect(await toast.textContent()).toContain(`wrong.whl is damaged or no archive. ${otherSource}`);
    expect(await hasEveryPart(toast)).toBe(true);
  });

  it('warns of a build of another release, and takes nothing unless told to', async () => {
    const { page, folder } = vscode;
    const other = join(folder, 'other');
    await mkdir(other);
    // Any sound library for Linux x86-64 stands for a provider of another release.
    const binding = join(
      dirname(createRequire(import.meta.url).resolve('onnxruntime-node')),
      '../bin/napi-v6/linux/x64',
    );
    for (const name of providerLibraries) await copyFile(join(binding, 'onnxruntime_binding.node'), join(other, name));
    await openList(page);
    await line(page, 'Use a local folder…').click();
    await choosePath(page, `${other}/`);
    expect(await dialog(page).textContent()).toContain('This build is not known to be ONNX Runtime 1.29.0.');
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    await line(page, 'The CUDA provider of ONNX Runtime 1.29.0 is not set up.').waitFor();
    await page.keyboard.press('Escape');
  });

  it('copies a report of the environment', async () => {
    const { page } = vscode;
    const report = await environmentReport(page);
    expect(report).toMatch(/^### TaTok environment\n\n- TaTok Inspector `\d+\.\d+\.\d+`, VS Code /);
    expect(report).toContain('- model `tatok-s-256 ');
    expect(report).toContain('- runs on **cpu**\n  - not on cuda: ');
    expect(report).toContain('- **missing**: `The CUDA provider of ONNX Runtime 1.29.0 is not set up.');
    await page.getByRole('tab', { name: /TaTok environment/ }).waitFor();
  });
});
