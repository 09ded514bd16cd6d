import { effect, signal } from '@preact/signals';
import { ResponseError, type MessageConnection } from 'vscode-jsonrpc/browser';
import { drawFigure, toPng } from './figure';
import { figureOf } from './figureOf';
import { standaloneSvg, type PlotTexts } from './standaloneSvg';
import type { Layers } from '../canvas/layers';
import type { Scene } from '../canvas/painter';
import type { Inspector } from '../state/inspector';
import {
  dataKinds,
  plotNames,
  type PlotName,
  type DataKind,
  type ExportKind,
  type ExportRequest,
  type PictureKind,
} from '../../src/protocol/exports';
import * as protocol from '../../src/protocol/inspector';

/** A plot that stands in the page, as exports need it. */
export interface PlotSource extends PlotTexts {
  readonly svg: () => SVGSVGElement | null;
  /** Names of the columns, then a row for each point. */
  readonly table: () => readonly (readonly (string | number)[])[];
}

/** Confirmations are shown for so long. */
const saidForMs = 4000;

/** Everything that leaves the page as a file or through the clipboard. */
export class Exporter {
  /** What was done last, for a moment. */
  readonly said = signal('');
  private readonly plots = new Map<PlotName, PlotSource>();
  private readScene: () => Scene | undefined = () => undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly inspector: Inspector,
    private readonly layers: Layers,
    private readonly connection: MessageConnection,
  ) {
    connection.onNotification(protocol.exportRequested, ({ kind }) =>
      kind === 'copy' ? this.copyView() : this.save(kind),
    );
  }

  /** Names the canvas whose scene pictures are drawn from. */
  picture(scene: () => Scene | undefined): void {
    this.readScene = scene;
  }

  plot(name: PlotName, source: PlotSource): void {
    this.plots.set(name, source);
  }

  /** Has one kind of file made and saved; the host asks where. */
  async save(kind: ExportKind): Promise<void> {
    await this.attempt('The export failed', async () => {
      const saved = await this.connection.sendRequest(protocol.saveExport, await this.request(kind));
      if (saved !== null) this.say(`Saved ${saved}`);
    });
  }

  /** Puts the view with its legend on the clipboard, as a picture. */
  async copyView(): Promise<void> {
    await this.attempt('The view could not be copied', async () => {
      await this.fresh();
      await focused();
      const png = this.view();
      try {
        await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]);
      } catch (error) {
        await png;
        throw new Error('the clipboard takes no pictures here; export the view as PNG instead.', { cause: error });
      }
      this.say('View copied');
    });
  }

  private async request(kind: ExportKind): Promise<ExportRequest> {
    if (isDataKind(kind)) return { kind, settings: this.inspector.settings.peek() };
    return { kind, bytes: await this.draw(kind) };
  }

  private async draw(kind: PictureKind): Promise<Uint8Array> {
    if (kind === 'view.png') {
      await this.fresh();
      return new Uint8Array(await (await this.view()).arrayBuffer());
    }
    const name = plotNames.find((plot) => kind.startsWith(`${plot}.`));
    const plot = name && this.plots.get(name);
    const svg = plot?.svg() ?? null;
    if (plot === undefined || svg === null) throw new Error('it has not been computed yet.');
    return new TextEncoder().encode(kind.endsWith('.svg') ? standaloneSvg(svg, plot) : csv(plot.table()));
  }

  private async view(): Promise<Blob> {
    const scene = this.readScene();
    if (scene === undefined) throw new Error('there is no picture yet.');
    return toPng(drawFigure(figureOf(this.inspector, this.layers, scene)));
  }

  /** Resolves when the reconstruction is that of the settings shown; a figure must not mix the two. */
  private fresh(): Promise<void> {
    const { stale, stopped, phase, notice } = this.inspector;
    return new Promise((resolve, reject) => {
      const stop = effect(() => {
        const failure = phase.value.kind === 'failed' ? phase.value.failure : notice.value;
        if (stale.value && !stopped.value && failure === undefined) return;
        // The effect may run before it has a name.
        queueMicrotask(() => stop());
        if (stale.value) reject(new Error('the reconstruction is not that of the settings shown.'));
        else resolve();
      });
    });
  }

  private async attempt(failed: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof ResponseError || error instanceof Error ? error.message : String(error);
      this.inspector.notice.value = { message: `${failed}: ${reason}`, actions: [] };
    }
  }

  private say(text: string): void {
    clearTimeout(this.timer);
    this.said.value = text;
    this.timer = setTimeout(() => (this.said.value = ''), saidForMs);
  }
}

function isDataKind(kind: ExportKind): kind is DataKind {
  return dataKinds.some((known) => known === kind);
}

/** Only a page with the focus may use the clipboard; one that a command asks to copy gets it a moment later. */
async function focused(): Promise<void> {
  window.focus();
  for (let waited = 0; waited < 1000 && !document.hasFocus(); waited += 50) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Numbers and plain names need no quotes. */
function csv(table: ReturnType<PlotSource['table']>): string {
  return `${table.map((row) => row.join(',')).join('\n')}\n`;
}
