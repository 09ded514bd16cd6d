import { ascending, descending } from 'd3-array';
import type { JSX } from 'preact';
import { useDataset } from './datasetSession';
import { Thumbnail } from './RowTable';
import type { DatasetRow } from '../../src/protocol/dataset';

/** Images of each list. */
const listed = 5;

/** The images that come out worst and best; each opens in the inspector. */
export function Extremes(): JSX.Element | null {
  const { view } = useDataset();
  const measured = view.tokenized.value.filter((row): row is DatasetRow & { psnr: number } => row.psnr !== null);
  if (measured.length < 2) return null;
  const by = (order: typeof ascending) => [...measured].sort((a, b) => order(a.psnr, b.psnr)).slice(0, listed);
  return (
    <section class="panel" aria-label="Worst and best images">
      <List title="Lowest PSNR" rows={by(ascending)} testId="worst" />
      <List title="Highest PSNR" rows={by(descending)} testId="best" />
    </section>
  );
}

interface ListProps {
  readonly title: string;
  readonly rows: readonly (DatasetRow & { readonly psnr: number })[];
  readonly testId: string;
}

function List({ title, rows, testId }: ListProps): JSX.Element {
  const { session } = useDataset();
  return (
    <>
      <h2>{title}</h2>
      <ol class="extremes" data-testid={testId}>
        {rows.map(({ index, path, psnr }) => (
          <li key={index}>
            <button type="button" title={path} onClick={() => session.open(index)}>
              <Thumbnail index={index} />
              <span class="grid-path">{path}</span>
              <span>{psnr.toFixed(2)} dB</span>
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}
