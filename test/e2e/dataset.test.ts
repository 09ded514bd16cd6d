import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, reloadWindow } from './vscode';

/** Which model it is, is of no matter here; this one is quick. */
const model = join(import.meta.dirname, '../fixtures/bundles/tiny');

/** Enough that the work can be cancelled while it goes on. */
const images = 500;

/** Small parts of a photograph, and a file that is no image. */
async function writePictures(folder: string): Promise<void> {
  const into = join(folder, 'pictures');
  await mkdir(into);
  const { data, info } = await sharp(join(folder, 'kodim05.png')).raw().toBuffer({ resolveWithObject: true });
  for (let i = 0; i < images - 1; i++) {
    await sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
      .extract({ left: (13 * i) % 680, top: (7 * i) % 430, width: 80, height: 72 })
      .toFile(join(into, `part-${String(i).padStart(3, '0')}.png`));
  }
  await writeFile(join(into, 'part-010-broken.png'), 'This is no image.\n');
}

describeInVSCode('A folder in VS Code', () => {
  const vscode = useVSCode({ settings: { 'tatok.model': model }, prepare: writePictures });

  it('is tokenized, cancelled, brought back by a reload, gone on with, and its images open in the inspector', async () => {
    const { page, folder } = vscode;
    const dataset = inspectorOf(page);
    const progress = () => dataset.getByTestId('progress').textContent();
    const counts = async () => {
      const text = await readFile(join(folder, 'pictures.tokens/dataset.json'), 'utf8');
      return (JSON.parse(text) as { counts: { rows: number; failed: number } }).counts;
    };

    await chooseInExplorer(page, 'pictures', 'Tokenize Folder…');
    await page.locator('.quick-input-list').getByRole('option', { name: 'pictures.tokens' }).click();
    await expect.poll(progress, { timeout: 120_000 }).toMatch(/^tokenizing: [1-9]\d* of 500 images/);
    await dataset.getByTestId('cancel').click();
    await expect.poll(progress, { timeout: 60_000 }).toMatch(/^stopped: /);
    const { rows } = await counts();
    expect(rows).toBeLessThan(images);
    await expect.poll(progress).toContain(`stopped: ${rows} of 500 images`);

    // The page hands its state over a moment after it changed.
    await page.waitForTimeout(500);
    await reloadWindow(page);
    await expect.poll(progress, { timeout: 60_000 }).toContain(`stopped: ${rows} of 500 images`);
    await dataset.getByTestId('resume').click();
    await expect.poll(progress, { timeout: 120_000 }).toContain('complete: 500 of 500 images, 1 failed');
    expect(await counts()).toEqual({ rows: images, failed: 1 });

    await dataset.getByTestId('selection-failed').click();
    const broken = dataset.getByTestId('row');
    await expect.poll(() => broken.count()).toBe(1);
    expect(await broken.textContent()).toContain('part-010-broken.pngThe file is not an image');
    await dataset.getByTestId('selection-all').click();
    await dataset.locator('.row-thumbnail img').first().waitFor();
    await dataset.getByTestId('row').filter({ hasText: 'part-003.png' }).click();
    await page.getByRole('tab', { name: 'part-003.png' }).waitFor();
    await settled(inspectorOf(page));
    expect(await inspectorOf(page).locator('h1').textContent()).toBe('part-003.png');
  });
});
