import type { JSX } from 'preact';
import { useComparisonExporter } from './comparisonExporter';
import { MenuButton, type MenuItem } from '../ui/MenuButton';
import { comparisonChoice } from '../../src/protocol/exports';

/** Both pictures, taken away from here, and word of what was. */
export function ComparisonExportMenu(): JSX.Element {
  const exporter = useComparisonExporter();
  const items: readonly MenuItem[] = [
    {
      label: comparisonChoice.label,
      title: comparisonChoice.detail,
      testId: `export-${comparisonChoice.kind}`,
      onChoose: () => void exporter.save(),
    },
    {
      label: 'Copy comparison',
      title: 'Both pictures with their legend, to the clipboard',
      testId: 'export-copy',
      onChoose: () => void exporter.copy(),
    },
  ];
  return (
    <>
      <MenuButton title="Export this comparison" testId="export" groups={[items]}>
        Export
      </MenuButton>
      <span class="muted confirmation" role="status" data-testid="export-said">
        {exporter.confirmation.value}
      </span>
    </>
  );
}
