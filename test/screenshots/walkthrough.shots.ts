import { describe, it } from 'vitest';
import { chooseOverlay, chooseView, readCanvas, settled } from '../e2e/inspector';
import { useVSCode } from '../e2e/suite';
import { chooseInExplorer, inspectorOf, openMenuInExplorer, runCommand } from '../e2e/vscode';
import { keepForWalkthrough, long, type Box } from './keep';

/** About what a step of the walkthrough has room for, so that pictures are shown at their own size. */
const width = 420;

describe('the walkthrough', () => {
  const vscode = useVSCode({
    settings: { 'workbench.colorTheme': 'Default Dark Modern' },
    viewport: { width: 700, height: 800 },
    deviceScaleFactor: 2,
  });

  /** Where an element of the inspector lies in the window. */
  async function boxOf(testId: string): Promise<Box> {
    const box = await inspectorOf(vscode.page).getByTestId(testId).boundingBox();
    if (box === null) throw new Error(`${testId} is not shown`);
    return box;
  }

  it('begins in the Explorer', async () => {
    const { page } = vscode;
    const item = await openMenuInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await item.hover();
    const [entry, below] = [await item.boundingBox(), await page.getByRole('menuitem').nth(5).boundingBox()];
    const explorer = await page.locator('.explorer-folders-view').boundingBox();
    if (entry === null || below === null || explorer === null) throw new Error('the menu is not shown');
    await keepForWalkthrough(page, 'tokenize', {
      x: explorer.x,
      y: 0,
      width: entry.x + entry.width + 12 - explorer.x,
      height: below.y + below.height + 4,
    });
    await page.keyboard.press('Escape');
  });

  it('shows the heat map, and what the slider drops', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    const inspector = inspectorOf(page);
    await settled(inspector, long);
    await runCommand(page, 'View: Toggle Primary Side Bar Visibility');
    // The bar at the left and the borders of the editor take the rest.
    await page.setViewportSize({ width: width + 52, height: 1100 });
    await chooseView(inspector, 'original');
    await chooseOverlay(inspector, 'entropy');
    await readCanvas(inspector);
    await keepForWalkthrough(page, 'heat-map', await boxOf('canvas'));
    await chooseOverlay(inspector, 'kept');
    await inspector.getByTestId('loss-rate').fill('0.5');
    await inspector.getByTestId('loss-rate').blur();
    await settled(inspector, long);
    await readCanvas(inspector);
    const canvas = await boxOf('canvas');
    const slider = await boxOf('loss-rate');
    await keepForWalkthrough(page, 'threshold', { ...canvas, height: slider.y + slider.height + 6 - canvas.y });
  });
});
