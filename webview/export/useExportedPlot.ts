import { useEffect } from 'preact/hooks';
import { useExporter, type PlotSource } from './exporter';
import type { PlotName } from '../../src/protocol/exports';

/** Offers a plot to the export menu, as it is when it is exported. */
export function useExportedPlot(name: PlotName, source: PlotSource): void {
  const exporter = useExporter();
  useEffect(() => exporter.plot(name, source));
}
