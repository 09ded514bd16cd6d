import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { isImagePath } from '../../../src/host/imageFiles';
import { registerTokenizeImage, tokenizeImageCommand } from '../../../src/commands/tokenizeImage';

vi.mock('vscode', async () => {
  const { createVSCodeMock } = await import('jest-mock-vscode');
  class TabInputText {
    constructor(readonly uri: vscode.Uri) {}
  }
  class TabInputCustom extends TabInputText {}
  const mock = createVSCodeMock(vi);
  const activeTabGroup: { activeTab: { input: unknown } | undefined } = { activeTab: undefined };
  return {
    ...mock,
    // The mock's Uri.parse makes instances of the base class.
    Uri: Object.getPrototypeOf(mock.Uri) as typeof vscode.Uri,
    TabInputText,
    TabInputCustom,
    window: { ...mock.window, tabGroups: { activeTabGroup } },
  };
});

const cat = vscode.Uri.parse('file:///photos/cat.PNG');
const dog = vscode.Uri.parse('memfs:/photos/dog.jpeg');
const notes = vscode.Uri.parse('file:///photos/notes.txt');

let opened: string[];
let run: (...args: unknown[]) => Promise<void>;

beforeEach(() => {
  opened = [];
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    expect(command).toBe(tokenizeImageCommand);
    run = callback as typeof run;
    return { dispose: () => undefined };
  });
  vi.mocked(vscode.commands.executeCommand).mockImplementation((command: string, uri: vscode.Uri, view: string) => {
    opened.push(`${command} ${uri.toString()} ${view}`);
    return Promise.resolve(undefined as never);
  });
  vi.mocked(vscode.window.showOpenDialog).mockReset();
  vi.mocked(vscode.window.showWarningMessage).mockReset();
  activate(undefined);
  registerTokenizeImage();
});

function activate(input: unknown): void {
  Object.assign(vscode.window.tabGroups.activeTabGroup, { activeTab: input === undefined ? undefined : { input } });
}

function openedAs(...uris: vscode.Uri[]): string[] {
  return uris.map((uri) => `vscode.openWith ${uri.toString()} tatok.inspector`);
}

describe('Tokenize Image', () => {
  it('opens every image selected in the Explorer, and nothing else', async () => {
    await run(cat, [cat, notes, dog]);
    expect(opened).toEqual(openedAs(cat, dog));
  });

  it('opens the image of an editor tab', async () => {
    await run(dog, { groupId: 0, editorIndex: 1 });
    expect(opened).toEqual(openedAs(dog));
  });

  it('opens the rows selected in Source Control', async () => {
    await run({ resourceUri: dog }, { resourceUri: cat });
    expect(opened).toEqual(openedAs(dog, cat));
  });

  it('says so when Source Control passes no image', async () => {
    await run({ resourceUri: notes });
    expect(opened).toEqual([]);
    expect(vscode.window.showWarningMessage).toHaveBeenCalledOnce();
    expect(vscode.window.showOpenDialog).not.toHaveBeenCalled();
  });

  it('takes the active image from the palette', async () => {
    activate(new vscode.TabInputCustom(cat, 'imagePreview.previewEditor'));
    await run();
    expect(opened).toEqual(openedAs(cat));
  });

  it('asks from the palette when the active editor shows no image', async () => {
    activate(new vscode.TabInputText(notes));
    vi.mocked(vscode.window.showOpenDialog).mockResolvedValue([dog]);
    await run();
    expect(opened).toEqual(openedAs(dog));
  });

  it('does nothing when the dialog is dismissed', async () => {
    vi.mocked(vscode.window.showOpenDialog).mockResolvedValue(undefined);
    await run();
    expect(opened).toEqual([]);
  });
});

describe('isImagePath', () => {
  it.each(['/a/b.png', '/B.JPG', '/x.y.tiff', '/a/é.avif'])('takes %s', (path) => {
    expect(isImagePath(path)).toBe(true);
  });

  it.each(['/a/png', '/a.png/readme', '/a.bmp', '/a.pngx', '/'])('leaves %s', (path) => {
    expect(isImagePath(path)).toBe(false);
  });
});
