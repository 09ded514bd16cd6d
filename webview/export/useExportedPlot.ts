import { useEffect } from 'preact/hooks';
import type { PlotSource } from './exporter';
import { useServices } from '../state/context';
import type { PlotName } from '../../src/protocol/exports';

/** Offers a plot to the export menu, as it is when it is exported. */
export function useExportedPlot(name: PlotName, source: PlotSource): void {
  const { exporter } = useServices();
  useEffect(() => exporter.plot(name, source));
}
