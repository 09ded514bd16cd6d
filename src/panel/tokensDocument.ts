import type * as vscode from 'vscode';
import { readBundle } from '../bundle/manifest';
import type { OpenCall } from '../client/client';
import type { TatokSettings } from '../host/tatokSettings';
import { decodedFormat } from '../method/types';
import type { RowChoice } from '../protocol/document';
import { DatasetRows, tokensOfFile } from './tokenSources';
import {
  TokenizationDocument,
  type DocumentServices,
  type InspectedPicture,
  type WatchedImage,
} from './tokenizationDocument';

/** Tokens out of a file, opened without tokenizing anything: those of one picture, or a row of a data set. */
export class TokensDocument extends TokenizationDocument {
  private readonly rows: DatasetRows | undefined;

  constructor(file: WatchedImage, services: DocumentServices, chosenModel?: string) {
    super(file, services, chosenModel);
    this.rows = isDataset(file.uri) ? new DatasetRows(file.uri) : undefined;
  }

  get kind(): 'file' | 'dataset' {
    return this.rows === undefined ? 'file' : 'dataset';
  }

  override async chooseRow(choice: RowChoice): Promise<void> {
    if ((await this.rows?.choose(choice)) === true) this.tokenize();
  }

  override tokenize(): void {
    this.rows?.forget();
    super.tokenize();
  }

  protected override async open({ choice, maxMegapixels }: TatokSettings, call: OpenCall): Promise<InspectedPicture> {
    // Tokens of another model are refused before a session is opened.
    const { model } = await readBundle(choice.directory);
    const { params, original, origin } =
      this.rows === undefined
        ? await tokensOfFile(this.uri, await this.file.read(), model)
        : await this.rows.read(model);
    const opened = await this.services.inference.openTokens(
      {
        ...{ choice, ...params },
        ...(original && { original: original.file }),
        ...(maxMegapixels < Infinity && { maxMegapixels }),
      },
      call,
    );
    const found = opened.image.format === decodedFormat ? undefined : original;
    return { ...opened, origin: { ...origin, original: found?.name ?? null, everyCode: params.everyCode } };
  }
}

/** True for the description of a token data set. */
export function isDataset({ path }: vscode.Uri): boolean {
  return /\.tokens\/dataset\.json$/i.test(path);
}
