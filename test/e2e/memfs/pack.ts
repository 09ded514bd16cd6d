import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { run } from '../../../scripts/lib/run.mjs';

const root = join(import.meta.dirname, '../../..');

/** Packs the extension with a file system of its own, which is no part of ours, and returns the VSIX. */
export async function packMemoryFiles(): Promise<string> {
  const folder = join(root, '.cache/test/memfs');
  await mkdir(folder, { recursive: true });
  await cp(join(import.meta.dirname, 'package.json'), join(folder, 'package.json'));
  await build({
    entryPoints: [join(import.meta.dirname, 'extension.ts')],
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
