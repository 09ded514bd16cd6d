/** What VS Code asks of the editor of token files, and what it is told. */
import { beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import type { EditorServices } from '../../../src/panel/inspectorPanel';
import { TokensDocument, type TokensEdit } from '../../../src/panel/tokensDocument';
import { TokensEditor } from '../../../src/panel/tokensEditor';
import * as protocol from '../../../src/protocol/document';
import { plain } from '../../../src/host/text';
import { FakeWebview } from './fakeWebview';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  const registered = { dispose: () => undefined };
  const watcher = {
    ...registered,
    onDidChange: () => registered,
    onDidCreate: () => registered,
    onDidDelete: () => registered,
  };
  return {
    ...mock,
    RelativePattern: vi.fn(),
    window: { ...mock.window, registerCustomEditorProvider: () => registered },
    workspace: {
      ...mock.workspace,
      fs: { readFile: vi.fn(), writeFile: vi.fn(), delete: vi.fn() },
      createFileSystemWatcher: () => watcher,
    },
  };
});

const uri = vscode.Uri.parse('memfs:/photos/cat.tokens.json');
const never = () => ({ dispose: () => undefined });
const services = {
  ...{ extensionUri: vscode.Uri.parse('file:///extension'), models: { chosenFor: () => undefined } },
  ...{ inference: { acquire: never }, onDidRestart: never, onDidLoad: never },
  ...{ configuration: { onDidChange: never }, status: { hide: vi.fn() }, log: { error: vi.fn(), warn: vi.fn() } },
} as unknown as EditorServices;

beforeEach(() => void vi.mocked(vscode.commands.executeCommand).mockReset());

it('passes the changes of a document on, and saves, reverts and backs up what VS Code says', async () => {
  const editor = new TokensEditor(services);
  const document = await editor.openCustomDocument(uri, { backupId: undefined });
  const events: unknown[] = [];
  editor.onDidChangeCustomDocument((event) => events.push(event));
  const edit: TokensEdit = { label: plain`kept`, undo: vi.fn(), redo: vi.fn() };
  (document as unknown as { changedByHand: vscode.EventEmitter<TokensEdit> }).changedByHand.fire(edit);
  expect(events).toEqual([{ document, ...edit }]);

  const [save, write, revert] = [
    vi.spyOn(document, 'save').mockResolvedValue(),
    vi.spyOn(document, 'write').mockResolvedValue(),
    vi.spyOn(document, 'revert').mockReturnValue(),
  ];
  await editor.saveCustomDocument(document);
  const [other, destination] = [vscode.Uri.parse('memfs:/other.json'), vscode.Uri.parse('file:///backups/1')];
  await editor.saveCustomDocumentAs(document, other);
  await editor.revertCustomDocument(document);
  const backup = await editor.backupCustomDocument(document, { destination });
  expect([save.mock.calls.length, revert.mock.calls.length]).toEqual([1, 1]);
  expect(write.mock.calls).toEqual([[other], [destination]]);
  expect(backup.id).toBe('file:///backups/1');
  vi.mocked(vscode.workspace.fs.delete).mockRejectedValueOnce(new Error('it is gone already'));
  backup.delete();
  expect(vscode.workspace.fs.delete).toHaveBeenCalledWith(destination);
});

it('opens a backup in place of the file', async () => {
  vi.mocked(vscode.workspace.fs.readFile).mockResolvedValueOnce(Uint8Array.of(7));
  const document = await new TokensEditor(services).openCustomDocument(uri, { backupId: 'file:///backups/1' });
  const write = vi.mocked(vscode.workspace.fs.writeFile).mockResolvedValueOnce(undefined);
  await document.write(uri);
  expect(vi.mocked(vscode.workspace.fs.readFile).mock.lastCall?.[0].toString()).toBe('file:///backups/1');
  expect(write.mock.lastCall?.[1]).toEqual(Uint8Array.of(7));
});

it('has VS Code undo for a page, in the active editor alone, and tells the page that it shows a file', async () => {
  const editor = new TokensEditor(services);
  vi.spyOn(TokensDocument.prototype, 'start').mockReturnValue();
  const document = await editor.openCustomDocument(uri, { backupId: undefined });
  const webview = Object.assign(new FakeWebview(), { cspSource: '', asWebviewUri: (each: vscode.Uri) => each });
  const panel = { active: true, webview, onDidChangeViewState: never, onDidDispose: never };
  editor.resolveCustomEditor(document, panel as unknown as vscode.WebviewPanel);
  expect(editor.active).toBeDefined();
  const page = webview.loadPage();
  expect(await page.sendRequest(protocol.ready, {})).toMatchObject({ name: 'cat.tokens.json', tokens: 'file' });
  await page.sendNotification(protocol.travel, 'undo');
  await page.sendRequest(protocol.models).catch(() => undefined);
  panel.active = false;
  await page.sendNotification(protocol.travel, 'redo');
  await page.sendRequest(protocol.models).catch(() => undefined);
  expect(vi.mocked(vscode.commands.executeCommand).mock.calls).toEqual([['undo']]);
  expect(editor.active).toBeUndefined();
});
