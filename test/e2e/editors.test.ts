import { expect, it } from 'vitest';
import { chooseOverlay, chooseView, difference, numberOf, readCanvas, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import {
  chooseInExplorer,
  inspectorOf,
  imagesShown,
  inspectorsOf,
  openFromExplorer,
  quickRanking,
  runCommand,
  runCommandWith,
} from './vscode';

describeInVSCode('Editors of VS Code', () => {
  const vscode = useVSCode({ settings: quickRanking });

  it('show an image that is open already, by Reopen Editor With', async () => {
    const { page } = vscode;
    await openFromExplorer(page, 'kodim23.png');
    await runCommandWith(page, 'View: Reopen Editor With...', 'TaTok Inspector');
    await settled(inspectorOf(page));
    expect(await inspectorOf(page).locator('h1').textContent()).toBe('kodim23.png');
    await page.getByRole('tab', { name: 'kodim23.png' }).waitFor();
    expect(await page.locator('.tabs-container').getByRole('tab').count(), 'in place of the preview').toBe(1);
  });

  it('show one image twice, each in its own way', async () => {
    const { page } = vscode;
    await runCommand(page, 'View: Split Editor Right');
    const { left, right } = await inspectorsOf(page);
    await settled(left);
    await settled(right);
    for (const inspector of [left, right]) {
      await chooseView(inspector, 'original');
      await chooseOverlay(inspector, 'entropy');
    }
    const before = {
      pixels: await readCanvas(left),
      kept: await numberOf(left.getByTestId('kept-count')),
      zoom: await left.getByTestId('zoom').textContent(),
    };
    await chooseView(right, 'difference');
    await chooseOverlay(right, 'none');
    await right.getByTestId('loss-rate').fill('0.9');
    await settled(right);
    await right.getByTestId('canvas').press('+');
    expect(await numberOf(right.getByTestId('kept-count'))).toBeLessThan(before.kept);
    await expect.poll(() => right.getByTestId('zoom').textContent()).not.toBe(before.zoom);
    expect(await left.getByTestId('zoom').textContent()).toBe(before.zoom);
    expect(await numberOf(left.getByTestId('kept-count'))).toBe(before.kept);
    expect(difference(await readCanvas(left), before.pixels)).toBe(0);
    expect(difference(await readCanvas(right), before.pixels)).toBeGreaterThan(10);

    const psnr = await numberOf(right.getByTestId('psnr'));
    await left.getByTestId('loss-rate').fill('0');
    await settled(left);
    expect(await numberOf(left.getByTestId('kept-count'))).toBe(256);
    expect(await numberOf(left.getByTestId('psnr'))).toBeGreaterThan(psnr);
    expect(await numberOf(right.getByTestId('psnr'))).toBe(psnr);
  });

  it('show several images at once, and one goes on when another is closed', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim05.png', 'Tokenize Image');
    await expect.poll(() => imagesShown(page), { timeout: 60_000 }).toContain('kodim05.png');
    // It opens in the active group, and either page may have been worked on last.
    const { left, right } = await inspectorsOf(page);
    const inLeft = (await left.locator('h1').textContent()) === 'kodim05.png';
    const [opened, other] = inLeft ? [left, right] : [right, left];
    await settled(opened);
    expect(await other.locator('h1').textContent()).toBe('kodim23.png');
    expect(await numberOf(opened.getByTestId('psnr'))).not.toBe(await numberOf(other.getByTestId('psnr')));
    await runCommand(page, 'View: Close All Editors in Group');
    const only = inspectorOf(page);
    await only.locator('h1', { hasText: 'kodim23.png' }).waitFor();
    await only.getByTestId('loss-rate').fill('0.6');
    await settled(only);
    expect(await numberOf(only.getByTestId('kept-count'))).toBeLessThan(256);
  });
});
