import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import { packedExtension } from './vsix';

/**
 * Packs the extension with some of its bundles changed: what ships has no switches that only tests would use.
 *
 * @param name of the VSIX file to write, without its extension.
 * @returns where it is.
 */
export async function alteredExtension(
  name: string,
  bundles: readonly ('extension' | 'inference' | 'sessionThread')[],
  alter: (code: string) => string,
): Promise<string> {
  const files = unzipSync(await readFile(await packedExtension()));
  for (const bundle of bundles) {
    const path = `extension/dist/${bundle}.js`;
    const code = files[path];
    if (code === undefined) throw new Error(`There is no ${path} in the packed extension`);
    files[path] = strToU8(alter(strFromU8(code)));
  }
  const vsix = join('.cache', 'test', `${name}.vsix`);
  await writeFile(vsix, zipSync(files, { level: 0 }));
  return vsix;
}

/** Replaces what must be there exactly once. */
export function replaceOnce(text: string, old: string, replacement: string): string {
  const parts = text.split(old);
  if (parts.length !== 2) throw new Error(`${old} is there ${parts.length - 1} times`);
  return parts.join(replacement);
}
