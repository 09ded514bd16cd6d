import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { chooseOverlay, chooseView, colours, difference, dragRange, numberOf, readCanvas, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, runCommand, runCommandWith } from './vscode';

describeInVSCode('Tokenize Image in VS Code', () => {
  const vscode = useVSCode({ settings: { 'workbench.colorTheme': 'Default Dark Modern' } });

  const seconds = (start: number) => `${((performance.now() - start) / 1000).toFixed(2)} s`;

  it('opens an inspector from the Explorer and draws the entropy overlay', async () => {
    const inspector = inspectorOf(vscode.page);
    await chooseInExplorer(vscode.page, 'kodim23.png', 'Tokenize Image');
    const start = performance.now();
    await inspector.getByTestId('colour-bar').waitFor();
    console.log(`cold: first overlay ${seconds(start)} after the menu`);
    await settled(inspector);
    await chooseView(inspector, 'original');
    await chooseOverlay(inspector, 'none');
    const plain = await readCanvas(inspector);
    await chooseOverlay(inspector, 'entropy');
    const entropy = await readCanvas(inspector);
    expect(colours(plain), 'the photograph is drawn').toBeGreaterThan(100);
    expect(difference(plain, entropy), 'the overlay changes the picture').toBeGreaterThan(10);
  });

  it('draws kept and dropped patches and the attention of global tokens', async () => {
    const inspector = inspectorOf(vscode.page);
    const entropy = await readCanvas(inspector);
    await chooseOverlay(inspector, 'kept');
    const kept = await readCanvas(inspector);
    await chooseOverlay(inspector, 'attention');
    await settled(inspector);
    await expect.poll(async () => difference(kept, await readCanvas(inspector))).toBeGreaterThan(3);
    expect(difference(entropy, kept)).toBeGreaterThan(3);
    const attention = await readCanvas(inspector);
    expect(difference(entropy, attention)).toBeGreaterThan(3);
    await inspector.getByTestId('global-3').click();
    await expect.poll(async () => difference(attention, await readCanvas(inspector))).toBeGreaterThan(0.5);
  });

  it('computes the influence of global tokens, isolated ones first, telling how far it is, until it is stopped', async () => {
    const inspector = inspectorOf(vscode.page);
    await chooseOverlay(inspector, 'influence');
    const progress = inspector.getByTestId('influence-progress');
    await expect.poll(() => numberOf(progress), { timeout: 60_000 }).toBeGreaterThan(0);
    expect(await progress.textContent()).toMatch(/^\d+ of 32$/);
    /** The picture under one token's map, once that is there. */
    const isolate = async (token: number) => {
      const thumbnail = inspector.getByTestId(`global-${token}`);
      await thumbnail.click();
      expect(await inspector.getByTestId('isolated').textContent()).toBe(`token ${token}`);
      const columns = () => thumbnail.locator('canvas').evaluate((canvas) => (canvas as HTMLCanvasElement).width);
      await expect.poll(columns, { timeout: 60_000 }).toBe(16);
      return readCanvas(inspector);
    };
    const [one, other] = [await isolate(30), await isolate(31)];
    expect(difference(one, other)).toBeGreaterThan(0.5);
    await inspector.getByTestId('influence-cancel').click();
    await inspector.getByTestId('influence-continue').waitFor();
    expect(await numberOf(progress)).toBeLessThan(32);
    await inspector.getByTestId('global-31').click();
    expect(await inspector.getByTestId('isolated').textContent()).toBe('mean of all');
    expect(difference(other, await readCanvas(inspector))).toBeGreaterThan(0.5);
  });

  it('recounts while the slider is dragged, and the reconstruction follows', async () => {
    const inspector = inspectorOf(vscode.page);
    await chooseView(inspector, 'reconstruction');
    await chooseOverlay(inspector, 'none');
    await settled(inspector);
    const kept = inspector.getByTestId('kept-count');
    const range = inspector.getByTestId('loss-rate');
    await dragRange(range, 0);
    await settled(inspector);
    const before = {
      kept: await numberOf(kept),
      psnr: await numberOf(inspector.getByTestId('psnr')),
      total: await numberOf(inspector.getByTestId('total-tokens')),
      pixels: await readCanvas(inspector),
    };
    expect(before.kept).toBe(256);
    expect(before.total).toBe(288);
    await dragRange(range, 0.6, async () => {
      expect(await numberOf(kept), 'counted while the mouse is down').toBeLessThan(before.kept);
    });
    await expect.poll(() => numberOf(inspector.getByTestId('psnr')), { timeout: 20_000 }).not.toBe(before.psnr);
    await settled(inspector);
    expect(await numberOf(inspector.getByTestId('total-tokens'))).toBe((await numberOf(kept)) + 32);
    expect(difference(before.pixels, await readCanvas(inspector))).toBeGreaterThan(1);
  });

  it('follows the theme', async () => {
    const inspector = inspectorOf(vscode.page);
    await chooseView(inspector, 'original');
    await chooseOverlay(inspector, 'entropy');
    const text = () => inspector.locator('body').evaluate((body) => getComputedStyle(body).color);
    const dark = { text: await text(), pixels: await readCanvas(inspector) };
    await runCommand(vscode.page, 'Preferences: Toggle between Light/Dark Themes');
    await inspector.locator('body.vscode-light').waitFor();
    await expect.poll(text).not.toBe(dark.text);
    // The colours of the map are the data's, whatever the theme.
    expect(difference(dark.pixels, await readCanvas(inspector))).toBeLessThan(3);
  });

  it('opens the next photograph while the model is warm', async () => {
    await runCommand(vscode.page, 'View: Close Editor');
    const inspector = inspectorOf(vscode.page);
    await inspector.getByTestId('canvas').waitFor({ state: 'detached' });
    await chooseInExplorer(vscode.page, 'kodim07.png', 'Tokenize Image');
    const start = performance.now();
    await inspector.getByTestId('colour-bar').waitFor();
    console.log(`warm: first overlay ${seconds(start)} after the menu`);
    await settled(inspector);
    expect(await inspector.locator('h1').textContent()).toBe('kodim07.png');
  });

  it('exports the view and the tokens beside the image, through the dialog of VS Code', async () => {
    const { page, folder } = vscode;
    const inspector = inspectorOf(page);
    const path = page.locator('.quick-input-widget input[type="text"]');
    await inspector.getByTestId('export').click();
    await inspector.getByTestId('export-view.png').click();
    await expect.poll(() => path.inputValue(), { timeout: 20_000 }).toBe(join(folder, 'kodim07.view.png'));
    await page.keyboard.press('Enter');
    await inspector.getByText('Saved kodim07.view.png').waitFor();
    expect((await sharp(join(folder, 'kodim07.view.png')).metadata()).height).toBeGreaterThan(1536);

    await runCommandWith(page, 'TaTok: Export…', 'Tokens as JSON');
    await expect.poll(() => path.inputValue(), { timeout: 20_000 }).toBe(join(folder, 'kodim07.tokens.json'));
    await page.keyboard.press('Enter');
    await inspector.getByText('Saved kodim07.tokens.json').waitFor();
    const tokens = JSON.parse(await readFile(join(folder, 'kodim07.tokens.json'), 'utf8')) as Record<string, unknown[]>;
    expect(tokens['globalCodes']).toHaveLength(32);
    expect(tokens['keep']?.filter((kept) => kept === 1)).toHaveLength(
      await numberOf(inspector.getByTestId('kept-count')),
    );
  });

  it('copies the view', async () => {
    const { page } = vscode;
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await runCommand(page, 'TaTok: Copy View');
    const said = inspectorOf(page).locator('[data-testid="export-said"]:not(:empty), [data-testid="failure"]');
    await expect.poll(() => said.first().textContent(), { timeout: 10_000 }).toBe('View copied');
  });

  it('names the provider in the status bar', async () => {
    await vscode.page.locator('.statusbar-item').filter({ hasText: 'TaTok: CPU' }).waitFor();
  });
});
