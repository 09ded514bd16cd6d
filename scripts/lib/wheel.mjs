import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from './run.mjs';

const root = resolve(import.meta.dirname, '../..');

/**
 * Builds the wheel of the Python package `tatok` into a folder. It is built from a copy, so that nothing is left in the checkout, and by a
 * pip of its own: a system's Python may have none.
 * @param {string} folder
 * @returns {Promise<string>} the wheel's file name
 */
export async function buildWheel(folder) {
  const work = await mkdtemp(join(tmpdir(), 'tatok-wheel-'));
  try {
    const windows = process.platform === 'win32';
    await run(windows ? 'python' : 'python3', ['-m', 'venv', join(work, 'venv')]);
    const python = join(work, 'venv', ...(windows ? ['Scripts', 'python.exe'] : ['bin', 'python']));
    const source = join(work, 'source');
    for (const path of ['pyproject.toml', 'tatok']) {
      await cp(join(root, 'models/training', path), join(source, path), {
        recursive: true,
        filter: (name) => !name.includes('__pycache__'),
      });
    }
    await run(python, ['-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', folder, source]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const [wheel] = (await readdir(folder)).filter((name) => /^tatok-.+\.whl$/.test(name));
  if (wheel === undefined) throw new Error(`pip left no wheel of tatok in ${folder}.`);
  return wheel;
}
