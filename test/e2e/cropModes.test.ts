import { beforeAll, expect, it } from 'vitest';
import { chooseOverlay, chooseView, colours, difference, numberOf, readCanvas, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf } from './vscode';
import { choose } from '../webview/fixture/controls';

describeInVSCode('Crop modes in VS Code', () => {
  const vscode = useVSCode();

  beforeAll(async () => {
    await chooseInExplorer(vscode.page, 'kodim23.png', 'Tokenize Image');
    await settled(inspectorOf(vscode.page));
  });

  /** Counts of a photograph of 768×512 as the panel says them. */
  async function counts() {
    const inspector = inspectorOf(vscode.page);
    return {
      dimensions: (await inspector.getByTestId('dimensions').innerText()).split('\n')[0]?.trim(),
      kept: await numberOf(inspector.getByTestId('kept-count')),
      total: await numberOf(inspector.getByTestId('total-tokens')),
    };
  }

  it('fit the whole picture, whose padding has no tokens', async () => {
    const inspector = inspectorOf(vscode.page);
    await choose(inspector.getByTestId('crop-mode'), 'fit with padding');
    await inspector.getByText('→ 256×171').waitFor();
    await settled(inspector);
    await inspector.getByTestId('loss-rate').fill('0');
    await settled(inspector);
    // 171 rows of pixels are 11 rows of 16 patches, of which the last is padding in part.
    expect(await counts()).toMatchObject({ kept: 11 * 16, total: 11 * 16 + 32 });
  });

  it('tile the picture at its own resolution', async () => {
    const inspector = inspectorOf(vscode.page);
    await choose(inspector.getByTestId('crop-mode'), 'tiles at native resolution');
    await inspector.getByText('in 3×2 tiles').waitFor();
    await settled(inspector);
    expect(await counts()).toMatchObject({ kept: 6 * 256, total: 6 * (256 + 32) });
    await chooseView(inspector, 'original');
    await chooseOverlay(inspector, 'none');
    const plain = await readCanvas(inspector);
    await chooseOverlay(inspector, 'entropy');
    const entropy = await readCanvas(inspector);
    expect(colours(plain)).toBeGreaterThan(100);
    expect(difference(plain, entropy)).toBeGreaterThan(10);
    await inspector.getByTestId('loss-rate').fill('0.5');
    await settled(inspector);
    const { kept, total } = await counts();
    expect(kept).toBeLessThan(6 * 256);
    expect(total).toBe(kept + 6 * 32);
  });
});
