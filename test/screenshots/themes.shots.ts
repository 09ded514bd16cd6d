import { describe, it } from 'vitest';
import { chooseView, readCanvas, settled } from '../e2e/inspector';
import { chooseInExplorer, inspectorOf, startVSCode } from '../e2e/vscode';
import { keep, long, thumbnailsDrawn } from './keep';

describe('the inspector with its rate–distortion curve', () => {
  it.each([
    ['inspector-dark', 'Default Dark Modern'],
    ['inspector-light', 'Default Light Modern'],
    ['inspector-contrast-dark', 'Default High Contrast'],
    ['inspector-contrast-light', 'Default High Contrast Light'],
  ])('%s', async (name, theme) => {
    const viewport = { width: 1400, height: 1120 };
    await using vscode = await startVSCode({ settings: { 'workbench.colorTheme': theme }, viewport });
    const { page } = vscode;
    const inspector = inspectorOf(page);
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await settled(inspector, long);
    await chooseView(inspector, 'original');
    await inspector.getByTestId('rate-compute').click();
    await inspector.getByTestId('rate-progress').waitFor();
    await inspector.getByTestId('rate-progress').waitFor({ state: 'detached', timeout: long });
    await thumbnailsDrawn(inspector);
    await inspector.getByTestId('canvas').focus();
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowRight', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key);
    await readCanvas(inspector);
    await keep(page, name);
  });
});
