import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { chooseOverlay, chooseView, numberOf, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, quickRanking, runCommand, runCommandWith } from './vscode';

describeInVSCode('Compare Tokenizations in VS Code', () => {
  const vscode = useVSCode({ settings: { 'workbench.colorTheme': 'Default Dark Modern', ...quickRanking } });

  /** Waits until both sides are tokenized and decoded. */
  async function compared(): Promise<void> {
    const page = inspectorOf(vscode.page);
    for (const side of ['left', 'right']) {
      await page
        .getByTestId(side)
        .locator('[data-testid="status"][data-state="ready"]')
        .waitFor({ state: 'attached', timeout: 60_000 });
    }
    await expect.poll(() => page.getByTestId('psnr-difference').textContent(), { timeout: 20_000 }).not.toBe('–');
  }

  const names = () => inspectorOf(vscode.page).locator('.side h2').allTextContents();
  const lossRates = () =>
    inspectorOf(vscode.page)
      .getByTestId('loss-rate')
      .evaluateAll((ranges) => ranges.map((range) => (range as HTMLInputElement).value));

  it('puts two photographs selected in the Explorer side by side', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Compare Tokenizations', { first: 'kodim05.png' });
    await compared();
    expect(await names()).toEqual(['kodim05.png', 'kodim23.png']);
    const comparison = inspectorOf(page);
    const [a, b] = [
      await numberOf(comparison.getByTestId('tokens-a')),
      await numberOf(comparison.getByTestId('tokens-b')),
    ];
    expect(a).not.toBe(b);
    expect(await comparison.getByTestId('tokens-difference').textContent()).toBe(b > a ? `+${b - a}` : `−${a - b}`);
    await comparison.getByTestId('left').getByTestId('canvas').focus();
    for (const key of ['ArrowUp', 'ArrowRight']) await page.keyboard.press(key);
  });

  it('exports and copies both pictures, by commands', async () => {
    const { page, folder } = vscode;
    const comparison = inspectorOf(page);
    await runCommandWith(page, 'TaTok: Export…', 'Comparison as PNG');
    const path = page.locator('.quick-input-widget input[type="text"]');
    const file = join(folder, 'kodim05-kodim23.comparison.png');
    await expect.poll(() => path.inputValue(), { timeout: 20_000 }).toBe(file);
    await page.keyboard.press('Enter');
    await comparison.getByText('Saved kodim05-kodim23.comparison.png').waitFor();
    // Both photographs at six pixels for each of the model's.
    expect((await sharp(file).metadata()).width).toBeGreaterThan(2 * 1536);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await runCommand(page, 'TaTok: Copy View');
    await comparison.getByText('Comparison copied').waitFor();
    await runCommand(page, 'View: Close All Editors');
  });

  it('shows one photograph under two thresholds, from its inspector', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await inspectorOf(page).getByTestId('kept-count').waitFor({ timeout: 60_000 });
    await settled(inspectorOf(page));
    await inspectorOf(page).getByTestId('loss-rate').fill('0.7');
    await settled(inspectorOf(page));
    await runCommandWith(page, 'TaTok: Compare Tokenizations', 'With another threshold');
    const comparison = inspectorOf(page);
    await comparison.getByTestId('comparison').waitFor();
    await compared();
    expect(await lossRates()).toEqual(['0.7', '0.45']);
    const [a, b] = [await numberOf(comparison.getByTestId('kept-a')), await numberOf(comparison.getByTestId('kept-b'))];
    expect(b).toBeGreaterThan(a);
    await chooseView(comparison, 'original');
    await chooseOverlay(comparison, 'kept');
    await comparison.getByTestId('layout-swipe').click();
    await chooseView(comparison, 'reconstruction');
    await chooseOverlay(comparison, 'none');
    await runCommand(page, 'Preferences: Toggle between Light/Dark Themes');
    await comparison.locator('body.vscode-light').waitFor();
  });
});
