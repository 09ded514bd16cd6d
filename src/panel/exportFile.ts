import type { CancellationToken } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import { tokenizationNpz } from '../export/npz';
import { withPngText } from '../export/pngText';
import { plain } from '../host/text';
import { window } from '../host/window';
import { patchesCsv, patchesJson } from '../export/patches';
import { tokensRecord, type ExportedTokenization } from '../export/tokens';
import { comparisonKinds, type DataKind, type ExportRequest } from '../protocol/exports';
import { TatokError } from '../method/errors';
import { hasPart } from '../method/parts';
import { recordOf } from '../method/settings';
import type { FilterSettings } from '../method/types';
import type { TokenizationDocument } from './tokenizationDocument';

/** Something that a panel exports on request. */
export interface OfferedExport {
  readonly label: string;
  /** Its contents. */
  readonly detail: string;
  run(): Promise<void>;
}

/** An inspector or a comparison. */
export interface ExportingPanel {
  /** Exports on offer, in groups; empty before there are tokens. */
  readonly exports: readonly (readonly OfferedExport[])[];
  copyView(): Promise<void>;
}

/** The part of a document that an export needs. */
export type ExportedDocument = Pick<TokenizationDocument, 'name' | 'uri' | 'tokenizationUnder' | 'sweep' | 'state'>;

/**
 * Asks where to save an export and saves it. The name that is proposed is made here: a page knows the kind alone.
 *
 * @param comparedWith name of the image that a comparison compares the document with; absent outside of one.
 * @returns the name of the file, or null when the user chose none.
 * @throws TatokError export-failed when it cannot be written; bad-message for a comparison where there is none.
 */
export async function saveExport(
  document: ExportedDocument,
  request: ExportRequest,
  token: CancellationToken,
  comparedWith?: string,
): Promise<string | null> {
  const { kind } = request;
  const ofBoth = comparisonKinds.some((each) => each === kind);
  if (ofBoth && comparedWith === undefined) {
    throw new TatokError('bad-message', 'The page exported a comparison, but it shows one image alone.');
  }
  // Two thresholds or models of one image need its name once.
  const images = new Set([document.name, ...(ofBoth && comparedWith !== undefined ? [comparedWith] : [])].map(stem));
  return saveFile(document.uri, { title: document.name, name: `${[...images].join('-')}.${kind}` }, () =>
    content(document, request, token),
  );
}

async function content(
  document: ExportedDocument,
  request: ExportRequest,
  token: CancellationToken,
): Promise<Uint8Array> {
  switch (request.kind) {
    case 'sweep.webp':
    case 'sweep.gif':
      return document.sweep(request.settings, request.kind === 'sweep.gif' ? 'gif' : 'webp', token);
    case 'patches.csv':
    case 'patches.json':
    case 'tokens.json':
    case 'npz': {
      const tokenization = await document.tokenizationUnder(request.settings, token, request.edits);
      return dataFile(request.kind, document.name, tokenization);
    }
    default:
      if (!('settings' in request) || !request.kind.endsWith('.png')) return request.bytes;
      return withPngText(request.bytes, provenance(document, request.kind, request.settings));
  }
}

/** What made a picture, for its metadata: file, model and settings. */
function provenance({ name, state }: ExportedDocument, kind: string, settings: FilterSettings): Record<string, string> {
  const made = { Software: 'TaTok Inspector', Source: name, Description: kind.replace(/\.png$/, '') };
  if (state.kind !== 'tokenized') return made;
  const { model, image } = state.tokenization;
  return {
    ...made,
    Model: `${model.name} ${model.version}`,
    'Model hash': model.hash,
    'Crop mode': image.cropMode,
    ...(hasPart(model, 'rates') && { Settings: JSON.stringify(recordOf(settings)) }),
  };
}

/**
 * Asks where to save a file and saves it, on whatever file system that is.
 *
 * @param beside its place is proposed beside this. @param proposed whose export it is, and the name that is proposed.
 * @returns the name of the file, or null when the user chose none.
 * @throws TatokError export-failed when it cannot be written.
 */
export async function saveFile(
  beside: vscode.Uri,
  { title, name }: { readonly title: string; readonly name: string },
  content: () => Promise<Uint8Array>,
): Promise<string | null> {
  // The dialog comes first: nobody waits for a file that they then do not want.
  const folder = folderFor(beside);
  const extension = name.slice(name.lastIndexOf('.') + 1);
  const target = await window.showSaveDialog({
    title: plain`Export ${title}`,
    saveLabel: 'Export',
    filters: { [extension.toUpperCase()]: [extension] },
    ...(folder && { defaultUri: vscode.Uri.joinPath(folder, name) }),
  });
  if (target === undefined) return null;
  const bytes = await content();
  const saved = fileName(target);
  try {
    await vscode.workspace.fs.writeFile(target, bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TatokError('export-failed', `${saved} could not be written: ${reason}`, undefined, { cause: error });
  }
  return saved;
}

function dataFile(kind: DataKind, image: string, tokenization: ExportedTokenization): Uint8Array {
  switch (kind) {
    case 'patches.csv':
      return utf8(patchesCsv(tokenization));
    case 'patches.json':
      return utf8(patchesJson(image, tokenization));
    case 'tokens.json':
      return utf8(`${JSON.stringify(tokensRecord(tokenization))}\n`);
    case 'npz':
      return tokenizationNpz(image, tokenization);
  }
}

function stem(name: string): string {
  return name.replace(/\.[^.]+$/, '');
}

/**
 * Beside the image, unless nothing can be written there (a revision of Source Control, say) or the dialog cannot go there: then
 * in the workspace.
 */
function folderFor(uri: vscode.Uri): vscode.Uri | undefined {
  const { fs, workspaceFolders } = vscode.workspace;
  const beside = fs.isWritableFileSystem(uri.scheme) === true && dialogReaches(uri);
  return beside ? vscode.Uri.joinPath(uri, '..') : workspaceFolders?.[0]?.uri;
}

/** In a remote window VS Code's dialog takes a path of another file system for one of the remote machine, unless it has an authority. */
function dialogReaches({ scheme, authority }: vscode.Uri): boolean {
  return vscode.env.remoteName === undefined || scheme === 'file' || authority !== '';
}

function fileName(uri: vscode.Uri): string {
  return uri.path.slice(uri.path.lastIndexOf('/') + 1);
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
