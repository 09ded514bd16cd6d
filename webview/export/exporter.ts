import type { ReadonlySignal } from '@preact/signals';
import { createContext } from 'preact';
import { useContext, useEffect } from 'preact/hooks';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import { csv } from './csv';
import { copyPicture, Delivery, fresh } from './delivery';
import { drawFigures, toPng } from './figure';
import { figureOf } from './figureOf';
import { missingFor, plainPicture } from './plainPictures';
import { standaloneSvg, type PlotTexts } from './standaloneSvg';
import type { Layers } from '../state/layers';
import type { Scene } from '../canvas/painter';
import type { Inspector } from '../state/inspector';
import type { RateDistortion } from '../state/rateDistortion';
import {
  dataKinds,
  plainKinds,
  plotNames,
  sweepKinds,
  type PlotName,
  type DataKind,
  type ExportKind,
  type ExportRequest,
  type PictureKind,
  type SweepKind,
} from '../../src/protocol/exports';
import * as protocol from '../../src/protocol/document';
import { carried } from '../../src/method/edits';

/** A plot that stands in the page, as exports need it. */
export interface PlotSource extends PlotTexts {
  readonly svg: () => SVGSVGElement | null;
  /** Names of the columns, then a row for each point. */
  readonly table: () => readonly (readonly (string | number)[])[];
}

/** Everything that leaves the page as a file or through the clipboard. */
export class Exporter {
  private readonly delivery: Delivery;
  private readonly plots = new Map<PlotName, PlotSource>();
  private readScene: () => Scene | undefined = () => undefined;

  constructor(
    private readonly inspector: Inspector,
    private readonly layers: Layers,
    private readonly connection: MessageConnection,
  ) {
    this.delivery = new Delivery(inspector.notice);
    connection.onNotification(protocol.exportRequested, ({ kind }) =>
      kind === 'copy' ? this.copyView() : this.save(kind),
    );
  }

  /** The last export, shown for a moment. */
  get confirmation(): ReadonlySignal<string> {
    return this.delivery.confirmation;
  }

  /** Names the canvas whose scene pictures are drawn from. */
  picture(scene: () => Scene | undefined): void {
    this.readScene = scene;
  }

  plot(name: PlotName, source: PlotSource): void {
    this.plots.set(name, source);
  }

  /** Why a kind of file cannot be made now, in a sentence; undefined where it can. Follows the signals that it reads. */
  unavailable(kind: ExportKind, rateDistortion: RateDistortion): string | undefined {
    const plain = plainKinds.find((each) => each === kind);
    if (plain !== undefined) return missingFor(plain, this.inspector);
    if (kind.startsWith('rate-distortion.')) {
      return rateDistortion.shown.value === undefined ? 'Compute the rate–distortion curve first.' : undefined;
    }
    return this.inspector.tokenization.value === undefined ? 'The picture is not tokenized yet.' : undefined;
  }

  /** Has one kind of file made and saved; the host asks where. */
  async save(kind: ExportKind): Promise<void> {
    await this.delivery.attempt('The export failed', async () => {
      const saved = await this.connection.sendRequest(protocol.saveExport, await this.request(kind));
      return saved === null ? undefined : `Saved ${saved}`;
    });
  }

  /** Puts the view with its legend on the clipboard, as a picture. */
  async copyView(): Promise<void> {
    await this.delivery.attempt('The view could not be copied', async () => {
      await fresh(this.inspector);
      await copyPicture(() => this.view());
      return 'View copied';
    });
  }

  private async request(kind: ExportKind): Promise<ExportRequest> {
    const settings = this.inspector.settings.peek();
    if (isDataKind(kind)) return { kind, settings, edits: carried(this.inspector.edits.peek()) };
    if (isSweepKind(kind)) return { kind, settings };
    return { kind, bytes: await this.draw(kind), settings };
  }

  private async draw(kind: PictureKind): Promise<Uint8Array> {
    if (kind === 'view.png') {
      await fresh(this.inspector);
      return new Uint8Array(await (await this.view()).arrayBuffer());
    }
    const plain = plainKinds.find((each) => each === kind);
    if (plain !== undefined) {
      await fresh(this.inspector);
      return new Uint8Array(await (await toPng(plainPicture(plain, this.inspector))).arrayBuffer());
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
    return toPng(drawFigures([figureOf(this.inspector, this.layers, scene)]));
  }
}

export const ExporterContext = createContext<Exporter | undefined>(undefined);

export function useExporter(): Exporter {
  const exporter = useContext(ExporterContext);
  if (exporter === undefined) throw new Error('no exporter provided');
  return exporter;
}

function isDataKind(kind: ExportKind): kind is DataKind {
  return dataKinds.some((known) => known === kind);
}

function isSweepKind(kind: ExportKind): kind is SweepKind {
  return sweepKinds.some((known) => known === kind);
}

/** Offers a plot to the export menu, as it is when it is exported. */
export function useExportedPlot(name: PlotName, source: PlotSource): void {
  const exporter = useExporter();
  useEffect(() => exporter.plot(name, source));
}
