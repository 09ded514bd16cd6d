/** The picture that tokens were made of: nothing but its name or its hash is known of it. */
import { createHash } from 'node:crypto';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import * as vscode from 'vscode';
import { imageExtensions, isImagePath } from '../host/imageFiles';
import { mostFileBytes } from '../method/imageLimits';
import { readImage } from '../tokens/inputs';

/** An image file in its encoded form. */
export interface Original {
  readonly name: string;
  readonly file: Uint8Array;
}

/** Parts of names that the command line and exports put after the picture's own; `cat.input.png` is what the model saw of it. */
const ending = /\.(tokens\.json|json|npz)$/i;

/** The image beside a token file that has its name: `cat.png` or `cat.input.png` beside `cat.tokens.json`. */
export async function originalBeside(tokens: vscode.Uri): Promise<Original | undefined> {
  const stem = nameOf(tokens).replace(ending, '');
  const folder = vscode.Uri.joinPath(tokens, '..');
  const entries = await Promise.resolve(vscode.workspace.fs.readDirectory(folder)).catch(() => []);
  const names = entries.filter(([, type]) => (type & vscode.FileType.File) !== 0).map(([name]) => name);
  const wanted = [stem, ...[stem, `${stem}.input`].flatMap((of) => imageExtensions.map((each) => `${of}.${each}`))];
  const found = wanted.flatMap((want) => names.find((name) => isImagePath(name) && equalNames(name, want)) ?? []);
  for (const name of found) {
    const uri = vscode.Uri.joinPath(folder, name);
    try {
      const { size } = await vscode.workspace.fs.stat(uri);
      if (size <= mostFileBytes) return { name, file: await vscode.workspace.fs.readFile(uri) };
    } catch {
      // It may have been deleted meanwhile, or must not be read.
    }
  }
  return undefined;
}

/** Extensions are written in either case. */
function equalNames(a: string, b: string): boolean {
  const stem = (name: string) => name.slice(0, name.lastIndexOf('.') + 1);
  const extension = (name: string) => name.slice(name.lastIndexOf('.') + 1).toLowerCase();
  return stem(a) === stem(b) && extension(a) === extension(b);
}

/**
 * The image of a row, where a data set's sources still have it: the one with the row's hash.
 *
 * @param folder of the data set. @param sources as `dataset.json` has them, relative to the folder around it.
 */
export async function originalOfRow(
  folder: string,
  sources: readonly string[],
  { id, path }: { readonly id: string | null; readonly path: string },
): Promise<Original | undefined> {
  if (id === null || path === '') return undefined;
  const around = dirname(folder);
  const roots = [...sources.flatMap((source) => [resolve(around, source), dirname(resolve(around, source))]), around];
  for (const root of new Set(roots)) {
    const file = isAbsolute(path) ? path : join(root, path);
    // A path out of a data set leads into the folders of its sources alone.
    if (!isImagePath(file) || !file.startsWith(root.endsWith(sep) ? root : root + sep)) continue;
    const bytes = await readImage(file).catch(() => undefined);
    if (bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === id) {
      return { name: path, file: bytes };
    }
  }
  return undefined;
}

function nameOf({ path }: vscode.Uri): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
