import { describe, it } from 'vitest';
import { chooseOverlay, chooseView, readCanvas, settled } from '../e2e/inspector';
import { useVSCode } from '../e2e/suite';
import { chooseInExplorer, inspectorOf, runCommand } from '../e2e/vscode';
import { keepMoving, long, type MovingFrame } from './keep';

/** From nearly everything to nearly nothing but the global tokens. */
const lossRates = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];

describe('a drag of ε', () => {
  const vscode = useVSCode({
    settings: { 'workbench.colorTheme': 'Default Dark Modern' },
    viewport: { width: 1020, height: 720 },
  });

  it('drops patches, and the reconstruction follows', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    const inspector = inspectorOf(page);
    await settled(inspector, long);
    await runCommand(page, 'View: Toggle Primary Side Bar Visibility');
    await chooseView(inspector, 'reconstruction');
    await chooseOverlay(inspector, 'kept');
    const slider = inspector.getByTestId('loss-rate');
    const frames: MovingFrame[] = [];
    for (const [index, lossRate] of lossRates.entries()) {
      await slider.fill(`${lossRate}`);
      await settled(inspector, long);
      await readCanvas(inspector);
      const atAnEnd = index === 0 || index === lossRates.length - 1;
      frames.push({ png: await page.screenshot(), milliseconds: atAnEnd ? 1500 : 250 });
    }
    await keepMoving([...frames, ...frames.slice(1, -1).toReversed()], 'loss-rate');
  });
});
