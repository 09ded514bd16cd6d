import { beforeAll, describe, it } from 'vitest';
import { chooseOverlay, chooseView, readCanvas, settled } from '../e2e/inspector';
import { useVSCode } from '../e2e/suite';
import { chooseInExplorer, inspectorOf, runCommand } from '../e2e/vscode';
import type { Overlay, View } from '../../webview/state/viewState';
import { keep, long, thumbnailsDrawn } from './keep';
import { choose } from '../webview/fixture/controls';

describe('the inspector', () => {
  const vscode = useVSCode({
    settings: { 'workbench.colorTheme': 'Default Dark Modern' },
    // High enough for all plots.
    viewport: { width: 1400, height: 1120 },
  });

  beforeAll(async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await settled(inspectorOf(page), long);
    await point('ArrowUp', 'ArrowUp', 'ArrowRight', 'ArrowRight', 'ArrowRight');
  });

  /** Walks from the middle of the picture to a patch that readout and plots then speak of. */
  async function point(...keys: readonly string[]): Promise<void> {
    await inspectorOf(vscode.page).getByTestId('canvas').focus();
    for (const key of keys) await vscode.page.keyboard.press(key);
  }

  /** Keeps a picture once everything is computed and drawn. */
  async function show(name: string, view: View, overlay: Overlay): Promise<void> {
    const inspector = inspectorOf(vscode.page);
    await chooseView(inspector, view);
    await chooseOverlay(inspector, overlay);
    await settled(inspector, long);
    await inspector.getByTestId('influence-progress').waitFor({ state: 'detached', timeout: long });
    await thumbnailsDrawn(inspector);
    await inspector.getByTestId('canvas').focus();
    await readCanvas(inspector);
    await keep(vscode.page, name);
  }

  async function setLossRate(lossRate: string): Promise<void> {
    const inspector = inspectorOf(vscode.page);
    await inspector.getByTestId('loss-rate').fill(lossRate);
    await settled(inspector, long);
  }

  it('under every overlay', async () => {
    const inspector = inspectorOf(vscode.page);
    await show('entropy', 'original', 'entropy');
    await show('surprisal', 'original', 'surprisal');
    await setLossRate('0.5');
    await show('kept-dropped', 'original', 'kept');
    await chooseOverlay(inspector, 'attention');
    await inspector.getByTestId('global-7').click();
    await show('attention', 'original', 'attention');
    await show('influence', 'original', 'influence');
    // Pressed again, no token is isolated any more.
    await inspector.getByTestId('global-7').click();
  });

  it('in every view', async () => {
    await setLossRate('0.3');
    await show('reconstruction', 'reconstruction', 'none');
    await show('difference', 'difference', 'none');
    await show('swipe', 'swipe', 'none');
  });

  it('in tiles', async () => {
    const inspector = inspectorOf(vscode.page);
    await choose(inspector.getByTestId('crop-mode'), 'tiles at native resolution');
    await inspector.getByText('in 3×2 tiles').waitFor();
    await settled(inspector, long);
    await point('ArrowUp', 'ArrowUp');
    await show('tiles', 'original', 'entropy');
    await choose(inspector.getByTestId('crop-mode'), 'centre crop');
    await inspector.getByText('in 3×2 tiles').waitFor({ state: 'detached' });
    await settled(inspector, long);
  });

  it('in a panel of 300 pixels', async () => {
    const { page } = vscode;
    await runCommand(page, 'View: Toggle Primary Side Bar Visibility');
    await page.setViewportSize({ width: 348, height: 900 });
    await point('ArrowUp');
    await show('narrow', 'original', 'entropy');
  });
});
