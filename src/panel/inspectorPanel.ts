import { randomBytes } from 'node:crypto';
import {
  CancellationTokenSource,
  type CancellationToken,
  type Logger,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import type { Configuration } from '../host/configuration';
import { Disposable } from '../host/disposable';
import type { Models } from '../host/models';
import type { ProviderStatus } from '../host/providerStatus';
import { toResponseError } from '../inference/errorTransfer';
import type { ExportKind } from '../protocol/exports';
import * as protocol from '../protocol/inspector';
import { TatokError } from '../tokenizer/errors';
import { toTatokError } from './failure';
import { saveExport } from './exportFile';
import { inspectorHtml } from './html';
import type { DocumentState, TokenizationDocument } from './tokenizationDocument';
import { WebviewPages } from './webviewConnection';

export interface PanelServices {
  readonly extensionUri: vscode.Uri;
  readonly configuration: Configuration;
  readonly models: Models;
  readonly status: ProviderStatus;
  readonly log: vscode.LogOutputChannel;
}

/** One editor showing a tokenization: puts the page into the webview, answers its requests and tells it of every change. */
export class InspectorPanel extends Disposable {
  private readonly pages: WebviewPages;

  constructor(
    private readonly document: TokenizationDocument,
    private readonly panel: vscode.WebviewPanel,
    private readonly services: PanelServices,
  ) {
    super();
    this.pages = this.register(
      new WebviewPages(panel.webview, rpcLogger(services.log), (connection) => this.serve(connection)),
    );
    this.register(document.onDidChangeState((state) => this.stateChanged(state)));
    this.register(panel.onDidChangeViewState(() => this.showStatus()));
    this.register(panel.onDidDispose(() => this.dispose()));
    this.register({ dispose: () => services.status.hide(this) });
    // Neither the page nor the model waits for the other to load.
    document.start();
    this.load();
    this.showStatus();
  }

  /** Whether this is the editor that the user works in. */
  get isActive(): boolean {
    return this.panel.active;
  }

  /** Lets the page export what it shows, as if its own menu had been used. */
  async requestExport(kind: ExportKind | 'copy'): Promise<void> {
    const connection = this.pages.connection;
    if (connection === undefined || this.document.state.kind !== 'tokenized') {
      void vscode.window.showInformationMessage(`${this.document.name} is not tokenized yet; try again when it is.`);
      return;
    }
    // Only a page with the focus may write to the clipboard.
    this.panel.reveal();
    await connection.sendNotification(protocol.exportRequested, { kind });
  }

  private load(): void {
    const { webview } = this.panel;
    const dist = vscode.Uri.joinPath(this.services.extensionUri, 'dist');
    const media = vscode.Uri.joinPath(this.services.extensionUri, 'media');
    webview.options = { enableScripts: true, localResourceRoots: [dist, media] };
    webview.html = inspectorHtml({
      cspSource: webview.cspSource,
      nonce: randomBytes(16).toString('base64url'),
      script: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.js')).toString(),
      style: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.css')).toString(),
      title: this.document.name,
    });
  }

  private serve(connection: MessageConnection): void {
    const { document, services } = this;
    connection.onRequest(protocol.ready, ({ cropMode }) => {
      if (cropMode !== undefined) document.restoreCropMode(cropMode);
      // The page is told what is known by now, after the answer to this request.
      setImmediate(() => void this.send(document.state));
      return { name: document.name, uri: document.uri.toString() };
    });
    connection.onRequest(protocol.reconstruct, (filter, token) =>
      this.answer(connection, token, (cancellation) =>
        document.reconstruct(filter, cancellation, (progress) => {
          if (!cancellation.isCancellationRequested) {
            void connection.sendNotification(protocol.reconstructing, progress).catch(() => undefined);
          }
        }),
      ),
    );
    connection.onRequest(protocol.measure, (request, token) =>
      this.answer(connection, token, (cancellation) => document.measure(request, cancellation)),
    );
    connection.onRequest(protocol.influence, (request, token) =>
      this.answer(connection, token, (cancellation) => document.influence(request, cancellation)),
    );
    connection.onRequest(protocol.attention, (request, token) =>
      this.answer(connection, token, (cancellation) => document.attention(request, cancellation)),
    );
    connection.onRequest(protocol.saveDefaults, (filter, token) =>
      this.answer(connection, token, () => services.configuration.saveFilter(filter, document.uri)),
    );
    connection.onRequest(protocol.saveExport, (request, token) =>
      this.answer(connection, token, (cancellation) => saveExport(document, request, cancellation)),
    );
    connection.onRequest(protocol.models, (token) =>
      this.answer(connection, token, async () => {
        const current = document.modelDirectory;
        return { current, options: await services.models.options(document.uri, current) };
      }),
    );
    connection.onRequest(protocol.chooseModel, ({ directory }, token) =>
      this.answer(connection, token, (cancellation) => this.chooseModel(directory, cancellation)),
    );
    connection.onNotification(protocol.chooseCropMode, (mode) => document.chooseCropMode(mode));
    connection.onNotification(protocol.runAction, (action) => this.runAction(action));
    connection.onNotification(protocol.cancel, () => document.cancel());
  }

  /** Answers a request or rejects it with a typed error; work ends with the page that asked for it. */
  private async answer<T>(
    connection: MessageConnection,
    token: CancellationToken,
    work: (cancellation: CancellationToken) => Promise<T>,
  ): Promise<T> {
    const source = new CancellationTokenSource();
    const subscriptions = [
      token.onCancellationRequested(() => source.cancel()),
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
    const directory = wanted ?? (await models.ask(this.document.modelDirectory));
    if (directory === undefined || cancellation.isCancellationRequested) return false;
    await this.document.useModel(directory, cancellation);
    await models.remember(this.document.uri, directory);
    return true;
  }

  private async runAction(action: protocol.FailureAction): Promise<void> {
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
      case 'openSettings':
        await vscode.commands.executeCommand('workbench.action.openSettings', '@ext:tatok.tatok-inspector');
    }
  }

  private stateChanged(state: DocumentState): void {
    void this.send(state);
    this.showStatus();
  }

  private async send(state: DocumentState): Promise<void> {
    const connection = this.pages.connection;
    if (connection === undefined) return;
    try {
      await notify(connection, state);
    } catch (error) {
      // A page that went away meanwhile asks again when it is back; anything else is a defect worth a trace.
      if (this.pages.connection === connection) this.services.log.error(String(error));
    }
  }

  private showStatus(): void {
    const { state } = this.document;
    if (this.panel.active && state.kind === 'tokenized') this.services.status.show(this, state.tokenization);
    else this.services.status.hide(this);
  }
}

async function notify(connection: MessageConnection, state: DocumentState): Promise<void> {
  switch (state.kind) {
    case 'idle':
      return;
    case 'working':
      // Before the first stage is known the page shows its own start.
      if (state.progress !== undefined) await connection.sendNotification(protocol.progressed, state.progress);
      return;
    case 'tokenized':
      await connection.sendNotification(protocol.tokenized, state.tokenization);
      return;
    case 'failed':
      await connection.sendNotification(protocol.failed, state.failure);
  }
}

function rpcLogger(log: vscode.LogOutputChannel): Logger {
  return {
    error: (message) => log.error(message),
    warn: (message) => log.warn(message),
    info: (message) => log.info(message),
    log: (message) => log.debug(message),
  };
}
