import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { copyViewCommand, exportCommand, registerExports } from '../../../src/commands/exportCommands';
import type { ExportingPanel } from '../../../src/panel/exportFile';
import { exportChoices } from '../../../src/protocol/exports';
import type { Parts } from '../../../src/method/parts';
import { lacking, tinyModel } from '../model';
import manifest from '../../../package.json';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  return { ...mock, QuickPickItemKind: { Separator: -1, Default: 0 } };
});

const run = vi.fn<(label: string) => Promise<void>>();
const copyView = vi.fn<() => Promise<void>>();
const panel = (...groups: readonly (readonly string[])[]): ExportingPanel => ({
  exports: groups.map((group) => group.map((label) => ({ label, detail: '', run: () => run(label) }))),
  copyView,
});
const active = panel(['View as PNG…'], ['Patches as CSV…', 'Arrays as NumPy .npz…']);
let commands: Map<string, () => Promise<void>>;

function register(...panels: readonly (ExportingPanel | undefined)[]): void {
  commands = new Map();
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    commands.set(command, callback);
    return { dispose: () => undefined };
  });
  registerExports(...panels.map((shown) => ({ active: shown })));
}

beforeEach(() => {
  run.mockReset().mockResolvedValue(undefined);
  copyView.mockReset().mockResolvedValue(undefined);
  vi.mocked(vscode.window.showQuickPick).mockReset();
  vi.mocked(vscode.window.showInformationMessage).mockReset();
});

describe('Export…', () => {
  it('offers what the active panel offers, and has the panel do it', async () => {
    register(active, undefined);
    vi.mocked(vscode.window.showQuickPick).mockImplementation(async (items) => {
      const offered = await items;
      const labels = offered.filter(({ kind }) => kind === undefined).map(({ label }) => label);
      expect(labels).toEqual(['View as PNG…', 'Patches as CSV…', 'Arrays as NumPy .npz…']);
      return offered.find(({ label }) => label === 'Arrays as NumPy .npz…');
    });
    await commands.get(exportCommand)?.();
    expect(run.mock.calls).toEqual([['Arrays as NumPy .npz…']]);
  });

  it('finds a comparison where no inspector is active', async () => {
    register(undefined, panel(['Comparison as PNG…']));
    vi.mocked(vscode.window.showQuickPick).mockImplementation(async (items) => (await items)[0]);
    await commands.get(exportCommand)?.();
    expect(run.mock.calls).toEqual([['Comparison as PNG…']]);
  });

  it('says so before there is anything to export', async () => {
    register(panel());
    await commands.get(exportCommand)?.();
    expect(vscode.window.showInformationMessage).toHaveBeenCalledWith(expect.stringContaining('nothing to export yet'));
    expect(vscode.window.showQuickPick).not.toHaveBeenCalled();
  });

  it('does nothing when nothing is chosen', async () => {
    register(active);
    await commands.get(exportCommand)?.();
    expect(run).not.toHaveBeenCalled();
  });
});

describe('what can be exported', () => {
  const kinds = (parts: Parts) =>
    exportChoices(parts)
      .flat()
      .map(({ kind }) => kind);

  it('is everything of a tokenizer that has every part', () => {
    const all = kinds(tinyModel);
    expect(new Set(all).size).toBe(18);
    // Without global tokens there is no attention of theirs.
    expect(kinds(lacking.patchesOnly)).toEqual(all.filter((kind) => kind !== 'attention.png'));
  });

  it('is no plot of a filter that there is not, and no table of patch tokens that there are not', () => {
    const pictures = ['view.png', 'input.png', 'reconstruction.png', 'difference.png'];
    const ofPatches = [...pictures, 'patches.csv', 'patches.json', 'tokens.json', 'npz'];
    expect(kinds(lacking.fixedPatches)).toEqual(ofPatches);
    expect(kinds(lacking.fixedGlobals).filter((kind) => kind !== 'attention.png')).toEqual([
      ...pictures,
      ...['tokens.json', 'npz'],
    ]);
  });
});

describe('both commands', () => {
  it('copy the view of the active panel', async () => {
    register(undefined, active);
    await commands.get(copyViewCommand)?.();
    expect(copyView).toHaveBeenCalledOnce();
  });

  it('say that a panel is needed', async () => {
    register(undefined, undefined);
    for (const command of [exportCommand, copyViewCommand]) await commands.get(command)?.();
    expect(vscode.window.showInformationMessage).toHaveBeenCalledTimes(2);
  });

  it('are offered by the palette only where they can do something', () => {
    const offered = manifest.contributes.menus.commandPalette.map(({ command, when }) => [command, when]);
    for (const command of [exportCommand, copyViewCommand]) {
      expect(offered).toContainEqual([
        command,
        "activeCustomEditorId == 'tatok.inspector' || activeCustomEditorId == 'tatok.tokens' || activeWebviewPanelId == 'tatok.comparison'",
      ]);
    }
  });
});
