import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import { plain } from '../host/text';
import { window } from '../host/window';
import { TatokError } from '../method/errors';
import { tableCsv, tableLatex } from '../method/modelTable';
import { toResponseError } from '../protocol/errorTransfer';
import * as protocol from '../protocol/modelTable';
import type { TableExport } from '../protocol/modelTable';
import { fromModelTablePage } from '../protocol/schemas';
import { saveFile } from './exportFile';
import { toTatokError } from './failure';
import { ImageFile } from './imageFile';
import { loadPage } from './loadPage';
import { ModelTableWork, type ModelTableRequest, type TableServices } from './modelTableWork';
import { rpcLogger, WebviewPages } from './webviewConnection';

export const modelTableViewType = 'tatok.modelTable';

export interface ModelTableServices extends TableServices {
  readonly extensionUri: vscode.Uri;
  readonly log: vscode.LogOutputChannel;
}

/** Opens tables of models. A table ends with its panel: it is made again by the command. */
export class ModelTables {
  constructor(private readonly services: ModelTableServices) {}

  open(request: ModelTableRequest): void {
    const panel = window.createWebviewPanel(modelTableViewType, plain`Table of Models`, vscode.ViewColumn.Active, {
      // The host has the rows; a page that is shown again asks for them.
      retainContextWhenHidden: false,
    });
    new ModelTablePanel(panel, request, this.services);
  }
}

class ModelTablePanel extends Disposable {
  private readonly pages: WebviewPages;
  private readonly work: ModelTableWork;

  constructor(
    panel: vscode.WebviewPanel,
    private readonly request: ModelTableRequest,
    private readonly services: ModelTableServices,
  ) {
    super();
    this.work = this.register(new ModelTableWork(request, services, readImage));
    this.pages = this.register(
      new WebviewPages(
        panel.webview,
        rpcLogger(services.log),
        (connection) => {
          connection.onRequest(protocol.ready, () => {
            // After the answer to this request.
            setImmediate(() => this.send());
            return { name: panel.title };
          });
          connection.onNotification(protocol.cancel, () => this.work.cancel());
          connection.onNotification(protocol.resume, () => void this.work.start());
          connection.onNotification(protocol.chooseReference, (row) => this.work.chooseReference(row));
          connection.onRequest(protocol.saveTable, (wanted) => this.save(wanted));
        },
        fromModelTablePage,
      ),
    );
    this.register(this.work.onDidChange(() => this.send()));
    this.register(panel.onDidDispose(() => this.dispose()));
    loadPage(panel.webview, services.extensionUri, { page: 'modelTable', title: panel.title });
    void this.work.start();
  }

  private send(): void {
    this.pages.connection?.sendNotification(protocol.tableChanged, this.work.state).catch(() => undefined);
  }

  private async save({ kind, order }: TableExport): Promise<string | null> {
    const { rows, images } = this.work.state;
    const ordered = order.flatMap((id) => rows.find((row) => row.id === id) ?? []);
    const [beside] = this.request.images;
    try {
      if (beside === undefined || ordered.length !== rows.length || new Set(order).size !== order.length) {
        throw new TatokError('bad-message', 'The page exported rows that the table does not have.');
      }
      const text = kind === 'models.csv' ? tableCsv(ordered) : tableLatex(ordered, images.length);
      return await saveFile(beside, { title: 'Table of Models', name: kind }, async () =>
        new TextEncoder().encode(text),
      );
    } catch (error) {
      const failure = toTatokError(error, kind);
      this.services.log.error(failure.message);
      throw toResponseError(failure, (cause) => this.services.log.error(cause));
    }
  }
}

async function readImage(uri: vscode.Uri): Promise<Uint8Array> {
  const file = new ImageFile(uri);
  try {
    return await file.read();
  } finally {
    file.dispose();
  }
}
