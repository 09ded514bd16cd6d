/** Names and messages of others in the places where VS Code reads links and icons out of text. */
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import { choosePath, clearMessages, message } from './cuda';
import { settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf, runCommand, runCommandWith } from './vscode';
import { choose } from '../webview/fixture/controls';

/** Types into the open terminal: a link that works leaves a file in the workspace. */
const typed = encodeURIComponent(JSON.stringify({ text: 'touch ran\r' }));
const link = `[Show details](command:workbench.action.terminal.sendSequence?${typed})`;
const brokenImage = `x ${link}.png`;
const hostileModel = `$(flame) **bold** \`code\` <b>html</b> ${link} https://example.org`;
const bundle = join(import.meta.dirname, '../fixtures/bundles/tiny');

/** The text as a person reads it, without zero-width characters and with one kind of space. */
const read = async (locator: Locator) =>
  (await locator.textContent())?.replaceAll('\u2060', '').replace(/\s+/g, ' ') ?? '';

describeInVSCode('Text of others in VS Code', () => {
  const vscode = useVSCode({
    settings: { 'workbench.hover.delay': 100 },
    prepare: (folder) => writeFile(join(folder, brokenImage), 'not an image'),
  });

  it('is no link in a message: the name of a broken image runs no command', async () => {
    const { page, folder } = vscode;
    await chooseInExplorer(page, 'x [Show details]', 'Tokenize Image');
    await inspectorOf(page).getByTestId('failure').waitFor();
    await runCommand(page, 'TaTok: Copy View');
    const text = message(page).filter({ hasText: 'is not tokenized yet' }).locator('.notification-list-item-message');
    await text.waitFor();
    expect(await read(text)).toBe(`${brokenImage} is not tokenized yet; try again when it is.`);

    await runCommand(page, 'Terminal: Create New Terminal');
    const terminal = page.locator('.terminal-wrapper.active .xterm-helper-textarea');
    await terminal.waitFor({ state: 'attached', timeout: 60_000 });
    const links = text.locator('a');
    await ((await links.count()) > 0 ? links.first() : text).click();
    // The terminal obeys in order.
    await terminal.focus();
    await page.keyboard.type('touch after\n');
    const exists = (file: string) =>
      stat(join(folder, file)).then(
        () => true,
        () => false,
      );
    await expect.poll(() => exists('after'), { timeout: 60_000 }).toBe(true);
    expect(await exists('ran')).toBe(false);
    expect(await links.count()).toBe(0);
    await clearMessages(page);
    await runCommand(page, 'View: Close All Editors');
  });

  it('is no icon, link or Markdown in the hover and the lists that name a model', async () => {
    const { page, folder } = vscode;
    const directory = join(folder, '../hostile');
    await cp(bundle, directory, { recursive: true });
    const manifest = join(directory, 'manifest.json');
    const fields = JSON.parse(await readFile(manifest, 'utf8')) as Record<string, unknown>;
    await writeFile(manifest, JSON.stringify({ ...fields, name: hostileModel, version: '1.0\n\n# title' }));
    await vscode.configure({ 'tatok.model': directory });
    const inspector = inspectorOf(page);
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await settled(inspector);

    await page.locator('.statusbar-item').filter({ hasText: 'TaTok: CPU' }).hover();
    const hover = page.locator('.monaco-hover').filter({ hasText: 'Runs on' });
    await hover.waitFor();
    expect(await read(hover)).toContain(`Model ${hostileModel} 1.0 # title`);
    expect(await hover.locator('strong').allTextContents()).toEqual(expect.arrayContaining(['Model', 'Runs on']));
    expect((await hover.locator('strong').allTextContents()).join()).not.toContain('bold');
    expect(await hover.locator('a, code, b, h1, .codicon-flame').count()).toBe(0);
    await page.mouse.move(700, 300);

    // The menu remembers a model that is chosen; the hostile one is then another than the one in use.
    await choose(inspector.getByTestId('model'), 'tatok-s-256');
    await settled(inspector);
    await runCommandWith(page, 'TaTok: Compare Tokenizations', 'With another model…');
    const line = page.locator('.quick-input-list').getByRole('option').filter({ hasText: 'Show details' });
    await line.waitFor();
    expect(await read(line.locator('.label-name'))).toBe(`${hostileModel} (hostile)`);
    expect(await line.locator('a[href], .codicon-flame').count()).toBe(0);
    await page.keyboard.press('Escape');
  });

  it('is no link in an error that names a folder', async () => {
    const { page, folder } = vscode;
    const directory = join(folder, `y ${link}`);
    await mkdir(directory);
    await writeFile(join(directory, 'manifest.json'), '{');
    await runCommandWith(page, 'TaTok: Compare Tokenizations', 'With another model…', 'Choose folder…');
    await choosePath(page, directory, 'Use Model');
    const text = message(page).filter({ hasText: 'is not valid JSON' }).locator('.notification-list-item-message');
    await text.waitFor();
    expect(await read(text)).toContain(`${join(directory, 'manifest.json')} is not valid JSON. Choose the folder`);
    expect(await text.locator('a').count()).toBe(0);
  });
});
