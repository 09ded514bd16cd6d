import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { plain, sentences } from '../host/text';
import { window, type Line } from '../host/window';
import { TatokError } from '../method/errors';
import { defaultDataset } from '../panel/datasetDocument';
import type { Datasets } from '../panel/datasetPanel';
import { byCodePoints } from '../tokens/inputs';
import { isTokenDataset, TokenDataset } from '../tokens/tokenDataset';
import { imageExtensions, isImagePath } from '../host/imageFiles';
import { chosenResources } from './tokenizeImage';

export const tokenizeFolderCommand = 'tatok.tokenizeFolder';
export const openDatasetCommand = 'tatok.openDataset';

type Command = (datasets: Pick<Datasets, 'open'>, chosen: readonly vscode.Uri[]) => Promise<void>;

/** *TaTok: Tokenize Folder…* for folders and for several images in the Explorer, and for the palette, where it asks for a folder. */
export function registerTokenizeFolder(datasets: Pick<Datasets, 'open'>): vscode.Disposable {
  return register(tokenizeFolderCommand, tokenizeFolder, datasets);
}

/** *TaTok: Open Token Data Set…* for `.tokens` folders: the table of one that is there. */
export function registerOpenDataset(datasets: Pick<Datasets, 'open'>): vscode.Disposable {
  return register(openDatasetCommand, openDataset, datasets);
}

function register(name: string, command: Command, datasets: Pick<Datasets, 'open'>): vscode.Disposable {
  return vscode.commands.registerCommand(name, async (...args: unknown[]) => {
    try {
      await command(datasets, chosenResources(args));
    } catch (error) {
      if (!(error instanceof TatokError)) throw error;
      void window.showErrorMessage(sentences(error.message, error.advice));
    }
  });
}

async function openDataset(datasets: Pick<Datasets, 'open'>, chosen: readonly vscode.Uri[]): Promise<void> {
  const uris = chosen.length > 0 ? chosen : await askForFolder('Open Token Data Set', 'Open');
  requireFiles(uris);
  for (const { fsPath } of uris) {
    // One that is none is refused with the reason.
    await TokenDataset.open(fsPath);
    datasets.open(fsPath);
  }
}

async function tokenizeFolder(datasets: Pick<Datasets, 'open'>, chosen: readonly vscode.Uri[]): Promise<void> {
  const uris = chosen.length > 0 ? chosen : await askForFolder('Tokenize Folder', 'Tokenize');
  if (uris.length === 0) return;
  requireFiles(uris);
  const paths = uris.map(({ fsPath }) => fsPath).sort(byCodePoints);
  const [first] = paths;
  if (first !== undefined && paths.length === 1 && (await isTokenDataset(first))) {
    datasets.open(first);
    return;
  }
  const images = await imagesAmong(paths);
  if (images.length === 0) {
    void window.showWarningMessage(plain`Choose a folder, or images: ${imageExtensions.join(', ')}.`);
    return;
  }
  const folder = await askForDataset(defaultDataset(images));
  if (folder !== undefined) datasets.open(folder, images);
}

/** Folders, and files that are images. */
async function imagesAmong(paths: readonly string[]): Promise<string[]> {
  const kept = await Promise.all(
    paths.map(async (path) => isImagePath(path) || (await stat(path).catch(() => undefined))?.isDirectory() === true),
  );
  return paths.filter((_, i) => kept[i]);
}

function requireFiles(uris: readonly vscode.Uri[]): void {
  const foreign = uris.find(({ scheme }) => scheme !== 'file');
  if (foreign === undefined) return;
  throw new TatokError(
    'input-unreadable',
    `Data sets are made of files, not of ${foreign.scheme}: folders.`,
    'Copy them to a folder of the file system.',
  );
}

async function askForFolder(title: string, openLabel: string): Promise<readonly vscode.Uri[]> {
  const chosen = await window.showOpenDialog({
    title: plain`${title}`,
    openLabel,
    canSelectFiles: false,
    canSelectFolders: true,
  });
  return chosen ?? [];
}

interface Place extends Line {
  readonly folder: string | undefined;
}

/** Where the data set goes. @returns undefined when the user changed their mind. */
async function askForDataset(proposed: string): Promise<string | undefined> {
  const begun = await isTokenDataset(proposed);
  const places: Place[] = [];
  if (begun) places.push({ ...(await goOnWith(proposed)), folder: proposed });
  const fresh = begun ? await freeName(proposed) : proposed;
  places.push(
    { label: plain`${basename(fresh)}`, description: plain`New, in ${dirname(fresh)}`, folder: fresh },
    { label: plain`Choose another place…`, folder: undefined },
  );
  const chosen = await window.showQuickPick(places, {
    title: plain`Tokenize Folder`,
    placeHolder: plain`Where the token data set is written`,
  });
  if (chosen === undefined) return undefined;
  if (chosen.folder !== undefined) return chosen.folder;
  const target = await window.showSaveDialog({
    title: plain`Token Data Set`,
    saveLabel: 'Tokenize',
    filters: { 'Token data set': ['tokens'] },
    defaultUri: vscode.Uri.file(fresh),
  });
  return target?.scheme === 'file' ? target.fsPath : undefined;
}

/** The line of a data set that is there. */
async function goOnWith(folder: string): Promise<Line> {
  const { counts, recipe, absent } = await TokenDataset.open(folder);
  const [verb, images] = absent.length === 0 ? ['Open', 'all'] : ['Resume', String(counts.rows)];
  return {
    label: plain`${verb} ${basename(folder)}`,
    description: plain`${images} of ${recipe.input.count} images are tokenized`,
  };
}

async function freeName(taken: string): Promise<string> {
  const name = basename(taken, '.tokens');
  for (let number = 2; ; number++) {
    const free = join(dirname(taken), `${name}-${number}.tokens`);
    if ((await stat(free).catch(() => undefined)) === undefined) return free;
  }
}
