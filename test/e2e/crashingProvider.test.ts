/** A provider whose native code crashes in the middle of the work, in VS Code. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { beforeAll, expect, it } from 'vitest';
import { alteredExtension } from '../packaging/alteredExtension';
import { sharedLibrary } from '../sharedLibrary';
import { environmentReport, message, providerLibraries } from './cuda';
import { chooseOverlay, dragRange, numberOf, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf } from './vscode';

/** Stands for CUDA, on whatever machine. */
const crashingProvider = join(import.meta.dirname, '../integration/crashingProvider.cjs');

describeInVSCode('A provider that crashes the inference process, in VS Code', () => {
  const vscode = useVSCode(async () => {
    const { outputFiles } = await build({
      entryPoints: [crashingProvider],
      bundle: true,
      platform: 'node',
      format: 'iife',
      external: ['onnxruntime-node'],
      write: false,
    });
    const standIn = outputFiles.map(({ text }) => text).join('');
    const bundles = ['inference', 'sessionThread'] as const;
    return { vsix: await alteredExtension('crashing', bundles, (code) => `${standIn}${code}`) };
  });
  const status = (text: string) => vscode.page.locator('.statusbar-item').filter({ hasText: text });

  beforeAll(async () => {
    const libraryPath = join(vscode.folder, '../cuda');
    await mkdir(libraryPath);
    for (const name of providerLibraries) await writeFile(join(libraryPath, name), sharedLibrary());
    await vscode.configure({ 'tatok.cuda.libraryPath': libraryPath });
  });

  it('is followed by the next, with a notice, and the inspector keeps all that was chosen in it', async () => {
    const { page, folder } = vscode;
    const inspector = inspectorOf(page);
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await settled(inspector);
    await status('TaTok: CUDA').waitFor();
    await chooseOverlay(inspector, 'kept');
    const before = await numberOf(inspector.getByTestId('total-tokens'));
    // From now on decoders crash.
    await writeFile(join(folder, '../home/crash'), '');
    await dragRange(inspector.getByTestId('loss-rate'), 0.3);
    const reason = 'It crashed twice in a row while running (signal SIGSEGV).';
    const notice = message(page).filter({ hasText: `TaTok goes on with CPU, no longer with CUDA. ${reason}` });
    await notice.waitFor({ timeout: 60_000 });
    await settled(inspector);
    await status('TaTok: CPU').waitFor();
    expect(Number(await inspector.getByTestId('loss-rate').inputValue())).toBeCloseTo(0.3, 1);
    await expect.poll(() => inspector.getByTestId('overlay-kept').isChecked()).toBe(true);
    expect(await numberOf(inspector.getByTestId('total-tokens'))).toBeGreaterThan(before);
    expect(await numberOf(inspector.getByTestId('psnr'))).toBeGreaterThan(8);
    expect(await environmentReport(page)).toContain(`- runs on **cpu**\n  - not on cuda: \`${reason}\``);
  });
});
