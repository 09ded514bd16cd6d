/**
 * VS Code's window, as the rest of the extension may use it. Its own types take any string where it reads links and icons out of
 * strings; these take none that {@link plain} or {@link Markdown} has not made. ESLint allows `vscode.window` in this file alone.
 */
import * as vscode from 'vscode';
import type { Markdown, Plain } from './text';

type ShowMessage = <Button extends Plain>(
  message: Plain,
  ...buttons: readonly Button[]
) => Thenable<Button | undefined>;

/** A message that waits for its answer; VS Code adds *Cancel*. */
type ShowModal = <Button extends Plain>(
  message: Plain,
  options: { readonly modal: true; readonly detail: Plain },
  ...buttons: readonly Button[]
) => Thenable<Button | undefined>;

export interface Line {
  readonly label: Plain;
  readonly description?: Plain;
  readonly detail?: Plain;
  readonly kind?: vscode.QuickPickItemKind;
}

interface ListOptions extends Omit<vscode.QuickPickOptions, 'title' | 'placeHolder' | 'prompt'> {
  readonly title: Plain;
  readonly placeHolder?: Plain;
}

interface ProgressOptions {
  readonly location: vscode.ProgressLocation;
  readonly title: Plain;
  readonly cancellable?: boolean;
}

type Task<Result> = (
  progress: vscode.Progress<{ readonly message?: Plain; readonly increment?: number }>,
  token: vscode.CancellationToken,
) => Thenable<Result>;

export interface StatusBarItem extends Omit<vscode.StatusBarItem, 'name' | 'text' | 'tooltip'> {
  name: Plain;
  text: Plain;
  tooltip: vscode.MarkdownString;
}

type Titled<Options> = Omit<Options, 'title'> & { readonly title: Plain };

export interface Window extends Pick<
  typeof vscode.window,
  | 'createOutputChannel'
  | 'registerCustomEditorProvider'
  | 'registerWebviewPanelSerializer'
  | 'showTextDocument'
  | 'tabGroups'
> {
  readonly showInformationMessage: ShowMessage & ShowModal;
  readonly showWarningMessage: ShowMessage & ShowModal;
  readonly showErrorMessage: ShowMessage & ShowModal;
  /** Several of a list. */
  showQuickPick<Item extends Line>(
    items: readonly (Item & { readonly picked?: boolean })[],
    options: ListOptions & { readonly canPickMany: true },
  ): Thenable<readonly Item[] | undefined>;
  showQuickPick<Item extends Line>(
    items: readonly Item[] | Thenable<readonly Item[]>,
    options: ListOptions,
  ): Thenable<Item | undefined>;
  showOpenDialog(options: Titled<vscode.OpenDialogOptions>): Thenable<vscode.Uri[] | undefined>;
  showSaveDialog(options: Titled<vscode.SaveDialogOptions>): Thenable<vscode.Uri | undefined>;
  withProgress<Result>(options: ProgressOptions, task: Task<Result>): Thenable<Result>;
  createStatusBarItem(id: string, alignment: vscode.StatusBarAlignment, priority: number): StatusBarItem;
  createWebviewPanel(
    viewType: string,
    title: Plain,
    column: vscode.ViewColumn,
    options: vscode.WebviewPanelOptions,
  ): vscode.WebviewPanel;
}

// The cast narrows what may be written; nothing is read back that could be any other string.
export const window = vscode.window as unknown as Window;

/** Contents of a hover. */
export function hover({ source }: Markdown): vscode.MarkdownString {
  return new vscode.MarkdownString(source);
}
