import type { ReadonlySignal, Signal } from '@preact/signals';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import type { Comparison } from './comparison';
import { comparisonCsv, comparisonJson } from './comparisonData';
import { figureText, sideFigures } from './sideFigures';
import type { Scene } from '../canvas/painter';
import { copyPicture, Delivery, fresh } from '../export/delivery';
import { drawFigures, toPng, type Figure } from '../export/figure';
import { figureOf, settingsLine } from '../export/figureOf';
import type { Services } from '../state/context';
import { comparisonRequested } from '../../src/protocol/comparison';
import type { ComparisonKind } from '../../src/protocol/exports';
import * as protocol from '../../src/protocol/document';
import type { Failure } from '../../src/protocol/document';

/** Takes both pictures with their legend away from the page, as a file or through the clipboard. */
export class ComparisonExporter {
  private readonly delivery: Delivery;
  private readonly scenes = new Map<Services, () => Scene | undefined>();

  /**
   * @param connections of both sides.
   * @param notice where failures are shown.
   */
  constructor(
    private readonly comparison: Comparison,
    private readonly connections: ReadonlyMap<Services, MessageConnection>,
    notice: Signal<Failure | undefined>,
  ) {
    this.delivery = new Delivery(notice);
    for (const connection of connections.values()) {
      connection.onNotification(comparisonRequested, ({ kind }) => (kind === 'copy' ? this.copy() : this.save(kind)));
    }
  }

  /** The last export, shown for a moment. */
  get confirmation(): ReadonlySignal<string> {
    return this.delivery.confirmation;
  }

  /** Names the canvas of a side; with a swipe line there is one, that of the left. */
  picture(side: Services, scene: () => Scene | undefined): void {
    this.scenes.set(side, scene);
  }

  /** Has one kind of file made and saved; the host proposes to do so beside the image of the left. */
  async save(kind: ComparisonKind): Promise<void> {
    await this.delivery.attempt('The export failed', async () => {
      const bytes = await this.bytes(kind);
      const connection = this.connections.get(this.comparison.left.peek());
      const saved = await connection?.sendRequest(protocol.saveExport, { kind, bytes });
      return typeof saved === 'string' ? `Saved ${saved}` : undefined;
    });
  }

  async copy(): Promise<void> {
    await this.delivery.attempt('The comparison could not be copied', async () => {
      const figures = await this.fresh();
      await copyPicture(() => this.draw(figures));
      return 'Comparison copied';
    });
  }

  private async bytes(kind: ComparisonKind): Promise<Uint8Array> {
    if (kind === 'comparison.png') {
      return new Uint8Array(await (await this.draw(await this.fresh())).arrayBuffer());
    }
    const { left, right } = this.comparison;
    await Promise.all([fresh(left.peek().inspector), fresh(right.peek().inspector)]);
    const text = kind === 'comparison.csv' ? comparisonCsv(this.comparison) : comparisonJson(this.comparison);
    return new TextEncoder().encode(text);
  }

  private draw(figures: readonly Figure[]): Promise<Blob> {
    return toPng(drawFigures(figures));
  }

  /** The page's figure, once both reconstructions are those of the settings shown. */
  private async fresh(): Promise<readonly Figure[]> {
    const [left, right] = [this.comparison.left.peek(), this.comparison.right.peek()];
    await Promise.all([fresh(left.inspector), fresh(right.inspector)]);
    const scene = this.scenes.get(left)?.();
    if (scene === undefined) throw new Error('there is no picture yet.');
    const a = sideFigure(left, scene, 'A');
    if (scene.other !== undefined) return [swiped(a, sideFigure(right, scene, 'B'))];
    const beside = this.scenes.get(right)?.();
    if (beside === undefined) throw new Error('there is no picture yet.');
    // Both have one scale of colours.
    return [{ ...a, legend: undefined }, sideFigure(right, beside, 'B')];
  }
}

/** A side's picture, captioned with what the page's table says of it. */
function sideFigure({ inspector, layers }: Services, scene: Scene, letter: string): Figure {
  const figure = figureOf(inspector, layers, scene, letter);
  const said = sideFigures.map((row) => `${row.name} ${figureText(row, inspector)}`);
  return {
    ...figure,
    caption: [settingsLine(inspector), said.slice(0, 3).join(' · '), said.slice(3).join(' · ')].filter(Boolean),
  };
}

/** Two figures whose pictures share a canvas. */
function swiped(a: Figure, b: Figure): Figure {
  const lines = ({ caption }: Figure, letter: string): string[] => caption.map((line) => `${letter}: ${line}`);
  return {
    ...a,
    title: `${a.title} | ${b.title}`,
    subtitle: a.subtitle === b.subtitle ? a.subtitle : `${a.subtitle} | ${b.subtitle}`,
    caption: [...lines(a, 'A'), ...lines(b, 'B')],
    swipeLabels: ['A', 'B'],
  };
}

export const ComparisonExporterContext = createContext<ComparisonExporter | undefined>(undefined);

export function useComparisonExporter(): ComparisonExporter {
  const exporter = useContext(ComparisonExporterContext);
  if (exporter === undefined) throw new Error('no exporter provided');
  return exporter;
}
