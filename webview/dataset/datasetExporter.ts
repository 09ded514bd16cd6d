import { useEffect } from 'preact/hooks';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import { useDataset, type DatasetSession } from './datasetSession';
import type { DatasetView } from './datasetView';
import { tableOf } from './RowTable';
import { csv } from '../export/csv';
import { standaloneSvg, type PlotTexts } from '../export/standaloneSvg';
import { datasetNumbers, saveDatasetExport, type DatasetExport } from '../../src/protocol/dataset';

type Kind = DatasetExport['kind'];
type Chart = 'tokens' | 'bits' | 'psnr' | 'rate-distortion';

/** A chart that stands in the page. */
interface ChartSource extends PlotTexts {
  readonly svg: () => SVGSVGElement | null;
  readonly table: () => readonly (readonly (string | number)[])[];
}

/** Charts and the table as files. */
export class DatasetExporter {
  private readonly charts = new Map<Chart, ChartSource>();

  constructor(
    private readonly view: DatasetView,
    private readonly connection: MessageConnection,
    private readonly session: DatasetSession,
  ) {}

  chart(name: Chart, source: ChartSource): void {
    this.charts.set(name, source);
  }

  async save(kind: Kind): Promise<void> {
    await this.session.attempt('The export failed', async () => {
      const bytes = new TextEncoder().encode(this.text(kind));
      const saved = await this.connection.sendRequest(saveDatasetExport, { kind, bytes });
      if (saved !== null) this.session.confirmation.value = `Saved ${saved}`;
    });
  }

  private text(kind: Kind): string {
    if (kind === 'table.csv') return csv(tableOf(this.view, datasetNumbers));
    const name = kind.replace(/\.(svg|csv)$/, '') as Chart;
    const chart = this.charts.get(name);
    const svg = chart?.svg() ?? null;
    if (chart === undefined || svg === null) throw new Error('the chart has not been drawn yet.');
    return kind.endsWith('.svg') ? standaloneSvg(svg, chart) : csv(chart.table());
  }
}

/** Offers a chart to the export menu, as it is when it is exported; one without a name is not offered. */
export function useDatasetExport(name: Chart | undefined, source: ChartSource): void {
  const { exporter } = useDataset();
  useEffect(() => {
    if (name !== undefined) exporter.chart(name, source);
  });
}
