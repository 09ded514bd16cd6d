import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import type { ProviderStatus } from '../host/providerStatus';
import { plain } from '../host/text';
import { window } from '../host/window';
import { exportChoices, type ExportKind } from '../protocol/exports';
import type { InspectedTokenization } from '../protocol/document';
import * as protocol from '../protocol/document';
import type { Tokens } from '../method/types';
import type { ComparedSide } from './comparisonPanel';
import { DocumentServer, type DocumentStart, type ServerServices } from './documentServer';
import type { ExportingPanel, OfferedExport } from './exportFile';
import { loadPage } from './loadPage';
import { neighbourOf, type Views } from './views';
import { TokenizationDocument, type DocumentServices } from './tokenizationDocument';
import { ImageFile } from './imageFile';

export interface InspectorServices extends PanelServices {
  /** Absent where one page has nothing to do with how others look. */
  readonly views?: Views | undefined;
}

export interface PanelServices extends ServerServices {
  readonly extensionUri: vscode.Uri;
  readonly status: ProviderStatus;
}

/** One editor showing a tokenization: the page in its webview, and what VS Code shows around it. */
export class InspectorPanel extends Disposable implements ExportingPanel {
  private readonly server: DocumentServer;

  constructor(
    private readonly document: TokenizationDocument,
    private readonly panel: vscode.WebviewPanel,
    private readonly services: InspectorServices,
    start: DocumentStart = {},
  ) {
    super();
    const { views } = services;
    const beginning = views && {
      view: views.beginning(document.uri),
      rememberView: (view: string) => views.remember(view),
      openNeighbour: (request: protocol.NeighbourRequest) => this.openNeighbour(request, views),
    };
    this.server = this.register(new DocumentServer(document, panel.webview, services, { ...beginning, ...start }));
    this.register(document.onDidChangeState(() => this.showStatus()));
    this.register(panel.onDidChangeViewState(() => this.showStatus()));
    this.register(panel.onDidDispose(() => this.dispose()));
    this.register({ dispose: () => services.status.hide(this) });
    // Neither the page nor the model waits for the other to load.
    document.start();
    loadPage(panel.webview, services.extensionUri, { page: 'inspector', title: document.name });
    this.showStatus();
  }

  /** True if this is the editor that the user works in. */
  get isActive(): boolean {
    return this.panel.active;
  }

  /** Its picture, model and settings, as one side of a comparison. */
  get compared(): ComparedSide {
    const { document, server } = this;
    const { state } = document;
    return {
      uri: document.uri,
      model: document.modelDirectory,
      cropMode: state.kind === 'tokenized' ? state.tokenization.image.cropMode : undefined,
      settings: server.settings,
      ranked: state.kind === 'tokenized' && state.tokenization.model.filters,
    };
  }

  /** Exports on offer; empty before the picture is tokenized. */
  get exports(): readonly (readonly OfferedExport[])[] {
    const { state } = this.document;
    if (state.kind !== 'tokenized') return [];
    return exportChoices(state.tokenization.model).map((group) =>
      group.map(({ kind, label, detail }) => ({ label, detail, run: () => this.requestExport(kind) })),
    );
  }

  copyView(): Promise<void> {
    return this.requestExport('copy');
  }

  /** Lets the page export what it shows, as if its own menu had been used. */
  private async requestExport(kind: ExportKind | 'copy'): Promise<void> {
    const { connection } = this.server;
    if (connection === undefined || this.document.state.kind !== 'tokenized') {
      void window.showInformationMessage(plain`${this.document.name} is not tokenized yet; try again when it is.`);
      return;
    }
    // Only a page with the focus may write to the clipboard.
    this.panel.reveal();
    await connection.sendNotification(protocol.exportRequested, { kind });
  }

  /** Shows another image of the folder, with model and view of this one, and closes this one. @returns false where there is none. */
  private async openNeighbour({ which, view, cropMode }: protocol.NeighbourRequest, views: Views): Promise<boolean> {
    const { document, panel, services } = this;
    const target = await neighbourOf(document.uri, which);
    if (target === undefined) return false;
    const { models } = services;
    if (models.chosenFor(document.uri) !== undefined) await models.remember(target, document.modelDirectory);
    views.hand(target, { view, cropMode });
    await vscode.commands.executeCommand('vscode.openWith', target, inspectorViewType, {
      viewColumn: panel.viewColumn ?? vscode.ViewColumn.Active,
      preview: false,
    } satisfies vscode.TextDocumentShowOptions);
    panel.dispose();
    return true;
  }

  private showStatus(): void {
    const { state } = this.document;
    if (this.panel.active && state.kind === 'tokenized') this.services.status.show(this, state.tokenization);
    else this.services.status.hide(this);
  }
}

/** The one view type that shows tokenizations, for *Reopen Editor With…* and for the commands alike. */
export const inspectorViewType = 'tatok.inspector';

export interface EditorServices
  extends PanelServices, Pick<DocumentServices, 'inference' | 'onDidRestart' | 'onDidLoad'> {}

/** Read-only custom editor; VS Code itself brings back its tabs, with the page's own state, after the window reloads. */
export class InspectorEditor extends Disposable implements vscode.CustomReadonlyEditorProvider<TokenizationDocument> {
  private readonly panels = new Set<InspectorPanel>();
  private readonly tokenized = this.register(
    new vscode.EventEmitter<{ readonly uri: vscode.Uri; readonly tokenization: InspectedTokenization }>(),
  );
  /** Fires when an image has new tokens. */
  readonly onDidTokenize = this.tokenized.event;

  constructor(private readonly services: EditorServices & Required<InspectorServices>) {
    super();
    this.register(
      window.registerCustomEditorProvider(inspectorViewType, this, {
        supportsMultipleEditorsPerDocument: true,
        // A hidden page costs memory; the page keeps its view with setState and the document its tokenization.
        webviewOptions: { retainContextWhenHidden: false },
      }),
    );
  }

  /** The inspector that the user works in. */
  get active(): InspectorPanel | undefined {
    return [...this.panels].find((panel) => panel.isActive);
  }

  openCustomDocument(uri: vscode.Uri): TokenizationDocument {
    const document = new TokenizationDocument(new ImageFile(uri), this.services, this.services.models.chosenFor(uri));
    let told: Tokens | undefined;
    document.onDidChangeState((state) => {
      // Other settings are no other tokens.
      if (state.kind !== 'tokenized' || state.tokenization.tokens === told) return;
      told = state.tokenization.tokens;
      this.tokenized.fire({ uri, tokenization: state.tokenization });
    });
    return document;
  }

  resolveCustomEditor(document: TokenizationDocument, panel: vscode.WebviewPanel): void {
    const cropMode = this.services.views?.cropModeOf(document.uri);
    if (cropMode !== undefined) document.restoreCropMode(cropMode);
    const inspector = new InspectorPanel(document, panel, this.services);
    this.panels.add(inspector);
    panel.onDidDispose(() => this.panels.delete(inspector));
  }
}
