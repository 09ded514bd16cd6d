/** Importing a tokenizer, from an environment without the Python package: a script stands for Python, pip and the importer. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { choosePath, dialog, line, message, press } from './cuda';
import { settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { inspectorOf, runCommand } from './vscode';
import { chosen } from '../webview/fixture/controls';

const bundle = join(import.meta.dirname, '../fixtures/bundles/fixed-16');

/** Its package is there once pip has been given a wheel that exists; an import leaves a bundle. */
const standIn = `#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/ran"
case "$1 $2 $3" in
  "-c "*) echo "3 12"; test -f "$here/installed" || { echo "PackageNotFoundError: tatok" >&2; exit 1; };;
  "-m pip install") for last; do :; done; test -f "$last" || exit 1; echo "Collecting torch"; touch "$here/installed";;
  "-m tatok import") echo "Assumed: nothing."; cp -r "${bundle}" "$7";;
  "-m tatok check") test -f "$4/manifest.json";;
  *) exit 2;;
esac
`;

async function bringPython(folder: string): Promise<void> {
  await mkdir(join(folder, '.venv/bin'), { recursive: true });
  await writeFile(join(folder, '.venv/bin/python'), standIn);
  await chmod(join(folder, '.venv/bin/python'), 0o755);
  await mkdir(join(folder, 'weights'));
  await writeFile(join(folder, 'weights/vq_ds16_c2i.pt'), '');
}

describeInVSCode('Importing a tokenizer in VS Code', () => {
  const vscode = useVSCode({ prepare: bringPython });

  it('installs the package, makes a model of a checkpoint and opens an image with it', async () => {
    const { page, folder } = vscode;
    await runCommand(page, 'TaTok: Import Tokenizer…');
    await line(page, 'the workspace’s .venv').click();
    await dialog(page).getByText('Install tatok').waitFor();
    await dialog(page).getByRole('button', { name: 'Install', exact: true }).click();
    await line(page, 'LlamaGen').click();
    await choosePath(page, join(folder, 'weights/vq_ds16_c2i.pt'), 'Import');
    await choosePath(page, join(folder, 'weights'), 'Make It Here');
    const made = join(folder, 'weights/llamagen-vq_ds16_c2i');
    await press(message(page).filter({ hasText: 'is a model now' }), 'Tokenize an Image…');
    await choosePath(page, join(folder, 'kodim23.png'), 'Tokenize');
    const inspector = inspectorOf(page);
    await settled(inspector);
    await expect.poll(() => chosen(inspector.getByTestId('model'))).toContain('fixed-16');
    const ran = await readFile(join(folder, '.venv/bin/ran'), 'utf8');
    expect(ran).toMatch(/^-m pip install .*\/python\/tatok-[\d.]+-py3-none-any\.whl$/m);
    expect(ran).toContain(`-m tatok import llamagen ${join(folder, 'weights/vq_ds16_c2i.pt')} --out ${made}\n`);
    expect(ran).toContain(`-m tatok check ${made}\n`);
  });
});
