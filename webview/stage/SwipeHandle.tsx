import type { JSX } from 'preact';
import type { StageController } from './stageController';
import { useServices } from '../state/context';

interface SwipeHandleProps {
  readonly controller: StageController;
  readonly names: readonly [left: string, right: string];
}

/** The line between two pictures: drag it, or move it with the arrow keys. */
export function SwipeHandle({ controller, names: [leftName, rightName] }: SwipeHandleProps): JSX.Element | null {
  const { inspector } = useServices();
  const frame = controller.frame.value;
  if (frame === undefined) return null;
  const { x, y, k } = controller.transform.value;
  const width = k * frame.imageWidth;
  const share = inspector.swipe.value;
  const move = (to: number): void => {
    inspector.swipe.value = Math.min(1, Math.max(0, to));
  };
  const left = Math.min(frame.width, Math.max(0, x + share * width));
  const top = Math.max(0, y);
  const bottom = Math.min(frame.height, y + k * frame.imageHeight);
  return (
    <>
      <span class="swipe-label left" style={{ transform: `translate(${left}px, ${top}px)` }} aria-hidden="true">
        {leftName}
      </span>
      <span class="swipe-label right" style={{ transform: `translate(${left}px, ${top}px)` }} aria-hidden="true">
        {rightName}
      </span>
      <div
        class="swipe"
        role="slider"
        tabIndex={0}
        aria-label={`Swipe between ${leftName} and ${rightName}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * share)}
        aria-valuetext={`${Math.round(100 * share)} % ${leftName}`}
        data-testid="swipe"
        style={{ transform: `translate(${left}px, ${top}px)`, height: `${Math.max(0, bottom - top)}px` }}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={(event) => {
          if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
          const stage = event.currentTarget.parentElement?.getBoundingClientRect();
          if (stage !== undefined) move((event.clientX - stage.left - x) / width);
        }}
        onKeyDown={(event) => {
          const step = event.shiftKey ? 0.1 : 0.02;
          const targets: Record<string, number> = {
            ArrowLeft: share - step,
            ArrowDown: share - step,
            ArrowRight: share + step,
            ArrowUp: share + step,
            PageDown: share - 0.1,
            PageUp: share + 0.1,
            Home: 0,
            End: 1,
          };
          const target = targets[event.key];
          if (target === undefined) return;
          event.preventDefault();
          move(target);
        }}
      />
    </>
  );
}
