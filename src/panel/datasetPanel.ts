import { basename } from 'node:path';
import * as vscode from 'vscode';
import { z } from 'zod';
import { Disposable } from '../host/disposable';
import { plain } from '../host/text';
import { window } from '../host/window';
import { DatasetDocument, type DatasetServices } from './datasetDocument';
import { DatasetServer } from './datasetServer';
import { loadPage } from './loadPage';

export const datasetViewType = 'tatok.dataset';

export interface DatasetPanelServices extends DatasetServices {
  readonly extensionUri: vscode.Uri;
}

/** One panel with one data set. Closing it ends the work on it. */
class DatasetPanel extends Disposable {
  constructor(
    readonly panel: vscode.WebviewPanel,
    readonly document: DatasetDocument,
    services: DatasetPanelServices,
  ) {
    super();
    this.register(document);
    this.register(new DatasetServer(document, panel.webview, services));
    this.register(panel.onDidDispose(() => this.dispose()));
    panel.title = plain`${document.name}`;
    loadPage(panel.webview, services.extensionUri, { page: 'dataset', title: document.name });
    void document.open();
  }
}

/** The part of the page's state that says which data set it shows. */
const storedState = z.object({ uri: z.string().min(1) });

const shownKey = 'datasets.shown';
/** Data sets that the next window may bring back. */
const keptShown = 100;

/**
 * Opens data sets, and brings them back after the window reloads, ready to go on. A page can have kept anything, so that only folders that
 * were shown before are opened.
 */
export class Datasets extends Disposable implements vscode.WebviewPanelSerializer {
  private readonly panels = new Map<string, DatasetPanel>();

  constructor(
    private readonly services: DatasetPanelServices,
    /** Folders that were shown. */
    private readonly workspaceState: Pick<vscode.Memento, 'get' | 'update'>,
  ) {
    super();
    this.register(window.registerWebviewPanelSerializer(datasetViewType, this));
  }

  /**
   * Shows a data set; one that is shown already comes to the front.
   *
   * @param folder absolute.
   * @param images to be tokenized into it, absolute paths of folders and files; absent: none but those that it lacks, on request.
   */
  open(folder: string, images?: readonly string[]): void {
    const shown = this.panels.get(folder);
    if (shown !== undefined) {
      shown.panel.reveal();
      if (images !== undefined) void shown.document.resume();
      return;
    }
    const panel = window.createWebviewPanel(datasetViewType, plain`${basename(folder)}`, vscode.ViewColumn.Active, {
      // A hidden page costs memory; the work goes on without it.
      retainContextWhenHidden: false,
    });
    this.show(panel, folder, images);
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const stored = storedState.safeParse(state);
    const uri = stored.success ? stored.data.uri : undefined;
    if (uri === undefined || !this.shownBefore().includes(uri)) {
      panel.dispose();
      return;
    }
    this.show(panel, vscode.Uri.parse(uri, true).fsPath);
  }

  private shownBefore(): string[] {
    return this.workspaceState.get<string[]>(shownKey, []);
  }

  private show(panel: vscode.WebviewPanel, folder: string, images?: readonly string[]): void {
    const document = new DatasetDocument(folder, this.services, images);
    const shown = [document.uri.toString(), ...this.shownBefore()];
    void this.workspaceState.update(shownKey, [...new Set(shown)].slice(0, keptShown));
    this.panels.set(folder, new DatasetPanel(panel, document, this.services));
    panel.onDidDispose(() => this.panels.delete(folder));
  }
}
