import * as vscode from 'vscode';
import { readBundle } from '../bundle/manifest';
import type { OpenCall } from '../client/client';
import { withEdits } from '../export/editedTokens';
import type { TatokSettings } from '../host/tatokSettings';
import { plain, sentences, type Plain } from '../host/text';
import { window } from '../host/window';
import { keyOfEdits, noEdits, requireEdits, type Edits } from '../method/edits';
import { TatokError } from '../method/errors';
import { decodedFormat, type ModelDescription } from '../method/types';
import type { EditRequest, RowChoice } from '../protocol/document';
import { DatasetRows, tokensOfFile } from './tokenSources';
import {
  TokenizationDocument,
  type DocumentServices,
  type InspectedPicture,
  type WatchedImage,
} from './tokenizationDocument';

/** A change of the file that VS Code can take back. */
export interface TokensEdit {
  readonly label: Plain;
  readonly undo: () => void;
  readonly redo: () => void;
}

/** A token file as it was read, with the edits that it has. */
interface Content {
  readonly bytes: Uint8Array;
  readonly model: ModelDescription;
  readonly edits: Edits;
}

/**
 * Tokens out of a file, opened without tokenizing anything: those of one picture, which can be edited, or a row of a data set. The file
 * is written by {@link save} alone; until then edits are the document's.
 */
export class TokensDocument extends TokenizationDocument {
  private readonly rows: DatasetRows | undefined;
  private readonly changedByHand = this.register(new vscode.EventEmitter<TokensEdit>());
  /** Fires when a page edited the tokens. */
  readonly onDidChangeContent = this.changedByHand.event;
  /** The file as it was read or written last; undefined before that. */
  private content: Content | undefined;
  private edits: Edits = noEdits;

  /** @param backup bytes of the file with edits of a former window, which it was not saved with. */
  constructor(
    file: WatchedImage,
    services: DocumentServices,
    chosenModel?: string,
    private backup?: Uint8Array,
  ) {
    super(file, services, chosenModel);
    this.rows = isDataset(file.uri) ? new DatasetRows(file.uri) : undefined;
  }

  get kind(): 'file' | 'dataset' {
    return this.rows === undefined ? 'file' : 'dataset';
  }

  /** Of a data set that of its folder. */
  override get name(): string {
    return this.rows?.name ?? super.name;
  }

  /** The picture: of `cat.tokens.json` it is `cat`, of a data set the row's, beside the folder. */
  override get exportedAs(): { readonly name: string; readonly uri: vscode.Uri } {
    const { name, uri, state } = this;
    const row = state.kind === 'tokenized' ? state.tokenization.origin?.row : undefined;
    if (!row) return { name: name.replace(/\.json$/i, ''), uri };
    return { name: row.path.slice(row.path.lastIndexOf('/') + 1), uri: vscode.Uri.joinPath(uri, '..') };
  }

  /** Restores the row of an editor of a former window, unless one of this window chose already. */
  override restoreRow(index: number): void {
    if (this.rows?.restore(index) === true) this.tokenize();
  }

  override async chooseRow(choice: RowChoice): Promise<void> {
    try {
      if ((await this.rows?.choose(choice)) === true) this.tokenize();
    } catch (error) {
      if (!(error instanceof TatokError)) throw error;
      void window.showErrorMessage(sentences(error.message, error.advice));
    }
  }

  override edit({ edits, label }: EditRequest): void {
    const { content, edits: before, state } = this;
    if (content === undefined || state.kind !== 'tokenized' || keyOfEdits(edits) === keyOfEdits(before)) return;
    try {
      requireEdits(edits, content.model, state.tokenization.image);
    } catch (error) {
      // The page shows edits again that there are.
      this.keepEdits(before);
      throw error;
    }
    this.setEdits(edits);
    this.changedByHand.fire({
      label: plain`${label}`,
      undo: () => this.setEdits(before),
      redo: () => this.setEdits(edits),
    });
  }

  /** Writes the file with its edits. @throws what the file system does. */
  async save(): Promise<void> {
    const bytes = this.bytes();
    await this.write(this.uri, bytes);
    if (this.content !== undefined) this.content = { ...this.content, bytes, edits: this.edits };
    this.backup = undefined;
  }

  /** Writes another file. @throws TatokError for a data set, which has no such file; otherwise what the file system does. */
  async write(target: vscode.Uri, bytes = this.bytes()): Promise<void> {
    await vscode.workspace.fs.writeFile(target, bytes);
  }

  /** Goes back to the file. */
  revert(): void {
    this.backup = undefined;
    this.content = undefined;
    this.tokenize();
  }

  override tokenize(): void {
    this.rows?.forget();
    super.tokenize();
  }

  /** The file with its edits. */
  private bytes(): Uint8Array {
    const { content, edits, backup, name } = this;
    if (content !== undefined) return withEdits(name, content.bytes, content.model, edits);
    if (backup !== undefined) return backup;
    throw new TatokError(
      'tokens-invalid',
      `${name} is not a file of one picture that is open, so it cannot be saved.`,
      'Export its tokens as JSON.',
    );
  }

  private setEdits(edits: Edits): void {
    this.edits = edits;
    this.keepEdits(edits);
  }

  /** Of the document itself, and of those that it edits, other programs change nothing. */
  protected override settled(): void {
    void this.reload();
  }

  private async reload(): Promise<void> {
    const { content, backup } = this;
    if (content !== undefined) {
      const edited = backup !== undefined || keyOfEdits(this.edits) !== keyOfEdits(content.edits);
      const bytes = await this.file.read().catch(() => undefined);
      if (edited || (bytes !== undefined && Buffer.compare(bytes, content.bytes) === 0)) return;
      this.content = undefined;
    }
    this.tokenize();
  }

  protected override async open({ choice, maxMegapixels }: TatokSettings, call: OpenCall): Promise<InspectedPicture> {
    // Tokens of another model are refused before a session is opened.
    const { model } = await readBundle(choice.directory);
    const { params, original, origin } = await (this.rows === undefined ? this.read(model) : this.rows.read(model));
    const opened = await this.services.inference.openTokens(
      {
        ...{ choice, ...params },
        ...(original && { original: original.file }),
        ...(maxMegapixels < Infinity && { maxMegapixels }),
      },
      call,
    );
    const found = opened.image.format === decodedFormat ? undefined : original;
    const edits = this.rows === undefined ? this.edits : null;
    return { ...opened, origin: { ...origin, original: found?.name ?? null, everyCode: params.everyCode, edits } };
  }

  /** Tokens of the file, which is read again unless it is edited. */
  private async read(model: ModelDescription): ReturnType<typeof tokensOfFile> {
    const bytes = this.content?.bytes ?? this.backup ?? (await this.file.read());
    const read = await tokensOfFile(this.uri, bytes, model);
    if (this.content === undefined) this.edits = read.edits;
    this.content = { bytes, model, edits: this.content?.edits ?? read.edits };
    return read;
  }
}

/** True for the description of a token data set. */
export function isDataset({ path }: vscode.Uri): boolean {
  return /\.tokens\/dataset\.json$/i.test(path);
}
