import { useEffect } from 'preact/hooks';
import type { StageController } from './stageController';
import type { Services } from '../state/context';
import type { Experiments } from '../state/experiments';

/**
 * Has the brush force the patches that it crosses, when a tool for that is chosen: from press to release one change. Fast strokes skip no
 * patch between two places that the pointer was at.
 */
export function useBrush(controller: StageController | undefined, experiments: Experiments | undefined): void {
  useEffect(() => {
    if (controller === undefined || experiments === undefined) return undefined;
    const { canvas } = controller;
    let last: { readonly x: number; readonly y: number } | undefined;
    const paintTo = (x: number, y: number): void => {
      const to = experiments.tool.peek();
      if (to === 'inspect') return;
      const from = last ?? { x, y };
      const steps = Math.max(1, Math.ceil(Math.hypot(x - from.x, y - from.y) / controller.brushStep));
      for (let i = 1; i <= steps; i++) {
        const patch = controller.patchAt(from.x + ((x - from.x) * i) / steps, from.y + ((y - from.y) * i) / steps);
        if (patch !== undefined) experiments.paint(patch, to);
      }
      last = { x, y };
    };
    const onDown = (event: PointerEvent): void => {
      if (event.button !== 0 || event.ctrlKey || experiments.tool.peek() === 'inspect') return;
      canvas.setPointerCapture(event.pointerId);
      last = undefined;
      paintTo(event.offsetX, event.offsetY);
    };
    const onMove = (event: PointerEvent): void => {
      if (last === undefined) return;
      paintTo(event.offsetX, event.offsetY);
    };
    const onEnd = (): void => {
      last = undefined;
      experiments.endStroke();
    };
    canvas.addEventListener('pointerdown', onDown);
    canvas.addEventListener('pointermove', onMove);
    canvas.addEventListener('pointerup', onEnd);
    canvas.addEventListener('pointercancel', onEnd);
    return () => {
      canvas.removeEventListener('pointerdown', onDown);
      canvas.removeEventListener('pointermove', onMove);
      canvas.removeEventListener('pointerup', onEnd);
      canvas.removeEventListener('pointercancel', onEnd);
    };
  }, [controller, experiments]);
}

/** A key that does something with the focused patch. @returns true if it did. */
export function experimentKey(
  event: KeyboardEvent,
  { inspector }: Pick<Services, 'inspector'>,
  experiments: Experiments,
  controller: StageController,
): boolean {
  const focused = inspector.focused.peek();
  if (focused === undefined || event.ctrlKey || event.metaKey || event.altKey) return false;
  switch (event.key.toLowerCase()) {
    case 'k':
      experiments.force([focused], 'keep');
      return true;
    case 'd':
      experiments.force([focused], 'drop');
      return true;
    case 'f':
      experiments.force([focused], 'free');
      return true;
    case 'delete':
      experiments.restore(focused);
      return true;
    case 'c':
      experiments.copyCode(focused);
      return true;
    case 'v':
      experiments.pasteCode(focused);
      return true;
    case 'e': {
      const next = experiments.nextTwin();
      if (next === undefined) return true;
      inspector.focused.value = next;
      controller.reveal(next);
      return true;
    }
    default:
      return false;
  }
}
