import * as vscode from 'vscode';
import { z } from 'zod';
import { Disposable } from '../host/disposable';
import { plain, type Plain } from '../host/text';
import { window } from '../host/window';
import { comparisonRequested, sides, type Side } from '../protocol/comparison';
import { comparisonChoices, type ComparisonKind } from '../protocol/exports';
import type { CropMode, FilterSettings } from '../method/types';
import { DocumentServer, type SharedDocument } from './documentServer';
import { ImageFile } from './imageFile';
import type { EditorServices } from './inspectorPanel';
import type { ExportingPanel, OfferedExport } from './exportFile';
import { loadPage } from './loadPage';
import { sidePort } from './webviewConnection';
import { TokenizationDocument } from './tokenizationDocument';

/** One of two tokenizations to compare. */
export interface ComparedSide {
  readonly uri: vscode.Uri;
  /** Folder of the model chosen in place of the configured one. */
  readonly model?: string | undefined;
  /** Absent: as the settings say, or as the page remembers. */
  readonly cropMode?: CropMode | undefined;
  readonly settings?: FilterSettings | undefined;
  /** True if its tokens are ranked, so that settings of the ranking have an effect. */
  readonly ranked?: boolean | undefined;
}

export type ComparedSides = Readonly<Record<Side, ComparedSide>>;

/** One panel with two tokenizations; sides that differ in settings only share one. */
export class ComparisonPanel extends Disposable implements ExportingPanel {
  private readonly documents = new Map<Side, TokenizationDocument>();
  private readonly servers = new Map<Side, DocumentServer>();

  constructor(
    private readonly panel: vscode.WebviewPanel,
    private compared: ComparedSides,
    private readonly services: EditorServices,
    /** Told of what is compared, whenever a side chooses another model. */
    private readonly remember: (compared: ComparedSides) => void = () => undefined,
  ) {
    super();
    this.documents.set('a', this.open(compared.a));
    const same = compared.a.uri.toString() === compared.b.uri.toString() && compared.a.model === compared.b.model;
    const shared = same && compared.a.cropMode === compared.b.cropMode ? this.documents.get('a') : undefined;
    this.documents.set('b', shared ?? this.open(compared.b));
    for (const side of sides) {
      const document = this.documentOf(side);
      const { settings, model } = compared[side];
      const port = sidePort(panel.webview, side);
      const comparedWith = this.documentOf(other(side)).name;
      const shown = { settings, model: model === undefined ? undefined : services.models.kept(model), comparedWith };
      this.servers.set(side, this.register(new DocumentServer(document, port, services, shown, this.shares(side))));
    }
    this.register(panel.onDidChangeViewState(() => this.showStatus()));
    this.register(panel.onDidDispose(() => this.dispose()));
    this.register({ dispose: () => services.status.hide(this) });
    for (const document of new Set(this.documents.values())) document.start();
    panel.title = titleOf(compared);
    loadPage(panel.webview, services.extensionUri, { page: 'comparison', title: panel.title });
  }

  /** True if this is the panel that the user works in. */
  get isActive(): boolean {
    return this.panel.active;
  }

  /** Both pictures; nothing before both are tokenized. */
  get exports(): readonly (readonly OfferedExport[])[] {
    const tokenized = [...this.documents.values()].every(({ state }) => state.kind === 'tokenized');
    if (!tokenized) return [];
    return [
      comparisonChoices.map(({ kind, label, detail }) => ({ label, detail, run: () => this.requestExport(kind) })),
    ];
  }

  copyView(): Promise<void> {
    return this.requestExport('copy');
  }

  /** Lets the page export what it shows, as if its own menu had been used. */
  private async requestExport(kind: ComparisonKind | 'copy'): Promise<void> {
    const connection = this.servers.get('a')?.connection;
    if (connection === undefined || this.exports.length === 0) {
      void window.showInformationMessage(plain`The images are not tokenized yet; try again when they are.`);
      return;
    }
    // Only a page with the focus may write to the clipboard.
    this.panel.reveal();
    await connection.sendNotification(comparisonRequested, { kind });
  }

  private open({ uri, model, cropMode }: ComparedSide): TokenizationDocument {
    const document = this.register(new TokenizationDocument(new ImageFile(uri), this.services, model, cropMode));
    this.register(document.onDidChangeState(() => this.showStatus()));
    return document;
  }

  private documentOf(side: Side): TokenizationDocument {
    const document = this.documents.get(side);
    if (document === undefined) throw new RangeError(`side ${side} has no document`);
    return document;
  }

  /** Sides share a document until one of them chooses another model or crop mode. */
  private shares(side: Side): SharedDocument {
    return {
      own: () => {
        const { uri, modelDirectory, cropMode } = this.documentOf(side);
        if (this.documentOf(side) === this.documentOf(other(side))) {
          this.documents.set(side, this.open({ uri, model: modelDirectory, cropMode }));
        }
        return this.documentOf(side);
      },
      keepModel: (directory) => {
        this.compared = { ...this.compared, [side]: { ...this.compared[side], model: directory } };
        this.remember(this.compared);
        return this.services.models.kept(directory);
      },
    };
  }

  private showStatus(): void {
    const { state } = this.documentOf('a');
    if (this.panel.active && state.kind === 'tokenized') this.services.status.show(this, state.tokenization);
    else this.services.status.hide(this);
  }
}

function other(side: Side): Side {
  return side === 'a' ? 'b' : 'a';
}

function titleOf({ a, b }: ComparedSides): Plain {
  const name = ({ path }: vscode.Uri): string => path.slice(path.lastIndexOf('/') + 1);
  const names = new Set([name(a.uri), name(b.uri)]);
  return plain`Compare ${[...names].join(' ↔ ')}`;
}

export const comparisonViewType = 'tatok.comparison';

const side = z.object({ uri: z.string().min(1), model: z.string().min(1).optional() });
type StoredSide = z.infer<typeof side>;

/** Equal for sides of one image and one model. */
function keyOf({ uri, model }: StoredSide): string {
  return JSON.stringify([uri, model ?? null]);
}

/** The part of the page's state that says what is compared; the rest is the page's own. */
const storedState = z.object({ a: side, b: side });

const sidesKey = 'comparisons.sides';
/** Sides of comparisons that the next window may bring back. */
const keptSides = 100;

/**
 * Opens comparisons, and brings them back with what their page kept after the window reloads. A page can have kept anything, so that only
 * files and models that a comparison showed before are opened.
 */
export class Comparisons extends Disposable implements vscode.WebviewPanelSerializer {
  private readonly panels = new Set<ComparisonPanel>();

  constructor(
    private readonly services: EditorServices,
    /** Sides that were shown. */
    private readonly workspaceState: Pick<vscode.Memento, 'get' | 'update'>,
  ) {
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
    // The window may have been reloaded before the page knew what it shows.
    if (!stored.success || sides.some((each) => !this.shownBefore().includes(keyOf(stored.data[each])))) {
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

  private shownBefore(): string[] {
    return this.workspaceState.get<string[]>(sidesKey, []);
  }

  private async remember(compared: ComparedSides): Promise<void> {
    const { models } = this.services;
    const shown = sides.map((each) => {
      const { uri, model } = compared[each];
      return keyOf({ uri: uri.toString(), ...(model !== undefined && { model: models.kept(model) }) });
    });
    await this.workspaceState.update(sidesKey, [...new Set([...shown, ...this.shownBefore()])].slice(0, keptSides));
  }

  private show(panel: vscode.WebviewPanel, compared: ComparedSides): void {
    void this.remember(compared);
    const comparison = new ComparisonPanel(panel, compared, this.services, (changed) => void this.remember(changed));
    this.panels.add(comparison);
    panel.onDidDispose(() => this.panels.delete(comparison));
  }
}
