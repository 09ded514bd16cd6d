import { useEffect } from 'preact/hooks';
import type { Services } from '../state/context';

/**
 * Keys of the whole page, wherever its focus is: Ctrl+Z and Ctrl+Shift+Z or Ctrl+Y, with ⌘ as well, undo and redo experiments; N and P go to
 * the next and the previous image of the folder, or row of a data set. Fields for text keep these keys for themselves.
 */
export function usePageKeys({ inspector, session }: Services): void {
  useEffect(() => {
    const { experiments } = session;
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.altKey || isField(event)) return;
      const key = event.key.toLowerCase();
      const control = event.ctrlKey || event.metaKey;
      // A token file is a document of VS Code's, which has these keys itself.
      if (control && inspector.document.peek()?.tokens === 'file') return;
      if (control && key === 'z') {
        if (event.shiftKey) experiments.redo();
        else experiments.undo();
      } else if (control && key === 'y') experiments.redo();
      else if (!control && !event.shiftKey && (key === 'n' || key === 'p'))
        void session.openNeighbour(key === 'n' ? 'next' : 'previous');
      else return;
      event.preventDefault();
      // VS Code would undo by itself as well.
      event.stopPropagation();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [inspector, session]);
}

/** True if a key goes to a field for text or a list, which is within an element of the toolkit. */
function isField(event: KeyboardEvent): boolean {
  const [target] = event.composedPath();
  if (target instanceof HTMLInputElement) return target.type !== 'range' && target.type !== 'radio';
  return target instanceof HTMLElement && target.closest('vscode-dropdown, select, textarea') !== null;
}
