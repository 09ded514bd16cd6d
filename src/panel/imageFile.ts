import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';

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
    return this.uri.path.slice(this.uri.path.lastIndexOf('/') + 1);
  }

  /** @throws {vscode.FileSystemError} when the file is missing or may not be read. */
  async read(): Promise<Uint8Array> {
    return vscode.workspace.fs.readFile(this.uri);
  }
}
