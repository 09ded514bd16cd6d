import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import { TatokError } from '../method/errors';
import { requireFileSize } from '../method/imageLimits';

/** An image file of any file system: its bytes, and word of when they may have changed. */
export class ImageFile extends Disposable {
  private readonly changed = this.register(new vscode.EventEmitter<void>());
  /** Fires when the file may have been written, deleted or come back. */
  readonly onDidChange = this.changed.event;

  constructor(readonly uri: vscode.Uri) {
    super();
    // Watches the folder and compares: a file name may hold glob characters.
    const folder = vscode.Uri.joinPath(uri, '..');
    const watcher = this.register(vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(folder, '*')));
    const fire = (touched: vscode.Uri): void => {
      if (touched.toString() === uri.toString()) this.changed.fire();
    };
    this.register(watcher.onDidChange(fire));
    this.register(watcher.onDidCreate(fire));
    this.register(watcher.onDidDelete(fire));
  }

  get name(): string {
    return nameOf(this.uri);
  }

  /** @throws as {@link readImage}. */
  read(): Promise<Uint8Array> {
    return readImage(this.uri);
  }
}

export function nameOf({ path }: vscode.Uri): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/**
 * @throws {vscode.FileSystemError} when the file is missing or may not be read.
 * @throws TatokError for a pipe or a device, whose reading may never end, and for a file that is too large.
 */
export async function readImage(uri: vscode.Uri): Promise<Uint8Array> {
  const { size, type } = await vscode.workspace.fs.stat(uri);
  if (uri.scheme === 'file' && (type & (vscode.FileType.File | vscode.FileType.Directory)) === 0) {
    throw new TatokError(
      'image-unreadable',
      `${nameOf(uri)} is a pipe or a device, not an image.`,
      'Copy what it gives into a file.',
    );
  }
  requireFileSize(size);
  return vscode.workspace.fs.readFile(uri);
}
