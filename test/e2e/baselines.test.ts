import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { numberOf, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, runCommandWith } from './vscode';
import { choose } from '../webview/fixture/controls';

const screenshots = join(import.meta.dirname, 'screenshots');
const bundles = join(import.meta.dirname, '../fixtures/bundles');

describeInVSCode('tokenizers that lack a part, in VS Code', () => {
  const vscode = useVSCode({ settings: { 'workbench.colorTheme': 'Default Dark Modern' } });

  beforeAll(async () => {
    await mkdir(screenshots, { recursive: true });
    await cp(bundles, join(vscode.folder, 'models'), { recursive: true });
    // Relative to the folder that is opened.
    await vscode.configure({ 'tatok.model': 'models/fixed-7' });
  });

  const picture = (name: string) => vscode.page.screenshot({ path: join(screenshots, `${name}.png`) });

  it('are opened by the setting, and say what they are', async () => {
    const inspector = inspectorOf(vscode.page);
    await chooseInExplorer(vscode.page, 'kodim23.png', 'Tokenize Image');
    await inspector.getByTestId('kind').waitFor({ timeout: 60_000 });
    await settled(inspector);
    expect(await inspector.getByTestId('kind').textContent()).toBe(
      '7 global tokens, no patch tokens: every image takes 7 tokens',
    );
    expect(await numberOf(inspector.getByTestId('total-tokens'))).toBe(7);
    expect(await numberOf(inspector.getByTestId('psnr'))).toBeGreaterThan(8);
    await inspector.getByTestId('overlay-attention').click();
    await inspector.getByTestId('colour-bar').waitFor();
    await picture('fixed-globals-dark');
  });

  it('give way to the bundled model from the header, which has its overlays and its filter', async () => {
    const inspector = inspectorOf(vscode.page);
    await choose(inspector.getByTestId('model'), 'tatok-s-256');
    await inspector.getByTestId('loss-rate').waitFor({ timeout: 60_000 });
    await settled(inspector);
    await inspector.getByTestId('overlay-entropy').click();
    expect(await numberOf(inspector.getByTestId('kept-count'))).toBeGreaterThan(0);
  });

  it('are compared with it', async () => {
    const { page } = vscode;
    await runCommandWith(page, 'TaTok: Compare Tokenizations', 'With another model', 'fixed-7');
    const comparison = inspectorOf(page);
    await comparison.getByTestId('comparison').waitFor();
    await expect.poll(() => comparison.getByTestId('psnr-difference').textContent(), { timeout: 60_000 }).not.toBe('–');
    expect(await numberOf(comparison.getByTestId('tokens-b'))).toBe(7);
    expect(await comparison.getByTestId('kept-b').textContent()).toBe('–');
    expect(await comparison.getByTestId('loss-rate').count()).toBe(1);
    await picture('compare-fixed-dark');
  });
});
