import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Paths of source files under a folder, relative to the root, with those they import. */
async function importsOf(folder: string): Promise<Map<string, string[]>> {
  const names = await readdir(join(root, folder), { recursive: true });
  const files = names
    .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name));
  const entries = files.map(async (file): Promise<[string, string[]]> => {
    const { importedFiles } = ts.preProcessFile(await readFile(join(root, file), 'utf8'));
    const local = importedFiles.map(({ fileName }) => fileName).filter((name) => name.startsWith('.'));
    return [file, local.flatMap((name) => resolved(resolve(root, dirname(file), name)))];
  });
  return new Map(await Promise.all(entries));
}

function resolved(path: string): string[] {
  return ['.ts', '.tsx']
    .map((extension) => path + extension)
    .filter(existsSync)
    .map((file) => relative(root, file));
}

/** Folders that import each other in a circle, or lead into one: each in turn loses what imports nothing that is left. */
function circularFolders(imports: Map<string, string[]>): string[] {
  const folders = new Map<string, Set<string>>();
  for (const [file, imported] of imports) {
    const from = dirname(file);
    const others = folders.get(from) ?? new Set();
    for (const to of imported.map(dirname)) if (to !== from) others.add(to);
    folders.set(from, others);
  }
  for (;;) {
    const free = [...folders].filter(([, others]) => [...others].every((other) => !folders.has(other)));
    if (free.length === 0) return [...folders.keys()].sort();
    for (const [folder] of free) folders.delete(folder);
  }
}

describe.each(['src', 'webview'])('%s', (folder) => {
  it('has no folders that import each other in a circle', async () => {
    expect(circularFolders(await importsOf(folder))).toEqual([]);
  });

  it('has no two files of the same name', async () => {
    const names = [...(await importsOf(folder)).keys()].map((file) => basename(file).toLowerCase());
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it('says of every folder where its code runs', async () => {
    const readme = await readFile(join(root, folder, 'README.md'), 'utf8');
    for (const path of new Set([...(await importsOf(folder)).keys()].map(dirname))) {
      if (path !== folder) expect(readme, path).toContain(`\`${relative(folder, path)}/\``);
    }
  });
});

describe('the check for circles', () => {
  it('finds folders that import each other, also over a third', () => {
    const imports = new Map([
      ['a/1.ts', ['b/1.ts']],
      ['b/1.ts', ['c/1.ts']],
      ['b/2.ts', ['b/1.ts']],
      ['c/1.ts', ['a/2.ts', 'd/1.ts']],
      ['d/1.ts', []],
    ]);
    expect(circularFolders(imports)).toEqual(['a', 'b', 'c']);
  });
});
