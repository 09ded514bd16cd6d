import type { ReadonlySignal } from '@preact/signals';
import type { VsCodeApi } from '../host/connection';

/** State is written at most so often, so that dragging does not flood the host. */
const saveMs = 150;

/**
 * Has VS Code keep a page's state while it is known; undefined is not kept. A change after a pause is kept at once: the page may be
 * hidden, and so thrown away, right after it.
 */
export function saveState(state: ReadonlySignal<unknown>, api: Pick<VsCodeApi, 'setState'>): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let kept: unknown;
  const isNew = (): boolean => state.peek() !== undefined && state.peek() !== kept;
  const save = (): void => {
    if (!isNew()) return;
    kept = state.peek();
    api.setState(kept);
  };
  const saveAndPause = (): void => {
    if (timer !== undefined) return;
    save();
    timer = setTimeout(() => {
      timer = undefined;
      if (isNew()) saveAndPause();
    }, saveMs);
  };
  state.subscribe(saveAndPause);
  window.addEventListener('pagehide', save);
  document.addEventListener('visibilitychange', save);
}
