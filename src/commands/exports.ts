import * as vscode from 'vscode';
import type { InspectorPanel } from '../panel/inspectorPanel';

export const exportCommand = 'tatok.export';
export const copyViewCommand = 'tatok.copyView';

type ExportingInspector = Pick<InspectorPanel, 'exports' | 'requestExport'>;

/** Where the commands find the inspector that the user works in. */
export interface Inspectors {
  readonly active: ExportingInspector | undefined;
}

/** *TaTok: Export…* and *TaTok: Copy View*: what the inspector's own menu does, from the palette and for key bindings. */
export function registerExports(inspectors: Inspectors): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.commands.registerCommand(exportCommand, () => withActive(inspectors, chooseExport)),
    vscode.commands.registerCommand(copyViewCommand, () =>
      withActive(inspectors, (inspector) => inspector.requestExport('copy')),
    ),
  );
}

async function withActive(
  { active }: Inspectors,
  run: (inspector: ExportingInspector) => Promise<void>,
): Promise<void> {
  if (active !== undefined) await run(active);
  // A key binding may run a command where the palette does not offer it.
  else void vscode.window.showInformationMessage('Tokenize an image first: only an open inspector can be exported.');
}

async function chooseExport(inspector: ExportingInspector): Promise<void> {
  if (inspector.exports.length === 0) {
    void vscode.window.showInformationMessage('There is nothing to export yet; try again when the image is tokenized.');
    return;
  }
  const items = inspector.exports.flatMap((group, i): vscode.QuickPickItem[] => [
    ...(i === 0 ? [] : [{ label: '', kind: vscode.QuickPickItemKind.Separator }]),
    ...group.map(({ label, detail }) => ({ label, description: detail })),
  ]);
  const chosen = await vscode.window.showQuickPick(items, { title: 'Export', matchOnDescription: true });
  const choice = inspector.exports.flat().find(({ label }) => label === chosen?.label);
  if (choice !== undefined) await inspector.requestExport(choice.kind);
}
