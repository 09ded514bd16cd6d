import { signal } from '@preact/signals';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { saveState } from '../../../../webview/state/viewState';

let page: EventTarget;
let kept: unknown[];
const api = { setState: (state: unknown) => kept.push(state) };

beforeEach(() => {
  vi.useFakeTimers();
  page = new EventTarget();
  kept = [];
  vi.stubGlobal('window', page);
  vi.stubGlobal('document', new EventTarget());
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('keeps a change after a pause at once, and nothing twice', () => {
  const state = signal<object | undefined>(undefined);
  saveState(state, api);
  expect(kept).toEqual([]);
  vi.runAllTimers();
  state.value = { lossRate: 0.1 };
  expect(kept).toEqual([{ lossRate: 0.1 }]);
  vi.runAllTimers();
  expect(kept).toHaveLength(1);
});

it('keeps the last of many changes, and few of those between', () => {
  const state = signal<object | undefined>({ step: 0 });
  saveState(state, api);
  for (let step = 1; step <= 100; step++) {
    state.value = { step };
    vi.advanceTimersByTime(10);
  }
  vi.runAllTimers();
  expect(kept.at(-1)).toEqual({ step: 100 });
  expect(kept.length).toBeLessThan(10);
});

it('keeps what is new when the page goes away', () => {
  const state = signal<object>({ step: 0 });
  saveState(state, api);
  state.value = { step: 1 };
  expect(kept).toHaveLength(1);
  page.dispatchEvent(new Event('pagehide'));
  expect(kept.at(-1)).toEqual({ step: 1 });
});

it('keeps what was known when nothing is known any more', () => {
  const state = signal<object | undefined>({ step: 0 });
  saveState(state, api);
  state.value = undefined;
  vi.runAllTimers();
  expect(kept).toEqual([{ step: 0 }]);
});
