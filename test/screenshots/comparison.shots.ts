import type { FrameLocator } from 'playwright-core';
import { describe, it } from 'vitest';
import { chooseOverlay, chooseView } from '../e2e/inspector';
import { useVSCode } from '../e2e/suite';
import { chooseInExplorer, inspectorOf } from '../e2e/vscode';
import { keep } from './keep';

describe('a comparison', () => {
  const vscode = useVSCode({ settings: { 'workbench.colorTheme': 'Default Dark Modern' } });

  async function compared(comparison: FrameLocator): Promise<void> {
    const ready = '[data-testid="status"][data-state="ready"]';
    for (const side of ['left', 'right'])
      await comparison.getByTestId(side).locator(ready).waitFor({ state: 'attached', timeout: 600_000 });
  }

  it('beside each other', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Compare Tokenizations', { first: 'kodim05.png' });
    const comparison = inspectorOf(page);
    await compared(comparison);
    await chooseView(comparison, 'original');
    await chooseOverlay(comparison, 'entropy');
    await comparison.getByTestId('left').getByTestId('canvas').focus();
    for (const key of ['ArrowUp', 'ArrowRight']) await page.keyboard.press(key);
    await compared(comparison);
    await keep(page, 'compare');
  });
});
