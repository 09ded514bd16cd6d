import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { copyViewCommand, exportCommand, registerExports, type Inspectors } from '../../../src/commands/exports';
import { exportChoices } from '../../../src/protocol/exports';
import type { Parts } from '../../../src/tokenizer/parts';
import { lacking, tinyModel } from '../tokenizer/model';
import manifest from '../../../package.json';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  return { ...mock, QuickPickItemKind: { Separator: -1, Default: 0 } };
});

const requestExport = vi.fn<(kind: string) => Promise<void>>();
const active = { exports: exportChoices(tinyModel), requestExport };
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
    register({ active });
    const choices = exportChoices(tinyModel).flat();
    vi.mocked(vscode.window.showQuickPick).mockImplementation(async (items) => {
      const offered = await items;
      const labels = offered.filter(({ kind }) => kind === undefined).map(({ label }) => label);
      expect(labels).toEqual(choices.map(({ label }) => label));
      return offered.find(({ label }) => label === 'Arrays as NumPy .npz…');
    });
    await commands.get(exportCommand)?.();
    expect(requestExport).toHaveBeenCalledWith('npz');
  });

  it('says so before there is anything to export', async () => {
    register({ active: { exports: [], requestExport } });
    await commands.get(exportCommand)?.();
    expect(vscode.window.showInformationMessage).toHaveBeenCalledWith(expect.stringContaining('nothing to export yet'));
    expect(vscode.window.showQuickPick).not.toHaveBeenCalled();
  });

  it('does nothing when nothing is chosen', async () => {
    register({ active });
    await commands.get(exportCommand)?.();
    expect(requestExport).not.toHaveBeenCalled();
  });
});

describe('what can be exported', () => {
  const kinds = (parts: Parts) =>
    exportChoices(parts)
      .flat()
      .map(({ kind }) => kind);

  it('is everything of a tokenizer that has every part', () => {
    expect(kinds(tinyModel)).toHaveLength(11);
    expect(kinds(lacking.patchesOnly)).toEqual(kinds(tinyModel));
  });

  it('is no plot of a filter that there is not, and no table of patch tokens that there are not', () => {
    expect(kinds(lacking.fixedPatches)).toEqual(['view.png', 'patches.csv', 'patches.json', 'tokens.json', 'npz']);
    expect(kinds(lacking.fixedGlobals)).toEqual(['view.png', 'tokens.json', 'npz']);
  });
});

describe('both commands', () => {
  it('copy the view of the active inspector', async () => {
    register({ active });
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
