// Runs the command line from a fresh checkout: bundles it when it is missing or older than its source, then hands over to it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from '../esbuild.mjs';

const root = join(import.meta.dirname, '..');
const caller = process.env['INIT_CWD'] ?? process.cwd();
const bundles = ['cli', 'inference'];

/**
 * Milliseconds of the last change; 0 for a file that is missing.
 * @param {string} path
 */
async function modified(path) {
  return (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
}

/** True if a bundle is missing or older than what it is made of. */
async function isStale() {
  const built = await Promise.all(bundles.map((name) => modified(`dist/${name}.js`)));
  const sources = (await readdir('src', { recursive: true })).map((name) => `src/${name}`);
  const changed = await Promise.all([...sources, 'package-lock.json', 'esbuild.mjs'].map(modified));
  const oldest = Math.min(...built.map((time) => time ?? 0));
  return oldest < Math.max(...changed.map((time) => time ?? 0));
}

/** Bundles aside and moves the files into place, so that another run at the same time never loads half a bundle. */
async function bundle() {
  const aside = join('dist', `.tokenize-${process.pid}`);
  await build({ only: bundles, outdir: aside });
  await mkdir('dist', { recursive: true });
  for (const name of await readdir(aside)) await rename(join(aside, name), join('dist', name));
  await rm(aside, { recursive: true });
}

process.chdir(root);
if (await isStale()) await bundle();
// npm runs scripts in the package's folder; relative image names mean the caller's.
const child = spawn(process.execPath, [join(root, 'dist/cli.js'), ...process.argv.slice(2)], {
  cwd: caller,
  stdio: 'inherit',
});
// A terminal interrupts the command line too, which decides when to end; this waits for it.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
const [status] = await once(child, 'exit');
process.exitCode = status ?? 1;
