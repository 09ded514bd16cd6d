import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { copyViewCommand, exportCommand, registerExports, type Inspectors } from '../../../src/commands/exports';
import { exportChoices } from '../../../src/protocol/exports';
import manifest from '../../../package.json';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  return { ...mock, QuickPickItemKind: { Separator: -1, Default: 0 } };
});

const requestExport = vi.fn<(kind: string) => Promise<void>>();
let commands: Map<string, () => Promise<void>>;

function register(inspectors: Inspectors): void {
  commands = new Map();
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    commands.set(command, callback);
    return { dispose: () => undefined };
  });
  registerExports(inspectors);
}

beforeEach(() => {
  requestExport.mockReset().mockResolvedValue(undefined);
  vi.mocked(vscode.window.showQuickPick).mockReset();
  vi.mocked(vscode.window.showInformationMessage).mockReset();
});

describe('Export…', () => {
  it('offers what the menu of the inspector offers, and has the inspector do it', async () => {
    register({ active: { requestExport } });
    const choices = exportChoices.flat();
    vi.mocked(vscode.window.showQuickPick).mockImplementation(async (items) => {
      const offered = await items;
      const labels = offered.filter(({ kind }) => kind === undefined).map(({ label }) => label);
      expect(labels).toEqual(choices.map(({ label }) => label));
      return offered.find(({ label }) => label === 'Arrays as NumPy .npz…');
    });
    await commands.get(exportCommand)?.();
    expect(requestExport).toHaveBeenCalledWith('npz');
  });

  it('does nothing when nothing is chosen', async () => {
    register({ active: { requestExport } });
    await commands.get(exportCommand)?.();
    expect(requestExport).not.toHaveBeenCalled();
  });
});

describe('both commands', () => {
  it('copy the view of the active inspector', async () => {
    register({ active: { requestExport } });
    await commands.get(copyViewCommand)?.();
    expect(requestExport).toHaveBeenCalledWith('copy');
  });

  it('say that an inspector is needed', async () => {
    register({ active: undefined });
    for (const command of [exportCommand, copyViewCommand]) await commands.get(command)?.();
    expect(vscode.window.showInformationMessage).toHaveBeenCalledTimes(2);
  });

  it('are offered by the palette only where they can do something', () => {
    const offered = manifest.contributes.menus.commandPalette.map(({ command, when }) => [command, when]);
    for (const command of [exportCommand, copyViewCommand]) {
      expect(offered).toContainEqual([command, "activeCustomEditorId == 'tatok.inspector'"]);
    }
  });
});
