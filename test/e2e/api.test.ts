import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packExtension } from './packExtension';
import { describeInVSCode, useVSCode } from './suite';
import { inspectorOf, runCommand } from './vscode';

/** Which model it is, is of no matter here; this one is quick. */
const model = join(import.meta.dirname, '../fixtures/bundles/tiny');

describeInVSCode('The interface for other extensions in VS Code', () => {
  const vscode = useVSCode(async () => ({
    extensions: [await packExtension('apiClient')],
    settings: { 'tatok.model': model },
  }));

  it('tokenizes, opens an inspector, tells of its tokens and refuses wrong settings', async () => {
    const { page, folder } = vscode;
    await runCommand(page, 'Client: Use the Interface');
    const report = () =>
      readFile(join(folder, 'report.json'), 'utf8').then(
        (text) => JSON.parse(text) as object,
        () => ({}),
      );
    await expect.poll(report, { timeout: 60_000 }).toMatchObject({
      ...{ version: 1, same: true, model: 'tiny', provider: 'cpu' },
      refused: { code: 'bad-settings', message: expect.stringContaining('between 0 and 1') as string },
      uri: expect.stringMatching(/kodim07\.png$/) as string,
    });
    const { pixels, tokens, kept } = (await report()) as Record<'tokens' | 'kept', number> & { pixels: number[] };
    const [bytes = 0, width = 0, height = 0] = pixels;
    expect(bytes).toBe(3 * width * height);
    expect(tokens).toBeGreaterThan(kept);
    await inspectorOf(page).getByTestId('inspector').waitFor();
  });
});
