import { computed, signal, type Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { ResponseError, type MessageConnection } from 'vscode-jsonrpc/browser';
import * as z from 'zod/mini';
import { connectToHost, type VsCodeApi } from '../host/connection';
import { saveState } from '../state/viewState';
import { MenuButton } from '../ui/ownControls';
import { Button, Dropdown, ProgressRing } from '../ui/toolkit';
import {
  columnTitles,
  meanText,
  sortedRows,
  tableColumns,
  type TableColumn,
  type TableRow,
} from '../../src/method/modelTable';
import * as protocol from '../../src/protocol/modelTable';
import type { TableExport, TableState } from '../../src/protocol/modelTable';

const storedSort = z.object({
  column: z.nullable(z.enum(tableColumns)),
  descending: z.boolean(),
});
type Sort = z.infer<typeof storedSort>;

/** What the page knows and chose. */
interface Table {
  readonly state: Signal<TableState | undefined>;
  /** column null: in the order in which rows were asked for. */
  readonly sort: Signal<Sort>;
  readonly said: Signal<string>;
  readonly connection: MessageConnection;
}

/** The page of a table of models. */
export function modelTablePage(api: VsCodeApi): JSX.Element {
  const stored = storedSort.safeParse(api.getState());
  const connection = connectToHost(api);
  const table: Table = {
    state: signal(undefined),
    sort: signal(stored.success ? stored.data : { column: null, descending: false }),
    said: signal(''),
    connection,
  };
  connection.onNotification(protocol.tableChanged, (state) => void (table.state.value = state));
  connection.listen();
  void connection.sendRequest(protocol.ready).catch((error: unknown) => tell(table, error));
  saveState(
    computed(() => table.sort.value),
    api,
  );
  return <App table={table} />;
}

function tell({ said }: Table, error: unknown): void {
  said.value = error instanceof ResponseError || error instanceof Error ? error.message : String(error);
}

function App({ table }: { readonly table: Table }): JSX.Element {
  const state = table.state.value;
  return (
    <div class="model-table" data-testid="model-table">
      <Header table={table} />
      <main>
        {state !== undefined && state.rows.length > 0 ? (
          <Rows table={table} state={state} />
        ) : (
          <p class="muted note">The first row comes with the first image.</p>
        )}
      </main>
    </div>
  );
}

function Header({ table }: { readonly table: Table }): JSX.Element {
  const { connection, said } = table;
  const state = table.state.value;
  const progress = state?.progress;
  const exportAs = (kind: TableExport['kind']): void => void save(table, kind);
  return (
    <header class="header">
      <h1 class="file-name">Table of models</h1>
      <span class="muted" title={state?.images.join('\n')} data-testid="images">
        {imagesText(state?.images ?? [])}
      </span>
      <span class="status" role="status" data-testid="status" data-state={progress?.phase ?? 'running'}>
        {progress?.phase === 'running' && (
          <>
            <ProgressRing />
            {progress.done} of {progress.total}
          </>
        )}
        {progress?.phase === 'stopped' && `stopped at ${progress.done} of ${progress.total}`}
      </span>
      {progress?.phase === 'running' && (
        <Button testId="cancel" onPress={() => void connection.sendNotification(protocol.cancel)}>
          Cancel
        </Button>
      )}
      {progress?.phase === 'stopped' && (
        <Button testId="resume" onPress={() => void connection.sendNotification(protocol.resume)}>
          Continue
        </Button>
      )}
      <span class="spacer" />
      <span class="muted confirmation" role="status" data-testid="export-said">
        {said.value}
      </span>
      <MenuButton
        title="Export the rows as they are sorted"
        testId="export"
        groups={[
          [
            { label: 'Table as CSV…', testId: 'export-models.csv', onChoose: () => exportAs('models.csv') },
            { label: 'Table as LaTeX…', testId: 'export-models.tex', onChoose: () => exportAs('models.tex') },
          ],
        ]}
      >
        Export
      </MenuButton>
    </header>
  );
}

function imagesText([first, ...others]: readonly string[]): string {
  if (first === undefined) return '';
  return others.length === 0 ? first : `${others.length + 1} images`;
}

function shownRows({ sort }: Table, { rows }: TableState): readonly TableRow[] {
  const { column, descending } = sort.value;
  return column === null ? rows : sortedRows(rows, column, descending);
}

async function save(table: Table, kind: TableExport['kind']): Promise<void> {
  const state = table.state.peek();
  if (state === undefined) return;
  try {
    const order = shownRows(table, state).map(({ id }) => id);
    const saved = await table.connection.sendRequest(protocol.saveTable, { kind, order });
    table.said.value = saved === null ? '' : `Saved ${saved}`;
  } catch (error) {
    tell(table, error);
  }
}

interface RowsProps {
  readonly table: Table;
  readonly state: TableState;
}

function Rows({ table, state }: RowsProps): JSX.Element {
  const models = state.rows.filter(({ kind }) => kind === 'model');
  return (
    <>
      <div class="reference">
        <span class="muted">WebP, AVIF and JPEG at the bytes of</span>
        <Dropdown
          plain
          label="Reference of the formats"
          testId="reference"
          options={models.map(({ id, name, settings }) => ({ value: String(id), label: `${name}, ${settings}` }))}
          value={String(state.reference)}
          onChange={(id) => void table.connection.sendNotification(protocol.chooseReference, Number(id))}
        />
      </div>
      <div class="scrolled" role="region" aria-label="Table" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {tableColumns.map((column) => (
                <ColumnHead key={column} column={column} table={table} />
              ))}
            </tr>
          </thead>
          <tbody>
            {shownRows(table, state).map((row) => (
              <Row key={row.id} row={row} images={state.images.length} />
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted note">
        Means over the images that a row has. Bits of models are those of tokens and mask, without a container; those of
        files count with it.
      </p>
    </>
  );
}

function ColumnHead({ column, table }: { readonly column: TableColumn; readonly table: Table }): JSX.Element {
  const { column: sorted, descending } = table.sort.value;
  const here = sorted === column;
  const next = (): void => {
    // First the best or the longest on top, then the other way, then as asked for.
    const down = column !== 'name';
    if (!here) table.sort.value = { column, descending: down };
    else if (descending === down) table.sort.value = { column, descending: !down };
    else table.sort.value = { column: null, descending: false };
  };
  return (
    <th scope="col" aria-sort={here ? (descending ? 'descending' : 'ascending') : 'none'}>
      <button type="button" data-testid={`sort-${column}`} onClick={next}>
        {columnTitles[column]}
        <span aria-hidden="true">{here ? (descending ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  );
}

function Row({ row, images }: { readonly row: TableRow; readonly images: number }): JSX.Element {
  const { name, settings, kind, missing, means } = row;
  return (
    <tr class={kind} data-testid={`row-${row.id}`}>
      <th scope="row">
        {name} <span class="muted">{settings}</span>
        {missing !== null && (
          <span class="missing" data-testid="missing">
            {images === 1 ? missing.reason : `${missing.count} of ${images} without: ${missing.reason}`}
          </span>
        )}
      </th>
      {tableColumns.map((column) => column !== 'name' && <td key={column}>{meanText(column, means)}</td>)}
    </tr>
  );
}
