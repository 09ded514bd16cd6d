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
import type { CropMode, FilterSettings, ShownImage } from '../method/types';
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

/** How a server shares its document with the other side of a comparison. */
export interface SharedDocument {
  /** The document to be changed for this side alone: its own, or one like that of both sides, which is idle. */
  own(): TokenizationDocument;
  /** Told of the model that was chosen; answers its stored form. */
  keepModel(directory: string): string;
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
  private following: vscode.Disposable;
  /** Cancelled once another document is served: what pages asked of the former is not worth waiting for. */
  private switching = new CancellationTokenSource();

  constructor(
    private document: TokenizationDocument,
    port: MessagePort,
    private readonly services: ServerServices,
    private readonly start: DocumentStart = {},
    /** Absent outside of comparisons: no other page minds what becomes of the document. */
    private readonly shared?: SharedDocument,
  ) {
    super();
    this.pages = this.register(new WebviewPages(port, rpcLogger(services.log), (connection) => this.serve(connection)));
    this.following = this.follow(document);
    this.register({ dispose: () => void this.following.dispose() });
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
    const { services } = this;
    const { comparedWith, travel, openNeighbour, rememberView, ...start } = this.start;
    this.sentImage = undefined;
    connection.onRequest(protocol.ready, ({ cropMode, row }) => {
      // Sides of a comparison remember one each.
      if (cropMode !== undefined && this.shared !== undefined) this.chooseCropMode(cropMode);
      else if (cropMode !== undefined) this.document.restoreCropMode(cropMode);
      const { document } = this;
      if (row !== undefined) document.restoreRow(row);
      // The page is sent the current state, after the answer to this request.
      setImmediate(() => void this.send(this.document.state));
      return { ...start, name: document.name, uri: document.uri.toString() };
    });
    // An export is finished whatever happens to the file meanwhile; analyses are of no use with other tokens.
    answerAnalyses(connection, (request, call) =>
      this.answer(connection, [call.token, this.switching.token, this.document.untilReplaced], (token) =>
        this.document.ask(checkedAnalysis(request, this.limits), { ...call, token }),
      ),
    );
    connection.onNotification(protocol.filtering, (filter) => {
      this.filtering = filter;
    });
    connection.onRequest(protocol.saveDefaults, (filter, token) =>
      this.answer(connection, [token], () => services.configuration.saveFilter(filter, this.document.uri)),
    );
    connection.onRequest(protocol.saveExport, (request, token) =>
      this.answer(connection, [token], (cancellation) => {
        const { document } = this;
        const tokenizationUnder: TokenizationDocument['tokenizationUnder'] = (...under) =>
          document.tokenizationUnder(...under);
        const sweep: TokenizationDocument['sweep'] = (...of) => document.sweep(...of);
        const exported = { ...document.exportedAs, state: document.state, tokenizationUnder, sweep };
        return saveExport(exported, request, cancellation, comparedWith);
      }),
    );
    connection.onRequest(protocol.models, (token) =>
      this.answer(connection, [token], async () => {
        const { document } = this;
        const directory = document.modelDirectory;
        const folders = await services.models.options(document.uri, directory);
        const options = folders.map((folder) => ({ id: this.offer(folder.directory), label: folder.label }));
        return { current: this.offer(directory), directory, options };
      }),
    );
    connection.onRequest(protocol.chooseModel, ({ model }, token) =>
      this.answer(connection, [token], (cancellation) => this.chooseModel(model, cancellation)),
    );
    connection.onNotification(protocol.chooseCropMode, (mode) => this.chooseCropMode(mode));
    connection.onNotification(protocol.edit, (request) => this.document.edit(request));
    connection.onNotification(protocol.travel, (way) => travel?.(way));
    connection.onNotification(protocol.chooseRow, (choice) => this.document.chooseRow(choice));
    connection.onRequest(protocol.chooseOther, (token) =>
      this.answer(connection, [token, this.document.untilReplaced], (cancellation) => this.chooseOther(cancellation)),
    );
    connection.onRequest(protocol.openNeighbour, (request, token) =>
      this.answer(connection, [token], async () => openNeighbour?.(request) ?? false),
    );
    connection.onNotification(protocol.rememberView, ({ view }) => rememberView?.(view));
    connection.onNotification(protocol.runAction, (action) => this.runAction(action));
    connection.onNotification(protocol.cancel, () => this.document.cancel());
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

  /** The document, for a change that the other side of a comparison is not to see. */
  private own(): TokenizationDocument {
    const own = this.shared?.own() ?? this.document;
    if (own === this.document) return own;
    this.switching.cancel();
    this.switching = new CancellationTokenSource();
    this.following.dispose();
    this.document = own;
    this.following = this.follow(own);
    return own;
  }

  private follow(document: TokenizationDocument): vscode.Disposable {
    return vscode.Disposable.from(
      document.onDidChangeState((state) => this.stateChanged(state)),
      document.onDidEdit((edits) => this.sendEdits(edits)),
    );
  }

  private chooseCropMode(mode: CropMode): void {
    if (mode !== this.document.cropMode || this.document.state.kind === 'failed') this.own().chooseCropMode(mode);
  }

  private async chooseModel(wanted: string | null, cancellation: CancellationToken): Promise<boolean> {
    const { models } = this.services;
    const directory = wanted === null ? await models.ask(this.document.modelDirectory) : this.offered.get(wanted);
    if (wanted !== null && directory === undefined) {
      throw new TatokError('bad-message', 'The page chose a model that it was not offered.');
    }
    if (directory === undefined || cancellation.isCancellationRequested) return false;
    const document = this.own();
    try {
      await document.useModel(directory, cancellation);
    } finally {
      // One that was idle goes on with the model that the side had.
      document.start();
    }
    if (this.shared === undefined) await models.remember(document.uri, directory);
    else {
      await models.rememberFolder(directory);
      await this.connection?.sendNotification(protocol.modelKept, { model: this.shared.keepModel(directory) });
    }
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
    if (!this.offers(action)) {
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
      case 'setUpCuda':
        await vscode.commands.executeCommand('tatok.setUpCuda');
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

  /**
   * Buttons of a failure alone, as they were offered: no page lifts a limit by itself. The log may be looked at any time. Where CUDA is not
   * used, the list of what it needs may be opened: the command asks before it does anything.
   */
  private offers(action: protocol.FailureAction): boolean {
    const { state } = this.document;
    if (action === 'showOutput') return true;
    if (action === 'setUpCuda') {
      return (
        state.kind === 'tokenized' && state.tokenization.provider.failures.some(({ provider }) => provider === 'cuda')
      );
    }
    return state.kind === 'failed' && state.failure.actions.includes(action);
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
