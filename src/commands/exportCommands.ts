import * as vscode from 'vscode';
import type { ExportingPanel, OfferedExport } from '../panel/exportFile';
import { plain } from '../host/text';
import { window, type Line } from '../host/window';

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
    else void window.showInformationMessage(plain`Only an open inspector or comparison can be exported.`);
  };
  return vscode.Disposable.from(
    vscode.commands.registerCommand(exportCommand, () => withActive(chooseExport)),
    vscode.commands.registerCommand(copyViewCommand, () => withActive((panel) => panel.copyView())),
  );
}

interface ExportLine extends Line {
  /** Absent for a line between groups. */
  readonly offered?: OfferedExport;
}

async function chooseExport({ exports }: ExportingPanel): Promise<void> {
  if (exports.length === 0) {
    void window.showInformationMessage(plain`There is nothing to export yet; try again when the image is tokenized.`);
    return;
  }
  const items = exports.flatMap((group, i): ExportLine[] => [
    ...(i === 0 ? [] : [{ label: plain``, kind: vscode.QuickPickItemKind.Separator }]),
    ...group.map((offered) => ({ label: plain`${offered.label}`, description: plain`${offered.detail}`, offered })),
  ]);
  const chosen = await window.showQuickPick(items, { title: plain`Export`, matchOnDescription: true });
  await chosen?.offered?.run();
}
