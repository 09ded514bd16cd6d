import type { Grid } from '../../src/tokenizer/types';

/**
 * Where a key moves the focused patch: arrows by one, Home/End to the ends of the row (with Ctrl: of the grid),
 * Page keys to the ends of the column. From nothing, every key goes to the middle.
 * @returns undefined when the key does not move the focus.
 */
export function movedFocus(
  focused: number | undefined,
  { rows, columns }: Grid,
  key: string,
  control: boolean,
): number | undefined {
  const row = Math.floor((focused ?? 0) / columns);
  const column = (focused ?? 0) % columns;
  const at = (toRow: number, toColumn: number): number =>
    Math.min(rows - 1, Math.max(0, toRow)) * columns + Math.min(columns - 1, Math.max(0, toColumn));
  const targets: Record<string, number> = {
    ArrowLeft: at(row, column - 1),
    ArrowRight: at(row, column + 1),
    ArrowUp: at(row - 1, column),
    ArrowDown: at(row + 1, column),
    Home: at(control ? 0 : row, 0),
    End: at(control ? rows - 1 : row, columns - 1),
    PageUp: at(0, column),
    PageDown: at(rows - 1, column),
  };
  const target = targets[key];
  if (target === undefined) return undefined;
  return focused === undefined ? at(Math.floor(rows / 2), Math.floor(columns / 2)) : target;
}
