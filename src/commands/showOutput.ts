import * as vscode from 'vscode';

export const showOutputCommand = 'tatok.showOutput';

/** *TaTok: Show Output*: reasons, stage times and stack traces that the panel keeps short. */
export function registerShowOutput(log: vscode.LogOutputChannel): vscode.Disposable {
  return vscode.commands.registerCommand(showOutputCommand, () => log.show());
}
