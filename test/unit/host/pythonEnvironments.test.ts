import { beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { pythonEnvironments } from '../../../src/host/pythonEnvironments';

vi.mock('vscode', async () => ({
  ...(await import('jest-mock-vscode')).createVSCodeMock(vi),
  extensions: { getExtension: vi.fn() },
}));

/** A window with a folder of files, one of another file system, and an interpreter chosen in the Python extension. */
function openWindow(isTrusted: boolean, interpreter = '/home/ada/tatok/bin/python', isActive = true) {
  Object.assign(vscode.workspace, { isTrusted });
  vi.spyOn(vscode.workspace, 'workspaceFolders', 'get').mockReturnValue(
    ['file:///work', 'memfs:/virtual'].map((uri, index) => ({ uri: vscode.Uri.parse(uri), name: uri, index })),
  );
  const getActiveEnvironmentPath = vi.fn(() => ({ path: interpreter }));
  vi.spyOn(vscode.extensions, 'getExtension').mockReturnValue({
    isActive,
    exports: { environments: { getActiveEnvironmentPath } },
  } as unknown as vscode.Extension<unknown>);
  return getActiveEnvironmentPath;
}

const ofWorkspace = [
  { folder: '/work/.venv', from: 'the workspace’s .venv' },
  { folder: '/work/venv', from: 'the workspace’s venv' },
];

beforeEach(() => void vi.restoreAllMocks());

it('are the chosen one and those of the workspace’s folders, in this order', () => {
  openWindow(true);
  const chosen = { folder: '/home/ada/tatok', from: 'the selected Python environment' };
  expect(pythonEnvironments()).toEqual([chosen, ...ofWorkspace]);
  openWindow(true, '/home/ada/tatok');
  expect(pythonEnvironments()).toEqual([chosen, ...ofWorkspace]);
});

it('are none while the window is not trusted: the folder chooses its interpreter too', () => {
  const asked = openWindow(false);
  expect(pythonEnvironments()).toEqual([]);
  expect(asked).not.toHaveBeenCalled();
});

it('are those of the folders alone where the Python extension does not run or has none', () => {
  openWindow(true, '/home/ada/tatok/bin/python', false);
  expect(pythonEnvironments()).toEqual(ofWorkspace);
  openWindow(true, '');
  expect(pythonEnvironments()).toEqual(ofWorkspace);
});
