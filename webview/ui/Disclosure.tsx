import type { ComponentChildren, JSX } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';

interface DisclosureProps {
  readonly summary: ComponentChildren;
  readonly children: ComponentChildren;
  readonly title: string;
  readonly testId: string;
}

/** A chip that opens a small card with details; Escape and a press elsewhere close it. */
export function Disclosure({ summary, children, title, testId }: DisclosureProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLSpanElement>(null);
  // Before the card is painted, so that a visible card can be closed.
  useLayoutEffect(() => {
    if (!open) return undefined;
    const close = (event: Event): void => {
      const outside = event.target instanceof Node && root.current?.contains(event.target) === false;
      const escape = event instanceof KeyboardEvent && event.key === 'Escape';
      if (escape || (outside && event.type === 'pointerdown')) setOpen(false);
    };
    document.addEventListener('pointerdown', close);
    document.addEventListener('keydown', close);
    return () => {
      document.removeEventListener('pointerdown', close);
      document.removeEventListener('keydown', close);
    };
  }, [open]);
  return (
    <span class="disclosure" ref={root}>
      <button
        type="button"
        class="chip"
        aria-expanded={open}
        aria-controls={id}
        title={open ? undefined : title}
        data-testid={testId}
        onClick={() => setOpen(!open)}
      >
        {summary}
      </button>
      <div id={id} class="card" hidden={!open}>
        {children}
      </div>
    </span>
  );
}
