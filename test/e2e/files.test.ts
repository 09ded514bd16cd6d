import { copyFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { settled } from './inspector';
import { packExtension } from './packExtension';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, runCommand } from './vscode';

/** Which model it is, is of no matter here; this one is quick. */
const model = join(import.meta.dirname, '../fixtures/bundles/tiny');

describeInVSCode('Image files in VS Code', () => {
  const vscode = useVSCode(async () => ({
    extensions: [await packExtension('memfs')],
    settings: { 'tatok.maxMegapixels': 0.5, 'tatok.model': model },
  }));

  it('are tokenized again when they change, and said to be deleted when they are', async () => {
    const { page, folder } = vscode;
    const inspector = inspectorOf(page);
    const [file, other] = [join(folder, 'kodim15.png'), join(folder, 'kodim05.png')];
    const dimensions = inspector.getByTestId('dimensions');
    await chooseInExplorer(page, 'kodim15.png', 'Tokenize Image');
    await settled(inspector);
    expect(await dimensions.textContent()).toContain('768×512');
    const psnr = await inspector.getByTestId('psnr').textContent();

    await sharp(other).resize(300, 200).toFile(file);
    await expect.poll(() => dimensions.textContent(), { timeout: 30_000 }).toContain('300×200');
    await settled(inspector);
    expect(await inspector.getByTestId('psnr').textContent()).not.toBe(psnr);

    await rm(file);
    await inspector.getByText('kodim15.png was deleted or moved.').waitFor();
    await copyFile(other, file);
    await inspector.getByTestId('failure').waitFor({ state: 'detached' });
    await expect.poll(() => dimensions.textContent(), { timeout: 30_000 }).toContain('768×512');
    await settled(inspector);
    await runCommand(page, 'View: Close All Editors');
  });

  it('above the limit of megapixels are opened anyway when asked to', async () => {
    const { page, folder } = vscode;
    const inspector = inspectorOf(page);
    await sharp(join(folder, 'kodim05.png')).resize(1200, 800).toFile(join(folder, 'large.png'));
    await chooseInExplorer(page, 'large.png', 'Tokenize Image');
    await inspector.getByText('The image has 1200×800 pixels, more than the limit of 0.5 megapixels.').waitFor();
    await inspector.getByTestId('action-openAnyway').click();
    await settled(inspector);
    expect(await inspector.getByTestId('dimensions').textContent()).toContain('1200×800');
    await runCommand(page, 'View: Close All Editors');
  });

  it('of another file system are read from it, and exports written to it', async () => {
    const { page, folder } = vscode;
    const inspector = inspectorOf(page);
    await runCommand(page, 'Memory: Tokenize a Photograph');
    await settled(inspector);
    expect(await inspector.locator('h1').textContent()).toBe('photograph.png');
    await inspector.getByTestId('export').click();
    await inspector.getByTestId('export-tokens.json').click();
    const path = page.locator('.quick-input-widget input[type="text"]');
    await expect.poll(() => path.inputValue(), { timeout: 20_000 }).toMatch(/\/photograph\.tokens\.json$/);
    await page.keyboard.press('Enter');
    await inspector.getByText('Saved photograph.tokens.json').waitFor();
    await runCommand(page, 'Memory: Copy Files to the Workspace');
    const tokens = join(folder, 'memory/photograph.tokens.json');
    await expect.poll(() => readFile(tokens, 'utf8').catch(() => ''), { timeout: 20_000 }).toContain('"globalCodes"');
  });
});
