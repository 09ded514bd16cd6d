import * as vscode from 'vscode';
import { plain } from '../host/text';
import { window } from '../host/window';
import { inspectorViewType } from '../panel/inspectorPanel';
import { imageExtensions, isImagePath } from '../host/imageFiles';

export const tokenizeImageCommand = 'tatok.tokenizeImage';

/** *TaTok: Tokenize Image* for the Explorer, editor tabs, the Source Control list and the palette. */
export function registerTokenizeImage(): vscode.Disposable {
  return vscode.commands.registerCommand(tokenizeImageCommand, tokenizeImage);
}

async function tokenizeImage(...args: unknown[]): Promise<void> {
  for (const uri of await imagesToTokenize(args)) {
    // Several images are several tabs, so none may be a preview that the next one replaces.
    await vscode.commands.executeCommand('vscode.openWith', uri, inspectorViewType, {
      viewColumn: vscode.ViewColumn.Active,
      preview: false,
    } satisfies vscode.TextDocumentShowOptions);
  }
}

async function imagesToTokenize(args: readonly unknown[]): Promise<vscode.Uri[]> {
  const chosen = chosenResources(args);
  const images = (chosen.length > 0 ? chosen : activeResources()).filter((uri) => isImagePath(uri.path));
  if (images.length > 0) return images;
  if (chosen.length === 0) return askForImages();
  // Source Control's menu knows no file name extensions, so it offers the command for every file.
  void window.showWarningMessage(plain`Only images can be tokenized: ${imageExtensions.join(', ')}.`);
  return [];
}

/**
 * Resources a menu passes: the Explorer the clicked one and all selected ones, an editor tab its own and an editor
 * identifier, Source Control one resource state for each selected row.
 */
export function chosenResources(args: readonly unknown[]): vscode.Uri[] {
  const selection = Array.isArray(args[1]) && args[1].length > 0 ? (args[1] as readonly unknown[]) : args;
  const uris = selection.map(toUri).filter((uri) => uri !== undefined);
  return [...new Map(uris.map((uri) => [uri.toString(), uri])).values()];
}

function toUri(value: unknown): vscode.Uri | undefined {
  if (value instanceof vscode.Uri) return value;
  if (typeof value === 'object' && value !== null && 'resourceUri' in value) return toUri(value.resourceUri);
  return undefined;
}

/** The image of the active tab; images open in a custom editor, or in a text editor when reopened so. */
function activeResources(): vscode.Uri[] {
  const input = window.tabGroups.activeTabGroup.activeTab?.input;
  return input instanceof vscode.TabInputCustom || input instanceof vscode.TabInputText ? [input.uri] : [];
}

async function askForImages(): Promise<vscode.Uri[]> {
  const chosen = await window.showOpenDialog({
    title: plain`Tokenize Image`,
    openLabel: 'Tokenize',
    canSelectMany: true,
    filters: { Images: [...imageExtensions] },
  });
  return chosen ?? [];
}
