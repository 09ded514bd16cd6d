import type { ReadonlySignal } from '@preact/signals';
import type { VsCodeApi } from '../vscodeApi';

/** State is written at most so often, so that dragging does not flood the host. */
const saveMs = 150;

/** Has VS Code keep a page's state while it is known; undefined is not kept. */
export function saveState(state: ReadonlySignal<unknown>, api: Pick<VsCodeApi, 'setState'>): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const save = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const known = state.peek();
    if (known !== undefined) api.setState(known);
  };
  state.subscribe(() => {
    timer ??= setTimeout(save, saveMs);
  });
  // The page may be thrown away at any time after it was hidden.
  window.addEventListener('pagehide', save);
  document.addEventListener('visibilitychange', save);
}
