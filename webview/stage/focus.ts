import type { Grid } from '../../src/method/types';

/**
 * Where a key moves the focused patch: arrows by one, Home/End to the ends of the row (with Ctrl: of the grid),
 * Page keys to the ends of the column. From nothing, every key goes to the middle.
 *
 * @param columns of the grid that indices are of.
 * @param shown its first rows and columns, which can be seen: the focus stays there.
 * @returns undefined when the key does not move the focus.
 */
export function movedFocus(
  focused: number | undefined,
  { columns }: Pick<Grid, 'columns'>,
  shown: Grid,
  key: string,
  control: boolean,
): number | undefined {
  const row = Math.floor((focused ?? 0) / columns);
  const column = (focused ?? 0) % columns;
  const at = (toRow: number, toColumn: number): number =>
    Math.min(shown.rows - 1, Math.max(0, toRow)) * columns + Math.min(shown.columns - 1, Math.max(0, toColumn));
  const targets: Record<string, number> = {
    ArrowLeft: at(row, column - 1),
    ArrowRight: at(row, column + 1),
    ArrowUp: at(row - 1, column),
    ArrowDown: at(row + 1, column),
    Home: at(control ? 0 : row, 0),
    End: at(control ? shown.rows - 1 : row, shown.columns - 1),
    PageUp: at(0, column),
    PageDown: at(shown.rows - 1, column),
  };
  const target = targets[key];
  if (target === undefined) return undefined;
  return focused === undefined ? at(Math.floor(shown.rows / 2), Math.floor(shown.columns / 2)) : target;
}
