import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runNpm } from './run.mjs';

const root = resolve(import.meta.dirname, '../..');

/**
 * Installs the locked packages of scripts/<name> below .cache/, once, and returns the folder. They are programs that tests
 * and `npm start` run, too large to be every contributor's devDependencies.
 * @param {string} name
 * @param {(directory: string) => Promise<void>} [prepare] what is left to do after the installation
 */
export async function fetched(name, prepare) {
  const source = join(root, 'scripts', name);
  const directory = join(root, '.cache', name);
  const complete = join(directory, '.complete');
  const lock = await readFile(join(source, 'package-lock.json'), 'utf8');
  if ((await readFile(complete, 'utf8').catch(() => '')) === lock) return directory;
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) await cp(join(source, file), join(directory, file));
  // Their engines are ranges of Node: one brings its own Node, the other runs on older ones as well.
  await runNpm(['ci', '--ignore-scripts', '--no-engine-strict', '--no-audit', '--no-fund'], { cwd: directory });
  await prepare?.(directory);
  await writeFile(complete, lock);
  return directory;
}
