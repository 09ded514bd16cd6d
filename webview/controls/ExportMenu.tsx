import type { JSX } from 'preact';
import { useExporter } from '../export/exporter';
import { useServices } from '../state/context';
import { MenuButton } from '../ui/MenuButton';
import { exportChoices } from '../../src/protocol/exports';

/** Everything that can be taken away from here, and word of what was. */
export function ExportMenu(): JSX.Element | null {
  const exporter = useExporter();
  const model = useServices().inspector.picture.value?.model;
  if (model === undefined) return null;
  const [view = [], ...others] = exportChoices(model).map((group) =>
    group.map(({ kind, label, detail }) => ({
      label,
      title: detail,
      testId: `export-${kind}`,
      onChoose: () => void exporter.save(kind),
    })),
  );
  const copy = {
    label: 'Copy view',
    title: 'The picture with its legend, to the clipboard',
    testId: 'export-copy',
    onChoose: () => void exporter.copyView(),
  };
  return (
    <>
      <span class="muted confirmation" role="status" data-testid="export-said">
        {exporter.confirmation.value}
      </span>
      <MenuButton title="Export this tokenization" testId="export" groups={[[...view, copy], ...others]}>
        Export
      </MenuButton>
    </>
  );
}
