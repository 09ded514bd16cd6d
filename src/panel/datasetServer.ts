/** Serves a token data set to the page behind a port. A page names images by their places, and budgets that it was told of. */
import {
  CancellationTokenSource,
  type CancellationToken,
  type MessageConnection,
  type NotificationType,
  type RequestParam,
} from 'vscode-jsonrpc/node';
import { LRUCache } from 'lru-cache';
import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import { plain } from '../host/text';
import { window } from '../host/window';
import type { FoundBudget } from '../method/collectionBudget';
import { TatokError } from '../method/errors';
import * as protocol from '../protocol/dataset';
import { runAction, type FailureAction } from '../protocol/document';
import { toResponseError } from '../protocol/errorTransfer';
import { fromDatasetPage } from '../protocol/schemas';
import { collectionOf } from '../tokens/collection';
import type { DatasetDocument, DatasetServices } from './datasetDocument';
import { measureSample } from './datasetCurves';
import { saveFile } from './exportFile';
import { toTatokError } from './failure';
import { inspectorViewType } from './inspectorPanel';
import { rpcLogger, WebviewPages, type MessagePort } from './webviewConnection';

/** Rows of one message. */
const rowsAtOnce = 1000;

/** Thumbnails that are kept: some screens of rows, a few kilobytes each. */
const keptThumbnails = 500;
/** Thumbnails that are made at once: a large picture takes memory while it is decoded. */
const thumbnailsAtOnce = 2;

export class DatasetServer extends Disposable {
  private readonly pages: WebviewPages;
  private readonly thumbnails = new LRUCache<number, Uint8Array>({ max: keptThumbnails });
  private readonly turns = new Turns(thumbnailsAtOnce);
  /** Those that the page was told of last. */
  private found: readonly FoundBudget[] = [];
  private curves: protocol.SampledCurves | undefined;

  constructor(
    private readonly document: DatasetDocument,
    port: MessagePort,
    private readonly services: DatasetServices,
  ) {
    super();
    const serve = (connection: MessageConnection) => this.serve(connection);
    this.pages = this.register(new WebviewPages(port, rpcLogger(services.log), serve, fromDatasetPage));
    this.register(document.onDidChangeState((state) => this.notify(protocol.stateChanged, state)));
    this.register(document.onDidMakeRows((rows) => this.notify(protocol.rowsMade, { rows })));
    this.register(document.onDidLoseRows((places) => this.notify(protocol.rowsLost, places)));
  }

  private serve(connection: MessageConnection): void {
    const { document } = this;
    connection.onRequest(protocol.ready, () => {
      // After the answer to this request.
      setImmediate(() => this.sendAll());
      return { name: document.name, uri: document.uri.toString() };
    });
    connection.onNotification(protocol.cancel, () => document.cancel());
    connection.onNotification(protocol.resume, () => void document.resume());
    connection.onNotification(protocol.openImage, (index) => void this.openImage(index));
    connection.onNotification(runAction, (action) => void this.runAction(action));
    connection.onRequest(protocol.thumbnail, (index, token) =>
      this.answer(connection, token, (cancellation) => this.thumbnail(index, cancellation)),
    );
    connection.onRequest(protocol.saveDatasetExport, ({ kind, bytes }, token) =>
      this.answer(connection, token, () =>
        saveFile(
          document.uri,
          { title: document.name, name: `${document.name.replace(/\.tokens$/, '')}.${kind}` },
          async () => bytes,
        ),
      ),
    );
    connection.onRequest(protocol.measureCurves, (token) =>
      this.answer(connection, token, async (cancellation) => {
        this.curves = await measureSample(document, this.services.inference, cancellation, (curves) =>
          this.notify(protocol.curveMeasured, curves),
        );
        return this.curves;
      }),
    );
    connection.onRequest(protocol.findBudgets, (wanted, token) =>
      this.answer(connection, token, (cancellation) => this.findBudgets(wanted, cancellation)),
    );
    connection.onRequest(protocol.saveBudget, (kind, token) =>
      this.answer(connection, token, () => this.saveBudget(kind)),
    );
  }

  private sendAll(): void {
    const { document } = this;
    this.notify(protocol.stateChanged, document.state);
    const rows = [...document.rows.values()];
    for (let first = 0; first < rows.length; first += rowsAtOnce) {
      this.notify(protocol.rowsMade, { rows: rows.slice(first, first + rowsAtOnce) });
    }
    if (this.curves !== undefined) this.notify(protocol.curveMeasured, this.curves);
  }

  private notify<Params>(type: NotificationType<Params>, params: NoInfer<RequestParam<Params>>): void {
    // A page that is gone asks again when it is back.
    this.pages.connection?.sendNotification(type, params).catch(() => undefined);
  }

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
    const { log } = this.services;
    try {
      return await work(source.token);
    } catch (error) {
      const failure = toTatokError(error, this.document.name);
      if (failure.code !== 'cancelled') log.error(`${this.document.folder}: ${failure.message}`);
      throw toResponseError(failure, (cause) => log.error(cause));
    } finally {
      for (const subscription of subscriptions) subscription.dispose();
      source.dispose();
    }
  }

  private async thumbnail(index: number, token: CancellationToken): Promise<Uint8Array | null> {
    const kept = this.thumbnails.get(index);
    if (kept !== undefined) return kept;
    return this.turns.take(async () => {
      if (token.isCancellationRequested) return null;
      const made = await this.document.thumbnail(index, token).catch((error: unknown) => {
        // The row has its place without one.
        this.services.log.debug(`No thumbnail of ${this.document.name}: ${String(error)}`);
        return null;
      });
      if (made !== null) this.thumbnails.set(index, made);
      return made;
    });
  }

  private async openImage(index: number): Promise<void> {
    try {
      const { file, path } = await this.document.input(index);
      if (file === undefined) {
        void window.showInformationMessage(plain`${path} lies in an archive; the inspector opens files alone.`);
        return;
      }
      await vscode.commands.executeCommand('vscode.openWith', vscode.Uri.file(file), inspectorViewType, {
        viewColumn: vscode.ViewColumn.Active,
        preview: false,
      } satisfies vscode.TextDocumentShowOptions);
    } catch (error) {
      const { message, advice = '' } = toTatokError(error, this.document.name);
      void window.showErrorMessage(plain`${message} ${advice}`);
    }
  }

  private async findBudgets(wanted: number, token: CancellationToken): Promise<protocol.CollectionBudgets> {
    const { written } = this.document;
    if (written === undefined) throw new TatokError('tokens-invalid', `${this.document.name} has no tokens yet.`);
    const { collection, approximate } = await collectionOf(written, token);
    // Another model than the one that is configured has another reference.
    const reference = await this.document.maker(token).then(
      ({ loaded }) => loaded.model.referenceBudgetBits,
      () => undefined,
    );
    this.found = collection.budgetsFor(wanted, reference);
    return { wanted, images: collection.images, approximate, found: this.found };
  }

  private async saveBudget(kind: FoundBudget['kind']): Promise<boolean> {
    const found = this.found.find((each) => each.kind === kind);
    const { written } = this.document;
    if (found === undefined || kind === 'collection' || written?.settings === undefined) {
      throw new TatokError('bad-message', 'The page chose a budget that it was not offered.');
    }
    const write = plain`Write Settings`;
    const answer = await window.showInformationMessage(
      plain`Write ε = ${found.lossRate} of the ${kind} budget to the settings?`,
      {
        modal: true,
        detail: plain`tatok.lossRate, tatok.budget, tatok.ranking and tatok.edgePriority become those of ${this.document.name}, of the workspace or, without one, of the user. A mean of ${found.spread.mean.toFixed(1)} tokens over these images follows.`,
      },
      write,
    );
    if (answer !== write) return false;
    const filter = { ...written.settings, lossRate: found.lossRate, budget: kind };
    await this.services.configuration.saveFilter(filter, this.document.uri);
    return true;
  }

  private async runAction(action: FailureAction): Promise<void> {
    if (action === 'showOutput') this.services.log.show();
    else if (this.document.state.failure?.actions.includes(action) !== true) {
      this.services.log.warn(`The page ran the action ${action}, which it was not offered; it is ignored.`);
    } else if (action === 'retry') await this.document.resume();
    else if (action === 'openSettings') {
      await vscode.commands.executeCommand('workbench.action.openSettings', '@ext:tatok.tatok-inspector');
    }
  }
}

/** Lets so many works run at once; the latest that waits is the next: it is what is looked at now. */
class Turns {
  private readonly waiting: (() => void)[] = [];
  private taken = 0;

  constructor(private readonly most: number) {}

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.taken >= this.most) await new Promise<void>((begin) => this.waiting.push(begin));
    else this.taken++;
    try {
      return await work();
    } finally {
      const next = this.waiting.pop();
      if (next === undefined) this.taken--;
      else next();
    }
  }
}
