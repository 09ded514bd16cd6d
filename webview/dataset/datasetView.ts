/** A token data set as the page shows it: its rows in the order and the selection that the user chose. */
import { computed, signal, type ReadonlySignal } from '@preact/signals';
import * as z from 'zod/mini';
import { rowFilter } from '../../src/method/rowFilter';
import { TatokError } from '../../src/method/errors';
import { datasetNumbers, openingDataset, type DatasetRow, type OpenedDataset } from '../../src/protocol/dataset';

/** Columns that rows can be sorted by. */
export const sortKeys = ['index', 'path', 'tokens', 'bits', 'psnr', 'ssim', 'mean_entropy', 'label'] as const;
export type SortKey = (typeof sortKeys)[number];

export const selections = ['all', 'failed', 'repeated'] as const;
/** `repeated` are images whose file occurs more than once. */
export type Selection = (typeof selections)[number];

const schema = z.object({
  uri: z.catch(z.string(), ''),
  sort: z.catch(z.enum(sortKeys), 'index'),
  descending: z.catch(z.boolean(), false),
  filter: z.catch(z.string().check(z.maxLength(1000)), ''),
  selection: z.catch(z.enum(selections), 'all'),
});

export type DatasetViewState = z.infer<typeof schema>;

export function readDatasetState(stored: unknown): DatasetViewState {
  const result = schema.safeParse(stored);
  return result.success ? result.data : schema.parse({});
}

/** Bits at fixed length, of tokens and kept set: as the inspector counts them. */
export function bitsOf({ payload_bits, mask_bits }: DatasetRow): number | null {
  return payload_bits === null || mask_bits === null ? null : payload_bits + mask_bits;
}

/** The value that a row is sorted by; null comes last, whatever the direction. */
export function sortValue(row: DatasetRow, key: SortKey): number | string | null {
  return key === 'bits' ? bitsOf(row) : row[key];
}

/** Rows in an order; equal ones stay in that of the inputs. */
export function sorted(rows: readonly DatasetRow[], key: SortKey, descending: boolean): DatasetRow[] {
  const compare = (a: number | string | null, b: number | string | null): number => {
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const order = a < b ? -1 : a > b ? 1 : 0;
    return descending ? -order : order;
  };
  const keyed = rows.map((row) => ({ row, value: sortValue(row, key) }));
  return keyed.sort((a, b) => compare(a.value, b.value) || a.row.index - b.row.index).map(({ row }) => row);
}

/** Rows arrive in batches; the page is drawn anew at most so often. */
const refreshMs = 100;

export class DatasetView {
  readonly document = signal<OpenedDataset | undefined>(undefined);
  readonly state = signal(openingDataset);
  readonly sort = signal<{ readonly key: SortKey; readonly descending: boolean }>({ key: 'index', descending: false });
  readonly filter = signal('');
  readonly selection = signal<Selection>('all');
  /** The row that the keyboard stands on, by the place of its image. */
  readonly current = signal<number | undefined>(undefined);
  private readonly byIndex = new Map<number, DatasetRow>();
  private readonly version = signal(0);
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(kept: DatasetViewState) {
    this.sort.value = { key: kept.sort, descending: kept.descending };
    this.filter.value = kept.filter;
    this.selection.value = kept.selection;
  }

  /** All rows, in the order of the inputs. */
  readonly rows: ReadonlySignal<readonly DatasetRow[]> = computed(() =>
    // A map has no signal of its own.
    this.version.value >= 0 ? [...this.byIndex.values()].sort((a, b) => a.index - b.index) : [],
  );

  /** Rows with tokens: what distributions and curves are of. */
  readonly tokenized = computed(() => this.rows.value.filter(({ error }) => error === null));
  readonly failed = computed(() => this.rows.value.length - this.tokenized.value.length);

  /** How often each file occurs. */
  readonly copies: ReadonlySignal<ReadonlyMap<string, number>> = computed(() => {
    const copies = new Map<string, number>();
    for (const { id } of this.rows.value) if (id !== null) copies.set(id, (copies.get(id) ?? 0) + 1);
    return copies;
  });

  /** Rows whose file is that of another row. */
  readonly repeated = computed(() => this.rows.value.filter((row) => this.copiesOf(row) > 1).length);

  private readonly condition = computed(() => {
    const text = this.filter.value;
    if (text.trim() === '') return { test: () => true, problem: undefined };
    try {
      return { test: rowFilter(text, datasetNumbers), problem: undefined };
    } catch (error) {
      if (!(error instanceof TatokError)) throw error;
      return { test: () => true, problem: `${error.message} ${error.advice ?? ''}` };
    }
  });

  /** Why the filter is no condition, with what would be one; the rows are then not filtered. */
  readonly filterProblem = computed(() => this.condition.value.problem);

  /** The rows of the table. */
  readonly shown: ReadonlySignal<readonly DatasetRow[]> = computed(() => {
    const { test } = this.condition.value;
    const { key, descending } = this.sort.value;
    const chosen = this.selection.value;
    const rows = this.rows.value.filter(
      (row) => test(row) && (chosen === 'all' || (chosen === 'failed' ? row.error !== null : this.copiesOf(row) > 1)),
    );
    return sorted(rows, key, descending);
  });

  /** Survives hiding the tab and reloading the window; undefined until the data set is known. */
  readonly stored: ReadonlySignal<DatasetViewState | undefined> = computed(() => {
    const uri = this.document.value?.uri;
    if (uri === undefined) return undefined;
    const { key, descending } = this.sort.value;
    return { uri, sort: key, descending, filter: this.filter.value, selection: this.selection.value };
  });

  copiesOf({ id }: DatasetRow): number {
    return id === null ? 1 : (this.copies.value.get(id) ?? 1);
  }

  row(index: number): DatasetRow | undefined {
    return this.byIndex.get(index);
  }

  add(rows: readonly DatasetRow[]): void {
    for (const row of rows) this.byIndex.set(row.index, row);
    this.refreshSoon();
  }

  remove(first: number, end: number): void {
    for (const index of [...this.byIndex.keys()]) if (index >= first && index < end) this.byIndex.delete(index);
    this.refreshSoon();
  }

  /** Sorts by a column, ascending first; again, the other way round. */
  sortBy(key: SortKey): void {
    const { key: before, descending } = this.sort.value;
    this.sort.value = { key, descending: key === before && !descending };
  }

  private refreshSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.version.value++;
    }, refreshMs);
  }
}
