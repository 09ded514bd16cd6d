import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeInVSCode, useVSCode } from './suite';
import { inspectorOf, runCommandWith } from './vscode';
import manifest from '../../package.json';

const root = join(import.meta.dirname, '../..');

describeInVSCode('The walkthrough in VS Code', () => {
  const vscode = useVSCode();

  it.each(manifest.contributes.walkthroughs)('$id: shows the picture of every step, legibly', async (walkthrough) => {
    const { page } = vscode;
    await runCommandWith(page, 'Welcome: Open Walkthrough...', walkthrough.title);
    for (const { title, media } of walkthrough.steps) {
      await page.locator('.getting-started-step').filter({ hasText: title }).click();
      const alt = /!\[([^\]]+)\]/.exec(await readFile(join(root, media.markdown), 'utf8'))?.[1] ?? '';
      // Beside the steps, in a page of its own.
      const picture = inspectorOf(page).getByAltText(alt);
      const shown = () =>
        picture.evaluate((element) => {
          const { naturalWidth, width } = element as HTMLImageElement;
          const { clientWidth, scrollWidth } = document.documentElement;
          return { overflow: scrollWidth - clientWidth, scale: naturalWidth > 0 ? width / naturalWidth : 0 };
        });
      await expect.poll(async () => (await shown()).scale, { timeout: 30_000 }).toBeGreaterThan(0);
      const { overflow, scale } = await shown();
      // They are taken at two pixels for each of the window's, and small print stays legible at that size only.
      expect(scale, title).toBeGreaterThan(0.45);
      expect(overflow, title).toBe(0);
    }
  });
});
