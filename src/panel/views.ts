import * as vscode from 'vscode';
import { isImagePath } from '../host/imageFiles';
import type { CropMode } from '../method/types';

const viewKey = 'view.last';

/** What one inspector hands to the next, which shows another image in its place. */
export interface HandedView {
  /** A page's state as text, which pages alone read. */
  readonly view: string;
  readonly cropMode: CropMode | undefined;
}

/** How pages begin: as another one looked that the user left for this image, else as the last one looked. */
export class Views {
  private readonly handed = new Map<string, HandedView>();

  /** @param globalState keeps the last look for all workspaces. */
  constructor(private readonly globalState: Pick<vscode.Memento, 'get' | 'update'>) {}

  /** How the page of an image begins; undefined: as pages begin of themselves. What was handed to it is handed once. */
  beginning(uri: vscode.Uri): string | undefined {
    const handed = this.handed.get(uri.toString());
    this.handed.delete(uri.toString());
    return handed?.view ?? this.globalState.get<string>(viewKey);
  }

  /** The crop mode that was handed with a view; asked before {@link beginning}. */
  cropModeOf(uri: vscode.Uri): CropMode | undefined {
    return this.handed.get(uri.toString())?.cropMode;
  }

  hand(uri: vscode.Uri, handed: HandedView): void {
    this.handed.set(uri.toString(), handed);
  }

  remember(view: string): void {
    void this.globalState.update(viewKey, view);
  }
}

/** As people sort names: `2.png` before `10.png`. */
const byName = new Intl.Collator(undefined, { numeric: true });

/** The image after or before another in its folder, in the order of their names; undefined at the end, or where folders cannot be read. */
export async function neighbourOf(uri: vscode.Uri, which: 'next' | 'previous'): Promise<vscode.Uri | undefined> {
  const folder = vscode.Uri.joinPath(uri, '..');
  const own = uri.path.slice(uri.path.lastIndexOf('/') + 1);
  const entries = await Promise.resolve(vscode.workspace.fs.readDirectory(folder)).catch(() => []);
  const others = entries.flatMap(([name, type]) =>
    (type & vscode.FileType.File) !== 0 && isImagePath(name) && name !== own ? [name] : [],
  );
  const names = [...others, own].sort((a, b) => byName.compare(a, b) || (a < b ? -1 : 1));
  const target = names[names.indexOf(own) + (which === 'next' ? 1 : -1)];
  return target === undefined ? undefined : vscode.Uri.joinPath(folder, target);
}
