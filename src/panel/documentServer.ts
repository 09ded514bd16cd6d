import { isDeepStrictEqual } from 'node:util';
import { CancellationToken, CancellationTokenSource, type MessageConnection } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import type { Configuration } from '../host/configuration';
import { Disposable } from '../host/disposable';
import { imageExtensions } from '../host/imageFiles';
import type { Models } from '../host/models';
import { plain, sentences } from '../host/text';
import { window } from '../host/window';
import { toResponseError } from '../protocol/errorTransfer';
import { answerAnalyses } from '../protocol/analyses';
import { checkedAnalysis, limitsOf, type PictureLimits } from '../protocol/schemas';
import type { DecodedPicture } from '../protocol/engineMessages';
import * as protocol from '../protocol/document';
import type { Edits } from '../method/edits';
import { TatokError } from '../method/errors';
import type { FilterSettings, ShownImage } from '../method/types';
import { saveExport } from './exportFile';
import { toTatokError } from './failure';
import type { DocumentState, TokenizationDocument } from './tokenizationDocument';
import { rpcLogger, WebviewPages, type MessagePort } from './webviewConnection';
import { hasPart } from '../method/parts';

export interface ServerServices {
  readonly configuration: Configuration;
  readonly models: Models;
  readonly log: vscode.LogOutputChannel;
}

/** Facts of its document that a page is sent besides the name. */
export interface DocumentStart extends Omit<protocol.InspectedDocument, 'name' | 'uri'> {
  /** Name of the image that a comparison compares the document with; it may be the same. Not sent. */
  readonly comparedWith?: string | undefined;
  /** Undoes or redoes a change of the document; absent where VS Code knows none. Not sent. */
  readonly travel?: ((way: protocol.Travel) => void) | undefined;
  /** Shows another image of the folder; absent where a page cannot. Not sent. */
  readonly openNeighbour?: ((request: protocol.NeighbourRequest) => Promise<boolean>) | undefined;
  /** Keeps how pages of other images begin; absent where that is not kept. Not sent. */
  readonly rememberView?: ((view: string) => void) | undefined;
}

/** Serves one document to the pages behind a port: answers their requests and tells them of every change. */
export class DocumentServer extends Disposable {
  private readonly pages: WebviewPages;
  /** The last image that was sent to the page now shown: it is sent once. */
  private sentImage: ShownImage | undefined;
  /** The filter settings that the page sent last. */
  private filtering: FilterSettings | undefined;
  private tokenizedUnder: FilterSettings | undefined;
  /** Folders of the models that a page was offered, by their ids: it can choose no other. */
  private readonly offered = new Map<string, string>();

  constructor(
    private readonly document: TokenizationDocument,
    port: MessagePort,
    private readonly services: ServerServices,
    private readonly start: DocumentStart = {},
  ) {
    super();
    this.pages = this.register(new WebviewPages(port, rpcLogger(services.log), (connection) => this.serve(connection)));
    this.register(document.onDidChangeState((state) => this.stateChanged(state)));
    this.register(document.onDidEdit((edits) => this.sendEdits(edits)));
  }

  /** The connection to the page now shown; undefined before the first page is ready. */
  get connection(): MessageConnection | undefined {
    return this.pages.connection;
  }

  /** The page's filter settings, as far as it sent them; undefined while there is nothing that a model could filter. */
  get settings(): FilterSettings | undefined {
    const { state } = this.document;
    if (state.kind === 'tokenized' && !hasPart(state.tokenization.model, 'rates')) return undefined;
    return this.filtering ?? this.tokenizedUnder;
  }

  private serve(connection: MessageConnection): void {
    const { document, services } = this;
    const { comparedWith, travel, openNeighbour, rememberView, ...start } = this.start;
    this.sentImage = undefined;
    connection.onRequest(protocol.ready, ({ cropMode, row }) => {
      if (cropMode !== undefined) document.restoreCropMode(cropMode);
      if (row !== undefined) document.restoreRow(row);
      // The page is sent the current state, after the answer to this request.
      setImmediate(() => void this.send(document.state));
      return { ...start, name: document.name, uri: document.uri.toString() };
    });
    // An export is finished whatever happens to the file meanwhile; analyses are of no use with other tokens.
    answerAnalyses(connection, (request, call) =>
      this.answer(connection, [call.token, document.untilReplaced], (token) =>
        document.ask(checkedAnalysis(request, this.limits), { ...call, token }),
      ),
    );
    connection.onNotification(protocol.filtering, (filter) => {
      this.filtering = filter;
    });
    connection.onRequest(protocol.saveDefaults, (filter, token) =>
      this.answer(connection, [token], () => services.configuration.saveFilter(filter, document.uri)),
    );
    connection.onRequest(protocol.saveExport, (request, token) =>
      this.answer(connection, [token], (cancellation) => {
        const tokenizationUnder: TokenizationDocument['tokenizationUnder'] = (...under) =>
          document.tokenizationUnder(...under);
        return saveExport({ ...document.exportedAs, tokenizationUnder }, request, cancellation, comparedWith);
      }),
    );
    connection.onRequest(protocol.models, (token) =>
      this.answer(connection, [token], async () => {
        const directory = document.modelDirectory;
        const folders = await services.models.options(document.uri, directory);
        const options = folders.map((folder) => ({ id: this.offer(folder.directory), label: folder.label }));
        return { current: this.offer(directory), directory, options };
      }),
    );
    connection.onRequest(protocol.chooseModel, ({ model }, token) =>
      this.answer(connection, [token], (cancellation) => this.chooseModel(model, cancellation)),
    );
    connection.onNotification(protocol.chooseCropMode, (mode) => document.chooseCropMode(mode));
    connection.onNotification(protocol.edit, (request) => document.edit(request));
    connection.onNotification(protocol.travel, (way) => travel?.(way));
    connection.onNotification(protocol.chooseRow, (choice) => document.chooseRow(choice));
    connection.onRequest(protocol.chooseOther, (token) =>
      this.answer(connection, [token, document.untilReplaced], (cancellation) => this.chooseOther(cancellation)),
    );
    connection.onRequest(protocol.openNeighbour, (request, token) =>
      this.answer(connection, [token], async () => openNeighbour?.(request) ?? false),
    );
    connection.onNotification(protocol.rememberView, ({ view }) => rememberView?.(view));
    connection.onNotification(protocol.runAction, (action) => this.runAction(action));
    connection.onNotification(protocol.cancel, () => document.cancel());
  }

  /** Answers a request or rejects it with a typed error; work ends by any of the tokens, and with the page that asked for it. */
  private async answer<T>(
    connection: MessageConnection,
    tokens: readonly (CancellationToken | undefined)[],
    work: (cancellation: CancellationToken) => Promise<T>,
  ): Promise<T> {
    const source = new CancellationTokenSource();
    const subscriptions = [
      ...tokens.flatMap((token) => token?.onCancellationRequested(() => source.cancel()) ?? []),
      connection.onDispose(() => source.cancel()),
    ];
    try {
      return await work(source.token);
    } catch (error) {
      const failure = source.token.isCancellationRequested
        ? new TatokError('cancelled', 'The request was cancelled.')
        : toTatokError(error, this.document.name);
      const { log } = this.services;
      if (failure.code !== 'cancelled') log.error(`${this.document.uri.toString(true)}: ${failure.message}`);
      throw toResponseError(failure, (cause) => log.error(cause));
    } finally {
      for (const subscription of subscriptions) subscription.dispose();
      source.dispose();
    }
  }

  private async chooseModel(wanted: string | null, cancellation: CancellationToken): Promise<boolean> {
    const { models } = this.services;
    const directory = wanted === null ? await models.ask(this.document.modelDirectory) : this.offered.get(wanted);
    if (wanted !== null && directory === undefined) {
      throw new TatokError('bad-message', 'The page chose a model that it was not offered.');
    }
    if (directory === undefined || cancellation.isCancellationRequested) return false;
    await this.document.useModel(directory, cancellation);
    await models.remember(this.document.uri, directory);
    return true;
  }

  private async chooseOther(cancellation: CancellationToken): Promise<protocol.OtherTokens | null> {
    const [chosen] =
      (await window.showOpenDialog({
        title: plain`Choose an Image Whose Global Tokens to Use`,
        openLabel: 'Use Its Tokens',
        filters: { Images: [...imageExtensions] },
        defaultUri: vscode.Uri.joinPath(this.document.uri, '..'),
      })) ?? [];
    return chosen === undefined ? null : this.document.globalTokensOf(chosen, cancellation);
  }

  /** The id of a model's folder. */
  private offer(directory: string): string {
    const [known] = [...this.offered].find(([, folder]) => folder === directory) ?? [];
    const id = known ?? String(this.offered.size);
    this.offered.set(id, directory);
    return id;
  }

  /** Of the current tokens; while there are none nothing is asked of them. */
  private get limits(): PictureLimits {
    const { state, name } = this.document;
    if (state.kind !== 'tokenized') throw new TatokError('cancelled', `${name} is not tokenized.`);
    const { image, model } = state.tokenization;
    return limitsOf(image, model.globalTokens, model);
  }

  private async runAction(action: protocol.FailureAction): Promise<void> {
    const { state } = this.document;
    // Buttons of a failure alone, as they were offered: no page lifts a limit by itself. The log may be looked at any time.
    if (action !== 'showOutput' && !(state.kind === 'failed' && state.failure.actions.includes(action))) {
      this.services.log.warn(`The page ran the action ${action}, which it was not offered; it is ignored.`);
      return;
    }
    switch (action) {
      case 'retry':
        this.document.tokenize();
        return;
      case 'openAnyway':
        this.document.openAnyway();
        return;
      case 'showOutput':
        this.services.log.show();
        return;
      case 'chooseModel':
        await this.chooseModel(null, CancellationToken.None).catch((error: unknown) => {
          const { message, advice } = toTatokError(error, this.document.name);
          void window.showErrorMessage(sentences(message, advice));
        });
        return;
      case 'openSettings':
        await vscode.commands.executeCommand('workbench.action.openSettings', '@ext:tatok.tatok-inspector');
    }
  }

  private stateChanged(state: DocumentState): void {
    if (state.kind === 'tokenized') {
      const { settings } = state.tokenization;
      // Pages go over to what the host's settings say now.
      if (!isDeepStrictEqual(settings, this.tokenizedUnder)) this.filtering = undefined;
      this.tokenizedUnder = settings;
    }
    void this.send(state);
  }

  private sendEdits(edits: Edits): void {
    // A page that went away meanwhile is told when it is back.
    this.pages.connection?.sendNotification(protocol.edited, edits).catch(() => undefined);
  }

  private async send(state: DocumentState): Promise<void> {
    const connection = this.pages.connection;
    if (connection === undefined) return;
    try {
      await this.notify(connection, state);
    } catch (error) {
      // A page that went away meanwhile asks again when it is back; anything else is a defect worth a trace.
      if (this.pages.connection === connection) this.services.log.error(String(error));
    }
  }

  private async notify(connection: MessageConnection, state: DocumentState): Promise<void> {
    switch (state.kind) {
      case 'idle':
        return;
      case 'working': {
        const { picture, progress } = state;
        // Both are sent before anything later is; before the first stage is known the page shows its own start.
        await Promise.all([
          picture && this.sendPicture(connection, picture),
          progress && connection.sendNotification(protocol.progressed, progress),
        ]);
        return;
      }
      case 'tokenized': {
        const { image, ...tokens } = state.tokenization;
        await Promise.all([
          this.sendPicture(connection, { image, model: tokens.model, settings: tokens.settings }),
          connection.sendNotification(protocol.tokenized, tokens),
        ]);
        return;
      }
      case 'failed':
        await connection.sendNotification(protocol.failed, state.failure);
    }
  }

  private async sendPicture(connection: MessageConnection, picture: DecodedPicture): Promise<void> {
    if (picture.image === this.sentImage) return;
    this.sentImage = picture.image;
    await connection.sendNotification(protocol.pictured, picture);
  }
}
