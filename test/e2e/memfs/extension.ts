/** A file system in memory under the scheme `memfs`, with commands that copy files into it and out of it again. */
import * as vscode from 'vscode';

/** One folder of files. */
class MemoryFiles implements vscode.FileSystemProvider {
  private readonly files = new Map<string, Uint8Array>();
  private readonly changes = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
  readonly onDidChangeFile = this.changes.event;

  watch(): vscode.Disposable {
    return new vscode.Disposable(() => undefined);
  }

  stat(uri: vscode.Uri): vscode.FileStat {
    const stamps = { ctime: 0, mtime: 0 };
    if (uri.path === '/') return { ...stamps, type: vscode.FileType.Directory, size: 0 };
    return { ...stamps, type: vscode.FileType.File, size: this.readFile(uri).length };
  }

  readDirectory(): [string, vscode.FileType][] {
    return [...this.files.keys()].map((path) => [path.slice(1), vscode.FileType.File]);
  }

  readFile(uri: vscode.Uri): Uint8Array {
    const bytes = this.files.get(uri.path);
    if (bytes === undefined) throw vscode.FileSystemError.FileNotFound(uri);
    return bytes;
  }

  writeFile(uri: vscode.Uri, bytes: Uint8Array): void {
    const type = this.files.has(uri.path) ? vscode.FileChangeType.Changed : vscode.FileChangeType.Created;
    this.files.set(uri.path, bytes);
    this.changes.fire([{ type, uri }]);
  }

  delete(uri: vscode.Uri): void {
    this.files.delete(uri.path);
    this.changes.fire([{ type: vscode.FileChangeType.Deleted, uri }]);
  }

  createDirectory(uri: vscode.Uri): void {
    throw vscode.FileSystemError.NoPermissions(uri);
  }

  rename(uri: vscode.Uri): void {
    throw vscode.FileSystemError.NoPermissions(uri);
  }
}

/** With an authority: without one VS Code's dialogs would look on the machine that it runs on. */
const memory = vscode.Uri.parse('memfs://pictures/');

function workspaceFolder(): vscode.Uri {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  if (folder === undefined) throw new Error('there is no workspace');
  return folder.uri;
}

async function tokenizePhotograph(): Promise<void> {
  const photograph = vscode.Uri.joinPath(memory, 'photograph.png');
  await vscode.workspace.fs.copy(vscode.Uri.joinPath(workspaceFolder(), 'kodim07.png'), photograph);
  await vscode.commands.executeCommand('vscode.openWith', photograph, 'tatok.inspector');
}

async function copyToWorkspace(): Promise<void> {
  for (const [name] of await vscode.workspace.fs.readDirectory(memory)) {
    const target = vscode.Uri.joinPath(workspaceFolder(), 'memory', name);
    await vscode.workspace.fs.copy(vscode.Uri.joinPath(memory, name), target, { overwrite: true });
  }
}

export function activate({ subscriptions }: vscode.ExtensionContext): void {
  subscriptions.push(
    vscode.workspace.registerFileSystemProvider('memfs', new MemoryFiles(), { isCaseSensitive: true }),
    vscode.commands.registerCommand('memfs.tokenize', tokenizePhotograph),
    vscode.commands.registerCommand('memfs.save', copyToWorkspace),
  );
}
