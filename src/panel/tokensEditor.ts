import type * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import { window } from '../host/window';
import { ImageFile } from './imageFile';
import { InspectorPanel, type EditorServices } from './inspectorPanel';
import { TokensDocument } from './tokensDocument';

/** The view type that shows tokens out of files. */
export const tokensViewType = 'tatok.tokens';

/** Editor of token files, with the inspector's page. */
export class TokensEditor extends Disposable implements vscode.CustomReadonlyEditorProvider<TokensDocument> {
  private readonly panels = new Set<InspectorPanel>();

  constructor(private readonly services: EditorServices) {
    super();
    this.register(
      window.registerCustomEditorProvider(tokensViewType, this, {
        supportsMultipleEditorsPerDocument: true,
        webviewOptions: { retainContextWhenHidden: false },
      }),
    );
  }

  /** The editor that the user works in. */
  get active(): InspectorPanel | undefined {
    return [...this.panels].find((panel) => panel.isActive);
  }

  openCustomDocument(uri: vscode.Uri): TokensDocument {
    return new TokensDocument(new ImageFile(uri), this.services, this.services.models.chosenFor(uri));
  }

  resolveCustomEditor(document: TokensDocument, panel: vscode.WebviewPanel): void {
    const editor = new InspectorPanel(document, panel, this.services, { tokens: document.kind });
    this.panels.add(editor);
    panel.onDidDispose(() => this.panels.delete(editor));
  }
}
