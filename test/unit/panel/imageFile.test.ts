import { beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { ImageFile } from '../../../src/panel/imageFile';

const stat = vi.hoisted(() => vi.fn<() => Promise<{ type: number; size: number }>>());
/** Tells every watcher of the three events of a file. */
const touch = vi.hoisted(() => ({ change: vi.fn(), create: vi.fn(), delete: vi.fn() }));

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  const fs = { ...mock.workspace.fs, stat, readFile: vi.fn() };
  const createFileSystemWatcher = () => {
    const event = (kind: keyof typeof touch) => (listener: (uri: vscode.Uri) => void) => {
      touch[kind].mockImplementation(listener);
      return { dispose: () => undefined };
    };
    return {
      onDidChange: event('change'),
      onDidCreate: event('create'),
      onDidDelete: event('delete'),
      dispose: () => undefined,
    };
  };
  return { ...mock, RelativePattern: vi.fn(), workspace: { ...mock.workspace, fs, createFileSystemWatcher } };
});

const { fs } = vscode.workspace;
/** VS Code's numbers, which it also joins. */
const [unknown, regular, folder, link] = [0, 1, 2, 64];

beforeEach(() => {
  // As reading a pipe that nobody writes to.
  vi.mocked(fs.readFile)
    .mockReset()
    .mockReturnValue(new Promise<never>(() => undefined));
});

function read(uri: string, type: number, size = 1) {
  stat.mockResolvedValue({ type, size });
  return new ImageFile(vscode.Uri.parse(uri)).read();
}

it.each([unknown, unknown | link])('refuses a pipe or a device without reading it (type %i)', async (type) => {
  await expect(read('file:///photos/cat.png', type)).rejects.toMatchObject({
    code: 'image-unreadable',
    message: 'cat.png is a pipe or a device, not an image.',
  });
  expect(fs.readFile).not.toHaveBeenCalled();
});

it('refuses a file of more than 1 GiB without reading it', async () => {
  await expect(read('file:///photos/cat.png', regular, 2 ** 31)).rejects.toMatchObject({
    code: 'image-unsupported',
    message: 'The file has 2147 MB; more than 1074 MB cannot be read.',
  });
  expect(fs.readFile).not.toHaveBeenCalled();
});

it.each([
  ['file:///photos/cat.png', regular],
  ['file:///photos/link.png', regular | link],
  // The file system itself reports the problem.
  ['file:///photos/folder.png', folder],
  // Other file systems may not know what they have.
  ['memfs:/photos/cat.png', unknown],
])('reads %s of type %i', async (uri, type) => {
  vi.mocked(fs.readFile).mockResolvedValue(Uint8Array.of(1));
  expect(await read(uri, type)).toEqual(Uint8Array.of(1));
});

it.each(['change', 'create', 'delete'] as const)(
  'tells of a %s of the file, and not of others in its folder',
  (kind) => {
    const changed = vi.fn();
    new ImageFile(vscode.Uri.parse('file:///photos/cat [1].png')).onDidChange(changed);
    for (const other of ['dog.png', 'cat 1.png', 'cat [1].png.txt', 'Cat [1].png']) {
      touch[kind](vscode.Uri.parse(`file:///photos/${other}`));
    }
    expect(changed).not.toHaveBeenCalled();
    touch[kind](vscode.Uri.parse('file:///photos/cat [1].png'));
    expect(changed).toHaveBeenCalledOnce();
  },
);
