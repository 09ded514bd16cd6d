import { useEffect } from 'preact/hooks';
import type { PlotName, PlotSource } from './exporter';
import { useServices } from '../state/context';

/** Offers a plot to the export menu, as it is when it is exported. */
export function useExportedPlot(name: PlotName, source: PlotSource): void {
  const { exporter } = useServices();
  useEffect(() => exporter.plot(name, source));
}
