import { beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { openTokensCommand, registerOpenTokens } from '../../../src/commands/openTokens';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  // The mock's Uri.parse makes instances of the base class.
  const { joinPath } = mock.Uri;
  return { ...mock, Uri: Object.assign(Object.getPrototypeOf(mock.Uri) as typeof vscode.Uri, { joinPath }) };
});

const cat = vscode.Uri.parse('file:///photos/cat.tokens.json');
const arrays = vscode.Uri.parse('memfs:/photos/cat.npz');
const folder = vscode.Uri.parse('file:///photos/all.tokens');

let opened: string[];
let run: (...args: unknown[]) => Promise<void>;

beforeEach(() => {
  opened = [];
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    expect(command).toBe(openTokensCommand);
    run = callback as typeof run;
    return { dispose: () => undefined };
  });
  vi.mocked(vscode.commands.executeCommand).mockImplementation((command: string, uri: vscode.Uri, view: string) => {
    opened.push(`${command} ${uri.toString()} ${view}`);
    return Promise.resolve(undefined as never);
  });
  vi.mocked(vscode.workspace.fs.stat).mockImplementation((uri) =>
    uri.toString() === folder.toString()
      ? Promise.resolve({ type: vscode.FileType.Directory } as vscode.FileStat)
      : Promise.reject(new Error('there is none')),
  );
  registerOpenTokens();
});

it('opens files as they are and folders by their description, each in a tab', async () => {
  await run(cat, [cat, folder, arrays]);
  expect(opened).toEqual([
    'vscode.openWith file:///photos/cat.tokens.json tatok.tokens',
    'vscode.openWith file:///photos/all.tokens/dataset.json tatok.tokens',
    'vscode.openWith memfs:/photos/cat.npz tatok.tokens',
  ]);
});

it('asks for files where none is chosen', async () => {
  vi.mocked(vscode.window.showOpenDialog).mockResolvedValueOnce([cat]).mockResolvedValueOnce(undefined);
  await run();
  expect(opened).toHaveLength(1);
  await run();
  expect(opened).toHaveLength(1);
});
