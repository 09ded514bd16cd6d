import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { BudgetFinder } from './BudgetFinder';
import { CollectionCurve } from './CollectionCurve';
import { DatasetExporter } from './datasetExporter';
import { DatasetContext, DatasetSession, useDataset } from './datasetSession';
import { DatasetView, readDatasetState, type Selection } from './datasetView';
import { Distributions } from './Distributions';
import { Extremes } from './Extremes';
import { RowTable } from './RowTable';
import { FailureMessage } from '../stage/FailureMessage';
import { connectToHost, type VsCodeApi } from '../host/connection';
import { aboutHowLong, RemainingTime } from '../state/remainingTime';
import { saveState } from '../state/viewState';
import { MenuButton, type MenuItem } from '../ui/ownControls';
import { Button, ProgressRing, RadioGroup, TextField } from '../ui/toolkit';
import { datasetNumbers, type DatasetExport, type DatasetState } from '../../src/protocol/dataset';

/** The page of a token data set. */
export function datasetPage(api: VsCodeApi): JSX.Element {
  const view = new DatasetView(readDatasetState(api.getState()));
  const connection = connectToHost(api);
  const session = new DatasetSession(view, connection);
  saveState(view.stored, api);
  return (
    <DatasetContext.Provider value={{ view, session, exporter: new DatasetExporter(view, connection, session) }}>
      <App />
    </DatasetContext.Provider>
  );
}

/** Progress above, the table at the left, what all images have in common at the right. */
function App(): JSX.Element {
  const { view, session } = useDataset();
  const { failure, unsent } = view.state.value;
  const shownFailure = failure ?? session.notice.value;
  return (
    <div class="dataset" data-testid="dataset">
      <DatasetHeader />
      {shownFailure !== undefined && (
        <div class="dataset-failure">
          <FailureMessage
            failure={shownFailure}
            kind="banner"
            onAction={(action) => session.runAction(action)}
            {...(failure === undefined && { onDismiss: () => (session.notice.value = undefined) })}
          />
        </div>
      )}
      <main>
        <div class="dataset-table">
          <TableToolbar />
          {unsent > 0 && (
            <p class="muted grid-note">
              The first {view.rows.value.length.toLocaleString('en')} images; the files of the data set have{' '}
              {unsent.toLocaleString('en')} more.
            </p>
          )}
          <RowTable />
        </div>
      </main>
      <aside class="dataset-charts" aria-label="All images">
        <Distributions />
        <CollectionCurve />
        <BudgetFinder />
        <Extremes />
      </aside>
    </div>
  );
}

const phases: Record<DatasetState['phase'], string> = {
  opening: 'opening',
  preparing: 'listing images, loading the model',
  running: 'tokenizing',
  stopped: 'stopped',
  complete: 'complete',
};

function DatasetHeader(): JSX.Element {
  const { view, session } = useDataset();
  const { phase, total, facts } = view.state.value;
  const document = view.document.value;
  const working = phase === 'opening' || phase === 'preparing' || phase === 'running';
  const done = view.rows.value.length;
  return (
    <header class="header">
      <h1 class="file-name" title={document?.uri}>
        {document?.name ?? '…'}
      </h1>
      {facts !== undefined && (
        <span class="muted" data-testid="facts">
          {facts.model}, {facts.provider.toUpperCase()}
        </span>
      )}
      <span class="status" data-testid="status" data-state={phase}>
        {working && <ProgressRing />}
        <span data-testid="progress">
          {phases[phase]}: {done.toLocaleString('en')}
          {total === undefined ? '' : ` of ${total.toLocaleString('en')}`} images
          {view.failed.value > 0 ? `, ${view.failed.value} failed` : ''}
          {view.repeated.value > 0 ? `, ${view.repeated.value} repeated` : ''}
        </span>
        {phase === 'running' && total !== undefined && <Pace done={done} total={total} />}
        {(phase === 'preparing' || phase === 'running') && (
          <Button testId="cancel" onPress={() => session.cancel()}>
            Cancel
          </Button>
        )}
        {phase === 'stopped' && (
          <Button testId="resume" appearance="primary" onPress={() => session.resume()}>
            Resume
          </Button>
        )}
        <ExportMenu />
      </span>
      <span class="confirmation muted" role="status">
        {session.confirmation.value}
      </span>
      <progress
        class="dataset-progress"
        aria-label="Images tokenized"
        max={total ?? 1}
        value={Math.min(done, total ?? 1)}
      />
    </header>
  );
}

/** How fast it goes, and how long that still takes; nothing before both are known. */
function Pace({ done, total }: { readonly done: number; readonly total: number }): JSX.Element {
  const estimates = useRef(new RemainingTime());
  const progress = useRef({ stage: 'encode' as const, tiles: { done, total } });
  if (progress.current.tiles.done !== done) progress.current = { stage: 'encode', tiles: { done, total } };
  const left = estimates.current.estimate(progress.current, performance.now());
  const rate = left === undefined || left === 0 ? undefined : (1000 * (total - done)) / left;
  return (
    <span data-testid="pace">
      {rate === undefined || left === undefined ? '' : `${rate.toPrecision(2)} images/s, ${aboutHowLong(left)}`}
    </span>
  );
}

const exports: readonly { readonly kind: DatasetExport['kind']; readonly label: string; readonly title: string }[] = [
  { kind: 'table.csv', label: 'Table as CSV…', title: 'The rows of the table as it is filtered and sorted' },
  { kind: 'tokens.svg', label: 'Tokens per image as SVG…', title: 'The histogram' },
  { kind: 'tokens.csv', label: 'Tokens per image as CSV…', title: 'Bins and counts' },
  { kind: 'bits.svg', label: 'Bits per image as SVG…', title: 'The histogram' },
  { kind: 'bits.csv', label: 'Bits per image as CSV…', title: 'Bins and counts' },
  { kind: 'psnr.svg', label: 'PSNR per image as SVG…', title: 'The histogram' },
  { kind: 'psnr.csv', label: 'PSNR per image as CSV…', title: 'Bins and counts' },
  { kind: 'rate-distortion.svg', label: 'Rate–distortion as SVG…', title: 'Mean and spread, once it is measured' },
  { kind: 'rate-distortion.csv', label: 'Rate–distortion as CSV…', title: 'Means and percentiles for each ε' },
];

function ExportMenu(): JSX.Element | null {
  const { view, exporter, session } = useDataset();
  if (view.rows.value.length === 0) return null;
  const measured = session.curves.value.curves.length > 0;
  const items = exports
    .filter(({ kind }) => measured || !kind.startsWith('rate-distortion'))
    .map(({ kind, label, title }): MenuItem => {
      return { label, title, testId: `export-${kind}`, onChoose: () => void exporter.save(kind) };
    });
  return (
    <MenuButton title="Export the table and the charts" testId="export" groups={[items.slice(0, 1), items.slice(1)]}>
      Export
    </MenuButton>
  );
}

const selectionLabels: Record<Selection, string> = { all: 'All', failed: 'Failed', repeated: 'Repeated' };
const selectionOptions = (Object.keys(selectionLabels) as Selection[]).map((value) => ({
  value,
  label: selectionLabels[value],
}));

function TableToolbar(): JSX.Element {
  const { view } = useDataset();
  const problem = view.filterProblem.value;
  const [shown, all] = [view.shown.value.length, view.rows.value.length];
  return (
    <div class="toolbar">
      <TextField
        label="Filter"
        placeholder="psnr < 18 and kept > 100"
        title={`Comparisons of columns with numbers, joined by “and”: ${datasetNumbers.join(', ')}`}
        value={view.filter.value}
        testId="filter"
        onInput={(text) => (view.filter.value = text)}
      />
      <RadioGroup
        label="Images"
        testId="selection"
        options={selectionOptions}
        value={view.selection.value}
        onChange={(selection) => (view.selection.value = selection)}
      />
      <span class="muted" role="status" data-testid="shown">
        {shown === all ? '' : `${shown.toLocaleString('en')} of ${all.toLocaleString('en')} images`}
      </span>
      {problem !== undefined && (
        <p class="filter-problem" role="alert" data-testid="filter-problem">
          {problem}
        </p>
      )}
    </div>
  );
}
