import type { JSX } from 'preact';
import { useComparisonExporter } from './comparisonExporter';
import { MenuButton, type MenuItem } from '../ui/MenuButton';

/** Both pictures, taken away from here, and word of what was. */
export function ComparisonExportMenu(): JSX.Element {
  const exporter = useComparisonExporter();
  const items: readonly MenuItem[] = [
    {
      label: 'Comparison as PNG…',
      title: 'Both pictures as they are shown, with their legend',
      testId: 'export-comparison.png',
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
      <span class="muted said" role="status" data-testid="export-said">
        {exporter.said.value}
      </span>
    </>
  );
}
