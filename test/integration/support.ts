import { join } from 'node:path';
import { build } from '../../esbuild.mjs';

const root = join(import.meta.dirname, '../..');

export const modelDirectory = join(root, 'models/tatok-s-256');

/** A photograph of 768×512 pixels that ships with the project. */
export const sample = (name: string) => join(root, 'media/samples', name);

/** Bundles the command line and the inference process for one test file; the folder of both. */
export async function bundleFor(test: string): Promise<string> {
  const outdir = join(root, '.cache/integration', test);
  await build({ only: ['cli', 'inference'], outdir });
  return outdir;
}
