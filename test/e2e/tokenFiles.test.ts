import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readBundle } from '../../src/bundle/manifest';
import { readTokens } from '../../src/export/npz';
import { numberOf, settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, openFromExplorer, reloadWindow, runCommand } from './vscode';

const root = join(import.meta.dirname, '../..');
/** Of the bundled model, with 41 of 256 patches kept. */
const tokens = join(root, 'models/training/notebooks/kodim23.tokens.json');

describeInVSCode('A token file', () => {
  const vscode = useVSCode({
    // In a browser VS Code saves by itself otherwise, and nothing is left to come back.
    settings: { 'files.autoSave': 'off' },
    prepare: async (folder) => {
      await cp(tokens, join(folder, 'kodim23.tokens.json'));
      const content = JSON.parse(await readFile(tokens, 'utf8')) as { model: object };
      const model = { ...content.model, name: 'elsewhere', hash: '0'.repeat(64) };
      await writeFile(join(folder, 'other.tokens.json'), JSON.stringify({ ...content, model }));
    },
  });
  const file = () => join(vscode.folder, 'kodim23.tokens.json');
  const page = () => inspectorOf(vscode.page);
  const kept = () => numberOf(page().getByTestId('kept-count'));
  const tab = () => vscode.page.getByRole('tab', { name: 'kodim23.tokens.json' });
  const isDirty = async () => (await tab().getAttribute('class'))?.split(' ').includes('dirty');

  it('opens with its picture beside it, and is edited and undone as VS Code does it', async () => {
    // A menu, because a file that is opened before the extension is known is text.
    await chooseInExplorer(vscode.page, 'kodim23.tokens.json', 'Open Tokens…');
    await settled(page());
    expect(await kept()).toBe(41);
    expect(await page().getByTestId('original').textContent()).toBe('original: kodim23.png');
    expect(await numberOf(page().getByTestId('psnr'))).toBeGreaterThan(15);
    expect(await page().getByTestId('loss-rate').count()).toBe(0);

    // The first key goes to the middle.
    await page().getByTestId('canvas').press('ArrowUp');
    await page().getByTestId('canvas').press('Control+Home');
    const { keep } = JSON.parse(await readFile(file(), 'utf8')) as { keep: number[] };
    const [key, changed] = keep[0] === 1 ? ['d', 40] : ['k', 42];
    await page().getByTestId('canvas').press(key);
    await expect.poll(kept).toBe(changed);
    await expect.poll(isDirty).toBe(true);
    await page().getByTestId('canvas').press('ControlOrMeta+z');
    await expect.poll(kept).toBe(41);
    await expect.poll(isDirty).toBe(false);
    await page().getByTestId('canvas').press('ControlOrMeta+Shift+z');
    await expect.poll(kept).toBe(changed);
    await settled(page());
  });

  it('comes back edited after the window is reloaded, and is saved', async () => {
    const edited = await kept();
    // VS Code writes a backup a moment after a change.
    await vscode.page.waitForTimeout(2500);
    await reloadWindow(vscode.page);
    await settled(page());
    expect(await kept()).toBe(edited);
    await expect.poll(isDirty).toBe(true);
    const before = await readFile(file(), 'utf8');
    expect(before).toBe(await readFile(tokens, 'utf8'));

    await page().getByTestId('canvas').click();
    await vscode.page.keyboard.press('ControlOrMeta+s');
    await expect.poll(isDirty).toBe(false);
    const { model } = await readBundle(join(root, 'models/tatok-s-256'));
    const saved = readTokens('kodim23.tokens.json', await readFile(file()), model);
    expect(saved.tokens.keep.reduce((sum, each) => sum + each, 0)).toBe(edited);
    expect(saved.edits.forcedKept.length + saved.edits.forcedDropped.length).toBe(1);
    await runCommand(vscode.page, 'View: Close All Editors');
  });

  it('of another model is refused with both names, and another model can be chosen', async () => {
    await openFromExplorer(vscode.page, 'other.tokens.json');
    const failure = page().getByTestId('failure');
    expect(await failure.locator('p').textContent()).toMatch(
      /^other\.tokens\.json has tokens of the model elsewhere .*, not of tatok-s-256 /,
    );
    await failure.getByTestId('action-chooseModel').waitFor();
  });
});
