import type * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import { window } from '../host/window';
import { ImageFile } from './imageFile';
import { InspectorPanel, type PanelServices } from './inspectorPanel';
import { TokenizationDocument, type DocumentServices } from './tokenizationDocument';

/** The one view type that shows tokenizations, for *Reopen Editor With…* and for the commands alike. */
export const inspectorViewType = 'tatok.inspector';

export interface EditorServices
  extends PanelServices, Pick<DocumentServices, 'inference' | 'onDidRestart' | 'onDidLoad'> {}

/** Read-only custom editor; VS Code itself brings back its tabs, with the page's own state, after the window reloads. */
export class InspectorEditor extends Disposable implements vscode.CustomReadonlyEditorProvider<TokenizationDocument> {
  private readonly panels = new Set<InspectorPanel>();

  constructor(private readonly services: EditorServices) {
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
    return new TokenizationDocument(new ImageFile(uri), this.services, this.services.models.chosenFor(uri));
  }

  resolveCustomEditor(document: TokenizationDocument, panel: vscode.WebviewPanel): void {
    const inspector = new InspectorPanel(document, panel, this.services);
    this.panels.add(inspector);
    panel.onDidDispose(() => this.panels.delete(inspector));
  }
}
