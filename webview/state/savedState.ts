import type { ReadonlySignal } from '@preact/signals';
import type { VsCodeApi } from '../vscodeApi';

/** State is written at most so often, so that dragging does not flood the host. */
const saveMs = 150;

/**
 * Has VS Code keep a page's state while it is known; undefined is not kept. A change after a pause is kept at once: the page may be
 * hidden, and so thrown away, right after it.
 */
export function saveState(state: ReadonlySignal<unknown>, api: Pick<VsCodeApi, 'setState'>): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let kept: unknown;
  const save = (): void => {
    const known = state.peek();
    if (known === undefined || known === kept) return;
    kept = known;
    api.setState(known);
  };
  const saveAndPause = (): void => {
    if (timer !== undefined) return;
    save();
    timer = setTimeout(() => {
      timer = undefined;
      if (state.peek() !== kept) saveAndPause();
    }, saveMs);
  };
  state.subscribe(saveAndPause);
  window.addEventListener('pagehide', save);
  document.addEventListener('visibilitychange', save);
}
