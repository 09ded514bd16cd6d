import * as vscode from 'vscode';
import type { ExportingPanel } from '../panel/exportFile';

export const exportCommand = 'tatok.export';
export const copyViewCommand = 'tatok.copyView';

/** Where the commands find the panel that the user works in. */
export interface ExportingPanels {
  readonly active: ExportingPanel | undefined;
}

/** *TaTok: Export…* and *TaTok: Copy View*: what the panel's own menu does, from the palette and for key bindings. */
export function registerExports(...kinds: readonly ExportingPanels[]): vscode.Disposable {
  const withActive = async (run: (panel: ExportingPanel) => Promise<void>): Promise<void> => {
    const active = kinds.map((panels) => panels.active).find((panel) => panel !== undefined);
    if (active !== undefined) await run(active);
    // A key binding may run a command where the palette does not offer it.
    else void vscode.window.showInformationMessage('Only an open inspector or comparison can be exported.');
  };
  return vscode.Disposable.from(
    vscode.commands.registerCommand(exportCommand, () => withActive(chooseExport)),
    vscode.commands.registerCommand(copyViewCommand, () => withActive((panel) => panel.copyView())),
  );
}

async function chooseExport({ exports }: ExportingPanel): Promise<void> {
  if (exports.length === 0) {
    void vscode.window.showInformationMessage('There is nothing to export yet; try again when the image is tokenized.');
    return;
  }
  const items = exports.flatMap((group, i): vscode.QuickPickItem[] => [
    ...(i === 0 ? [] : [{ label: '', kind: vscode.QuickPickItemKind.Separator }]),
    ...group.map(({ label, detail }) => ({ label, description: detail })),
  ]);
  const chosen = await vscode.window.showQuickPick(items, { title: 'Export', matchOnDescription: true });
  await exports
    .flat()
    .find(({ label }) => label === chosen?.label)
    ?.run();
}
