import * as vscode from 'vscode';
import { z } from 'zod';
import { Disposable } from '../host/disposable';
import { plain } from '../host/text';
import { window } from '../host/window';
import { ComparisonPanel, type ComparedSide, type ComparedSides } from './comparisonPanel';
import type { EditorServices } from './inspectorEditor';

export const comparisonViewType = 'tatok.comparison';

const side = z.object({ uri: z.string().min(1), model: z.string().min(1).optional() });
type StoredSide = z.infer<typeof side>;

/** The part of the page's state that says what is compared; the rest is the page's own. */
const storedState = z.object({ a: side, b: side });

/** Opens comparisons, and brings them back with what their page kept after the window reloads. */
export class Comparisons extends Disposable implements vscode.WebviewPanelSerializer {
  private readonly panels = new Set<ComparisonPanel>();

  constructor(private readonly services: EditorServices) {
    super();
    this.register(window.registerWebviewPanelSerializer(comparisonViewType, this));
  }

  /** The comparison that the user works in. */
  get active(): ComparisonPanel | undefined {
    return [...this.panels].find((panel) => panel.isActive);
  }

  open(compared: ComparedSides): void {
    const panel = window.createWebviewPanel(
      comparisonViewType,
      plain`Compare`,
      vscode.ViewColumn.Active,
      // A hidden page costs memory; the page keeps its view with setState and the documents their tokenizations.
      { retainContextWhenHidden: false },
    );
    this.show(panel, compared);
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const stored = storedState.safeParse(state);
    if (!stored.success) {
      // The window was reloaded before the page knew what it shows.
      panel.dispose();
      return;
    }
    const restored = ({ uri, model }: StoredSide): ComparedSide => ({
      uri: vscode.Uri.parse(uri, true),
      model: model === undefined ? undefined : this.services.models.located(model),
    });
    const { a, b } = stored.data;
    this.show(panel, { a: restored(a), b: restored(b) });
  }

  private show(panel: vscode.WebviewPanel, compared: ComparedSides): void {
    const comparison = new ComparisonPanel(panel, compared, this.services);
    this.panels.add(comparison);
    panel.onDidDispose(() => this.panels.delete(comparison));
  }
}
