import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { run } from '../../scripts/lib/run.mjs';

const root = join(import.meta.dirname, '../..');

/** Packs an extension of the tests, which is no part of ours, and returns the VSIX. @param name of its folder beside this file. */
export async function packExtension(name: 'memfs' | 'apiClient'): Promise<string> {
  const source = join(import.meta.dirname, name);
  const folder = join(root, '.cache/test', name);
  await mkdir(folder, { recursive: true });
  await cp(join(source, 'package.json'), join(folder, 'package.json'));
  await build({
    entryPoints: [join(source, 'extension.ts')],
    outfile: join(folder, 'extension.js'),
    bundle: true,
    platform: 'node',
    external: ['vscode'],
  });
  const vsce = join(root, 'node_modules/@vscode/vsce/vsce');
  const flags = ['--out', `${folder}.vsix`, '--allow-missing-repository', '--skip-license'];
  await run(process.execPath, [vsce, 'package', ...flags], { cwd: folder });
  return `${folder}.vsix`;
}
