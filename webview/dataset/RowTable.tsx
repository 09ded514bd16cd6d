import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type Range,
} from '@tanstack/virtual-core';
import type { ComponentChildren, JSX, RefObject } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import { useDataset } from './datasetSession';
import { bitsOf, type DatasetView, type SortKey } from './datasetView';
import { psnrText, ssimText } from '../../src/method/quality';
import type { DatasetRow } from '../../src/protocol/dataset';

/** Heights in CSS pixels; `dataset.css` has the same. */
const rowHeight = 44;
const headHeight = 30;
/** Rows that are in the document beyond those that are seen, at either end. */
const overscan = 6;

interface ColumnOf {
  readonly key: SortKey;
  readonly label: string;
  readonly title: string;
  readonly text: (row: DatasetRow) => string;
  /** Left out where the page is narrow. */
  readonly wide?: boolean;
}

const number = (value: number | null, digits: number): string => (value === null ? '–' : value.toFixed(digits));

/** Columns after the name. */
const columns: readonly ColumnOf[] = [
  { key: 'tokens', label: 'Tokens', title: 'Global and kept patch tokens', text: ({ tokens }) => number(tokens, 0) },
  {
    key: 'bits',
    label: 'Bits',
    title: 'Tokens at fixed length, and the kept set',
    text: (row) => number(bitsOf(row), 0),
  },
  {
    key: 'psnr',
    label: 'PSNR',
    title: 'Of the reconstruction, dB',
    // Identical pictures have one too, but it is no number.
    text: ({ psnr, ssim }) => (psnr === null && ssim === null ? '–' : psnrText(psnr, 2)),
  },
  {
    key: 'ssim',
    label: 'SSIM',
    title: 'Structural similarity of luma',
    text: ({ psnr, ssim }) => (psnr === null && ssim === null ? '–' : ssimText(ssim, 3)),
    wide: true,
  },
  {
    key: 'mean_entropy',
    label: 'Mean ĥ',
    title: 'Conditional entropy of a patch, bits',
    text: ({ mean_entropy }) => number(mean_entropy, 2),
    wide: true,
  },
  {
    key: 'label',
    label: 'Label',
    title: 'First folder of the path, or the archive’s class',
    text: ({ label }) => label ?? '',
    wide: true,
  },
];

/** Rows of the table, of which only those that are seen are in the document. Arrow keys walk, Enter opens the inspector. */
export function RowTable(): JSX.Element {
  const { view, session } = useDataset();
  const scroller = useRef<HTMLDivElement>(null);
  const rows = view.shown.value;
  const place = rows.findIndex(({ index }) => index === view.current.value);
  const focusedPlace = Math.max(0, place);
  const virtualizer = useVirtualizer(scroller, rows, focusedPlace);
  const focusWanted = useRef(false);
  const goTo = (target: number): void => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, target))];
    if (row === undefined) return;
    focusWanted.current = true;
    view.current.value = row.index;
    virtualizer.scrollToIndex(rows.indexOf(row));
  };
  useLayoutEffect(() => {
    if (!focusWanted.current) return;
    focusWanted.current = false;
    scroller.current
      ?.querySelector<HTMLElement>(`[data-index="${view.current.peek() ?? ''}"]`)
      ?.focus({ preventScroll: true });
  });
  const page = Math.max(1, Math.floor(((scroller.current?.clientHeight ?? 0) - headHeight) / rowHeight) - 1);
  const walk = (event: KeyboardEvent): void => {
    const targets: Record<string, number> = {
      ArrowDown: focusedPlace + 1,
      ArrowUp: focusedPlace - 1,
      PageDown: focusedPlace + page,
      PageUp: focusedPlace - page,
      Home: 0,
      End: rows.length - 1,
    };
    const target = targets[event.key];
    if (target !== undefined) goTo(target);
    else if (event.key === 'Enter' && rows[focusedPlace] !== undefined) session.open(rows[focusedPlace].index);
    else return;
    event.preventDefault();
  };
  return (
    <div
      ref={scroller}
      class="grid"
      role="grid"
      aria-label="Images"
      aria-rowcount={rows.length + 1}
      aria-describedby="grid-keys"
      data-testid="table"
    >
      <div role="row" aria-rowindex={1} class="grid-head">
        <HeadCell column="path">Image</HeadCell>
        {columns.map(({ key, label, title, wide }) => (
          <HeadCell key={key} column={key} title={title} wide={wide}>
            {label}
          </HeadCell>
        ))}
      </div>
      <div role="rowgroup" class="grid-body" style={{ height: `${virtualizer.getTotalSize()}px` }} onKeyDown={walk}>
        {virtualizer.getVirtualItems().map(({ index: at, start }) => {
          const row = rows[at];
          if (row === undefined) return null;
          return (
            <Row
              key={row.index}
              row={row}
              at={at}
              top={start - headHeight}
              copies={view.copiesOf(row)}
              reachable={at === focusedPlace}
              onOpen={() => {
                view.current.value = row.index;
                session.open(row.index);
              }}
              onFocus={() => (view.current.value = row.index)}
            />
          );
        })}
      </div>
      <span id="grid-keys" hidden>
        Arrow keys walk through the rows, Enter opens the image in the inspector.
      </span>
    </div>
  );
}

function useVirtualizer(
  scroller: RefObject<HTMLDivElement | null>,
  rows: readonly DatasetRow[],
  focusedPlace: number,
): Virtualizer<HTMLDivElement, HTMLDivElement> {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  // Another function would have every row measured anew.
  const keyOf = useCallback((at: number) => rows[at]?.index ?? at, [rows]);
  const options = {
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: keyOf,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    overscan,
    scrollMargin: headHeight,
    scrollPaddingStart: headHeight,
    // The row that the keyboard stands on stays, wherever is scrolled to: with it the focus would be lost.
    rangeExtractor: ({ startIndex, endIndex, count, overscan: more }: Range) => {
      const first = Math.max(0, startIndex - more);
      const last = Math.min(count - 1, endIndex + more);
      const seen = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
      if (focusedPlace < first && focusedPlace < count) return [focusedPlace, ...seen];
      return focusedPlace > last && focusedPlace < count ? [...seen, focusedPlace] : seen;
    },
    onChange: () => draw(undefined),
  };
  const [virtualizer] = useState(() => new Virtualizer<HTMLDivElement, HTMLDivElement>(options));
  virtualizer.setOptions(options);
  useLayoutEffect(() => virtualizer._didMount(), []);
  useLayoutEffect(() => virtualizer._willUpdate());
  return virtualizer;
}

interface HeadProps {
  readonly column: SortKey;
  readonly title?: string;
  readonly wide?: boolean | undefined;
  readonly children: string;
}

/** A column's name, which sorts by it. */
function HeadCell({ column, title, wide = false, children }: HeadProps): JSX.Element {
  const { view } = useDataset();
  const { key, descending } = view.sort.value;
  const direction = key !== column ? 'none' : descending ? 'descending' : 'ascending';
  return (
    <div role="columnheader" aria-sort={direction} class={classOf(column, wide)} title={title}>
      <button type="button" data-testid={`sort-${column}`} onClick={() => view.sortBy(column)}>
        {children}
        <span class={`sort-mark ${direction}`} aria-hidden="true" />
      </button>
    </div>
  );
}

interface RowProps {
  readonly row: DatasetRow;
  readonly at: number;
  readonly top: number;
  readonly copies: number;
  readonly reachable: boolean;
  readonly onOpen: () => void;
  readonly onFocus: () => void;
}

function Row({ row, at, top, copies, reachable, onOpen, onFocus }: RowProps): JSX.Element {
  // The same elements again are not looked at: a row that is scrolled costs its place alone.
  const cells = useMemo(() => <Cells row={row} copies={copies} />, [row, copies]);
  return (
    <div
      role="row"
      aria-rowindex={at + 2}
      class={row.error === null ? 'grid-row' : 'grid-row failed'}
      style={{ transform: `translateY(${top}px)` }}
      tabIndex={reachable ? 0 : -1}
      data-index={row.index}
      data-testid="row"
      onClick={onOpen}
      onFocus={onFocus}
    >
      {cells}
    </div>
  );
}

function Cells({ row, copies }: Pick<RowProps, 'row' | 'copies'>): JSX.Element {
  return (
    <>
      <Cell column="path">
        <Thumbnail index={row.index} empty={row.error !== null} />
        <span class="grid-name">
          <span class="grid-path" title={row.path}>
            {row.path}
          </span>
          {row.error !== null && (
            <span class="grid-error" title={row.error}>
              {row.error}
            </span>
          )}
          {copies > 1 && <span class="muted">The same file {copies} times</span>}
        </span>
      </Cell>
      {columns.map(({ key, text, wide }) => (
        <Cell key={key} column={key} wide={wide}>
          {row.error === null || key === 'label' ? text(row) : ''}
        </Cell>
      ))}
    </>
  );
}

interface CellProps {
  readonly column: SortKey;
  readonly wide?: boolean | undefined;
  readonly children: ComponentChildren;
}

function Cell({ column, wide = false, children }: CellProps): JSX.Element {
  return (
    <div role="gridcell" class={classOf(column, wide)}>
      {children}
    </div>
  );
}

function classOf(column: SortKey, wide: boolean): string {
  const kind = column === 'path' ? 'grid-image' : column === 'label' ? 'grid-label' : 'grid-number';
  return wide ? `${kind} wide-only` : kind;
}

/** A row that is only scrolled past asks for nothing. */
const restMs = 60;

/** A picture of what the model saw; its name stands beside it. */
export function Thumbnail({ index, empty = false }: { readonly index: number; readonly empty?: boolean }): JSX.Element {
  const { session } = useDataset();
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    setAddress(undefined);
    if (empty) return undefined;
    const giveUp = new AbortController();
    const timer = setTimeout(() => {
      void session.thumbnail(index, giveUp.signal).then((made) => {
        if (!giveUp.signal.aborted) setAddress(made);
      });
    }, restMs);
    return () => {
      clearTimeout(timer);
      giveUp.abort();
    };
  }, [index, empty, session]);
  return (
    <span class="row-thumbnail" aria-hidden="true">
      {address !== undefined && <img src={address} alt="" draggable={false} />}
    </span>
  );
}

/** The table's rows in their order, as a file has them. */
export function tableOf(view: DatasetView, numbers: readonly (keyof DatasetRow)[]): (string | number)[][] {
  const names = ['path', 'label', ...numbers, 'mean_entropy', 'id', 'copies', 'error'];
  const cells = view.shown
    .peek()
    .map((row) => [
      row.path,
      row.label ?? '',
      ...numbers.map((name) => row[name] ?? ''),
      row.mean_entropy ?? '',
      row.id ?? '',
      view.copiesOf(row),
      row.error ?? '',
    ]);
  return [names, ...cells];
}
