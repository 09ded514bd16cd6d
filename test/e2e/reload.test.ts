import type { FrameLocator } from 'playwright-core';
import { expect, it } from 'vitest';
import { chooseOverlay, chooseView, numberOf, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, openFromExplorer, quickRanking, reloadWindow, runCommand } from './vscode';
import { choose, chosen, toggle } from '../webview/fixture/controls';

describeInVSCode('After the window is reloaded', () => {
  const vscode = useVSCode({ settings: quickRanking });

  const checked = (inspector: FrameLocator, group: 'View' | 'Overlay') =>
    inspector.getByRole('radiogroup', { name: group }).getByRole('radio', { checked: true }).textContent();

  /** Hides the tab and shows it again: what the page then shows, VS Code has got to write down. */
  async function hideAndShow(tab: string): Promise<void> {
    const { page } = vscode;
    // The page hands its state over a moment after it changed.
    await page.waitForTimeout(500);
    await openFromExplorer(page, 'LICENCE.md');
    await page.locator('iframe.webview.ready').waitFor({ state: 'detached' });
    await page.getByRole('tab', { name: tab }).click();
  }

  it('an inspector shows its image as before', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    const inspector = inspectorOf(page);
    await settled(inspector);
    await choose(inspector.getByTestId('crop-mode'), 'fit with padding');
    await inspector.getByText('256×171').waitFor();
    await chooseView(inspector, 'difference');
    await chooseOverlay(inspector, 'surprisal');
    await inspector.getByTestId('loss-rate').fill('0.8');
    await settled(inspector);
    for (let i = 0; i < 3; i++) await inspector.getByTestId('canvas').press('+');
    // An experiment, one undone, and another: VS Code's own Undo has no part in them.
    for (const key of ['ArrowRight', 'd', 'k', 'Control+z', 'ArrowRight', 'd']) {
      await inspector.getByTestId('canvas').press(key);
    }
    await settled(inspector);
    expect(await inspector.getByTestId('outcome').textContent()).toMatch(/^2 dropped by hand/);
    const shown = async () => ({
      name: await inspector.locator('h1').textContent(),
      view: await checked(inspector, 'View'),
      overlay: await checked(inspector, 'Overlay'),
      zoom: await inspector.getByTestId('zoom').textContent(),
      cropMode: await chosen(inspector.getByTestId('crop-mode')),
      lossRate: await inspector.getByTestId('loss-rate').inputValue(),
      kept: await numberOf(inspector.getByTestId('kept-count')),
      psnr: await inspector.getByTestId('psnr').textContent(),
      experiment: await inspector.getByTestId('outcome').locator('span').first().textContent(),
    });
    const before = await shown();
    expect(before).toMatchObject({ view: 'Difference', overlay: 'Surprisal', lossRate: '0.8' });

    await hideAndShow('kodim23.png');
    await settled(inspector);
    expect(await shown()).toEqual(before);

    await reloadWindow(page);
    await settled(inspector);
    expect(await shown()).toEqual(before);
    await runCommand(page, 'View: Close All Editors');
  });

  it('a comparison shows its sides as before', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Compare Tokenizations', { first: 'kodim05.png' });
    const comparison = inspectorOf(page);
    const ready = async () => {
      for (const side of ['left', 'right']) {
        await comparison
          .getByTestId(side)
          .locator('[data-testid="status"][data-state="ready"]')
          .waitFor({ state: 'attached', timeout: 60_000 });
      }
    };
    const lossRates = () =>
      comparison
        .getByTestId('loss-rate')
        .evaluateAll((ranges) => ranges.map((range) => (range as HTMLInputElement).value));
    await ready();
    const initial = await lossRates();
    await comparison.getByTestId('swap').click();
    await toggle(comparison.getByTestId('link'), false);
    await comparison.getByTestId('loss-rate').first().fill('0.3');
    await chooseView(comparison, 'original');
    await chooseOverlay(comparison, 'kept');
    await ready();
    const shown = async () => ({
      names: await comparison.locator('.side h2').allTextContents(),
      view: await checked(comparison, 'View'),
      overlay: await checked(comparison, 'Overlay'),
      lossRates: await lossRates(),
      kept: [await numberOf(comparison.getByTestId('kept-a')), await numberOf(comparison.getByTestId('kept-b'))],
    });
    const before = await shown();
    expect(before).toMatchObject({ names: ['kodim23.png', 'kodim05.png'], lossRates: ['0.3', initial[0]] });

    await hideAndShow('Compare');
    await ready();
    expect(await shown()).toEqual(before);

    await reloadWindow(page);
    await ready();
    expect(await shown()).toEqual(before);
  });
});
