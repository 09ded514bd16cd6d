import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import { window } from '../host/window';
import { ImageFile } from './imageFile';
import { InspectorPanel, type EditorServices } from './inspectorPanel';
import { TokensDocument } from './tokensDocument';

/** The view type that shows tokens out of files. */
export const tokensViewType = 'tatok.tokens';

/** Editor of token files, with the inspector's page: VS Code undoes and saves its edits, and backs them up until then. */
export class TokensEditor extends Disposable implements vscode.CustomEditorProvider<TokensDocument> {
  private readonly panels = new Set<InspectorPanel>();
  private readonly changed = this.register(new vscode.EventEmitter<vscode.CustomDocumentEditEvent<TokensDocument>>());
  readonly onDidChangeCustomDocument = this.changed.event;

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

  async openCustomDocument(
    uri: vscode.Uri,
    { backupId }: Pick<vscode.CustomDocumentOpenContext, 'backupId'>,
  ): Promise<TokensDocument> {
    const { services } = this;
    const backup =
      backupId === undefined ? undefined : await vscode.workspace.fs.readFile(vscode.Uri.parse(backupId, true));
    const document = new TokensDocument(new ImageFile(uri), services, services.models.chosenFor(uri), backup);
    // The document's emitter ends with it.
    document.onDidChangeContent((edit) => this.changed.fire({ document, ...edit }));
    return document;
  }

  resolveCustomEditor(document: TokensDocument, panel: vscode.WebviewPanel): void {
    // VS Code undoes in the editor that is active.
    const travel = (way: 'undo' | 'redo') => panel.active && void vscode.commands.executeCommand(way);
    const editor = new InspectorPanel(document, panel, this.services, { tokens: document.kind, travel });
    this.panels.add(editor);
    panel.onDidDispose(() => this.panels.delete(editor));
  }

  saveCustomDocument(document: TokensDocument): Promise<void> {
    return document.save();
  }

  saveCustomDocumentAs(document: TokensDocument, destination: vscode.Uri): Promise<void> {
    return document.write(destination);
  }

  revertCustomDocument(document: TokensDocument): Promise<void> {
    document.revert();
    return Promise.resolve();
  }

  async backupCustomDocument(
    document: TokensDocument,
    { destination }: vscode.CustomDocumentBackupContext,
  ): Promise<vscode.CustomDocumentBackup> {
    await document.write(destination);
    const remove = (): void => void vscode.workspace.fs.delete(destination).then(undefined, () => undefined);
    return { id: destination.toString(), delete: remove };
  }
}
