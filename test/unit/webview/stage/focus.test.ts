import { describe, expect, it } from 'vitest';
import { movedFocus } from '../../../../webview/stage/stageController';

/** Three rows of four patches, of which the last row and column hold padding alone. */
const grid = { columns: 4 };
const shown = { rows: 2, columns: 3 };
const moved = (from: number | undefined, key: string, control = false) => movedFocus(from, grid, shown, key, control);

describe('the focused patch', () => {
  it('starts in the middle of what is shown', () => {
    expect(moved(undefined, 'ArrowLeft')).toBe(5);
  });

  it('moves by one and stays where there is picture', () => {
    expect(moved(0, 'ArrowRight')).toBe(1);
    expect(moved(2, 'ArrowRight')).toBe(2);
    expect(moved(1, 'ArrowDown')).toBe(5);
    expect(moved(5, 'ArrowDown')).toBe(5);
  });

  it('jumps to the ends of rows, columns and picture', () => {
    expect(moved(4, 'End')).toBe(6);
    expect(moved(0, 'End', true)).toBe(6);
    expect(moved(2, 'PageDown')).toBe(6);
    expect(moved(6, 'Home', true)).toBe(0);
  });

  it('is left to other keys', () => {
    expect(moved(4, 'x')).toBeUndefined();
  });
});
