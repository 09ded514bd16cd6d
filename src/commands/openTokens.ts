import * as vscode from 'vscode';
import { plain } from '../host/text';
import { window } from '../host/window';
import { tokensViewType } from '../panel/tokensEditor';
import { chosenResources } from './tokenizeImage';

export const openTokensCommand = 'tatok.openTokens';

/** *TaTok: Open Tokens…*: `.tokens` folders and token files, of the Explorer or of a dialog. */
export function registerOpenTokens(): vscode.Disposable {
  return vscode.commands.registerCommand(openTokensCommand, openTokens);
}

async function openTokens(...args: unknown[]): Promise<void> {
  const chosen = chosenResources(args);
  for (const uri of chosen.length > 0 ? chosen : await askForTokens()) {
    // Several files are several tabs, so none may be a preview that the next one replaces.
    await vscode.commands.executeCommand('vscode.openWith', await tokensIn(uri), tokensViewType, {
      viewColumn: vscode.ViewColumn.Active,
      preview: false,
    } satisfies vscode.TextDocumentShowOptions);
  }
}

/** A data set is opened by its description. */
async function tokensIn(uri: vscode.Uri): Promise<vscode.Uri> {
  const isFolder = await Promise.resolve(vscode.workspace.fs.stat(uri)).then(
    ({ type }) => (type & vscode.FileType.Directory) !== 0,
    () => false,
  );
  return isFolder ? vscode.Uri.joinPath(uri, 'dataset.json') : uri;
}

async function askForTokens(): Promise<vscode.Uri[]> {
  const chosen = await window.showOpenDialog({
    title: plain`Open Tokens`,
    openLabel: 'Open',
    canSelectMany: true,
    filters: { Tokens: ['json', 'npz'] },
  });
  return chosen ?? [];
}
