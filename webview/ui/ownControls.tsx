// Controls that the UI toolkit does not offer: it has no menu, no card that a button opens, no fold, no splitter, no slider and no list of
// names and values.
import type { Button as ButtonElement } from '@vscode/webview-ui-toolkit';
import { Fragment, type ComponentChildren, type JSX, type RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useFloating } from './floating';

/**
 * Tells assistive technology what a button of the toolkit opens. The button that it sees is within the element, where an id of the page
 * means nothing, so it is given the element itself. Engines before Chromium 135 ignore it.
 */
function useControls(button: RefObject<ButtonElement | null>, opened: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    if (button.current === null || opened.current === null) return;
    Object.assign(button.current.control, { ariaControlsElements: [opened.current] });
  }, []);
}

export interface MenuItem {
  readonly label: string;
  readonly title?: string;
  readonly testId: string;
  /** Why it cannot be chosen now, in a sentence; undefined where it can. */
  readonly disabled?: string | undefined;
  readonly onChoose: () => void;
}

interface MenuButtonProps {
  readonly children: string;
  readonly title: string;
  readonly testId: string;
  /** Groups are set apart by lines. */
  readonly groups: readonly (readonly MenuItem[])[];
}

/**
 * A button that opens a menu of actions, after the ARIA pattern: Enter, Space or an arrow opens it, arrows, Home, End and
 * first letters walk, Escape and Tab close it; focus returns to the button.
 */
export function MenuButton({ children, title, testId, groups }: MenuButtonProps): JSX.Element {
  const [open, setOpen] = useState<'first' | 'last'>();
  const root = useRef<HTMLSpanElement>(null);
  const button = useRef<ButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  useControls(button, menu);
  useFloating(root, menu, open !== undefined, 'bottom-end');
  const items = (): HTMLElement[] => [...(root.current?.querySelectorAll<HTMLElement>('[role="menuitem"]') ?? [])];
  // Before the next input: a press elsewhere right after opening closes it too.
  useLayoutEffect(() => {
    if (open === undefined) return undefined;
    items()
      .at(open === 'first' ? 0 : -1)
      ?.focus();
    const close = (event: Event): void => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false) setOpen(undefined);
    };
    document.addEventListener('pointerdown', close);
    return () => document.removeEventListener('pointerdown', close);
  }, [open]);

  const close = (): void => {
    setOpen(undefined);
    button.current?.focus();
  };

  const onMenuKey = (event: KeyboardEvent): void => {
    if (event.key === 'Tab') {
      close();
      return;
    }
    const all = items();
    const target = event.key === 'Escape' ? undefined : walked(all, event.key);
    if (event.key === 'Escape') close();
    else if (target === undefined) return;
    target?.focus();
    event.preventDefault();
  };

  return (
    <span class="menu-button" ref={root}>
      <vscode-button
        ref={button}
        appearance="secondary"
        ariaHaspopup="menu"
        ariaExpanded={String(open !== undefined)}
        title={open === undefined ? title : undefined}
        data-testid={testId}
        onClick={() => setOpen(open === undefined ? 'first' : undefined)}
        onKeyDown={(event) => {
          if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
          event.preventDefault();
          setOpen(event.key === 'ArrowDown' ? 'first' : 'last');
        }}
      >
        {children}
        <span class="triangle" aria-hidden="true" />
      </vscode-button>
      <div ref={menu} class="menu" role="menu" aria-label={title} hidden={open === undefined} onKeyDown={onMenuKey}>
        {groups.map((group, i) => (
          <Fragment key={i}>
            {i > 0 && <vscode-divider />}
            {group.map((item) => (
              <button
                key={item.testId}
                type="button"
                role="menuitem"
                tabIndex={-1}
                title={item.disabled ?? item.title}
                aria-disabled={item.disabled !== undefined}
                data-testid={item.testId}
                onClick={() => {
                  // It stays in the walk of the keys, so that its reason can be read.
                  if (item.disabled !== undefined) return;
                  close();
                  item.onChoose();
                }}
              >
                {item.label}
                {item.disabled !== undefined && <span class="reason">{item.disabled}</span>}
              </button>
            ))}
          </Fragment>
        ))}
      </div>
    </span>
  );
}

/** The item that a key goes to, round at the ends; undefined when the key goes nowhere. */
export function walked(items: readonly HTMLElement[], key: string): HTMLElement | undefined {
  const current = items.findIndex((item) => item === document.activeElement);
  const wrap = (index: number): HTMLElement | undefined => items[(index + items.length) % items.length];
  switch (key) {
    case 'ArrowDown':
      return wrap(current + 1);
    case 'ArrowUp':
      return wrap(current - 1);
    case 'Home':
      return items[0];
    case 'End':
      return items.at(-1);
    default: {
      const letter = key.toLowerCase();
      const after = [...items.slice(current + 1), ...items.slice(0, current + 1)];
      return key.length === 1 ? after.find((item) => item.textContent.toLowerCase().startsWith(letter)) : undefined;
    }
  }
}

interface DisclosureProps {
  readonly summary: ComponentChildren;
  readonly children: ComponentChildren;
  readonly title: string;
  readonly testId: string;
}

/** A button that opens a small card with details; Escape and a press elsewhere close it. */
export function Disclosure({ summary, children, title, testId }: DisclosureProps): JSX.Element {
  const { open, toggle, root, card } = useCard();
  const button = useRef<ButtonElement>(null);
  useControls(button, card);
  return (
    <span class="disclosure" ref={root}>
      <vscode-button
        ref={button}
        appearance="secondary"
        ariaExpanded={String(open)}
        title={open ? undefined : title}
        data-testid={testId}
        onClick={toggle}
      >
        {summary}
      </vscode-button>
      <div ref={card} class="card" hidden={!open}>
        {children}
      </div>
    </span>
  );
}

interface HelpProps {
  /** That which is explained. */
  readonly about: string;
  readonly testId: string;
  readonly children: ComponentChildren;
}

/** A question mark that opens an explanation; Escape and a press elsewhere close it. */
export function Help({ about, testId, children }: HelpProps): JSX.Element {
  const { open, toggle, root, card } = useCard();
  return (
    <span class="disclosure" ref={root}>
      <button
        type="button"
        class="help"
        aria-expanded={open}
        aria-label={`About ${about}`}
        title={open ? undefined : `About ${about}`}
        data-testid={testId}
        onClick={toggle}
      >
        ?
      </button>
      <div ref={card} class="card explanation" hidden={!open}>
        {children}
      </div>
    </span>
  );
}

interface Card {
  readonly open: boolean;
  readonly toggle: () => void;
  readonly root: RefObject<HTMLSpanElement | null>;
  readonly card: RefObject<HTMLDivElement | null>;
}

/** A card below the element that holds it. */
function useCard(): Card {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLSpanElement>(null);
  const card = useRef<HTMLDivElement>(null);
  useFloating(root, card, open, 'bottom-start');
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
  return { open, toggle: () => setOpen(!open), root, card };
}

interface FoldProps {
  readonly title: ComponentChildren;
  readonly id: string;
  readonly open: boolean;
  readonly onToggle: (open: boolean) => void;
}

/** A heading that folds what stands below it. */
export function Fold({ title, id, open, onToggle }: FoldProps): JSX.Element {
  return (
    <h2 id={id} class="fold">
      <button type="button" aria-expanded={open} data-testid={`fold-${id}`} onClick={() => onToggle(!open)}>
        <span class={open ? 'twistie open' : 'twistie'} aria-hidden="true" />
        <span>{title}</span>
      </button>
    </h2>
  );
}

interface SplitterProps {
  readonly label: string;
  readonly testId: string;
  /** `width` of what lies at the right of the line, `height` of what lies below it. */
  readonly sets: 'width' | 'height';
  /** CSS pixels, like all lengths here. */
  readonly min: number;
  readonly max: number;
  readonly onResize: (size: number) => void;
  /** Asks for the usual size. */
  readonly onReset: () => void;
}

/** A line between two parts of the page that is dragged, or moved by arrow keys, and is doubly clicked to begin anew. */
export function Splitter({ label, testId, sets, min, max, onResize, onReset }: SplitterProps): JSX.Element {
  const line = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState(min);
  const measured = (): number => Math.round(line.current?.parentElement?.getBoundingClientRect()[sets] ?? min);
  useEffect(() => {
    const parent = line.current?.parentElement;
    if (!parent) return undefined;
    const observer = new ResizeObserver(() => setSize(measured()));
    observer.observe(parent);
    return () => observer.disconnect();
  }, [sets]);
  const resize = (to: number): void => onResize(Math.round(Math.min(max, Math.max(min, to))));
  return (
    <div
      ref={line}
      class={`splitter ${sets}`}
      role="separator"
      tabIndex={0}
      aria-label={label}
      aria-orientation={sets === 'width' ? 'vertical' : 'horizontal'}
      aria-valuemin={min}
      aria-valuemax={Math.max(max, size)}
      aria-valuenow={size}
      aria-valuetext={`${size} pixels`}
      title={`${label}: drag, or double-click for the usual one`}
      data-testid={testId}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
        const box = line.current?.parentElement?.getBoundingClientRect();
        if (box !== undefined) resize(sets === 'width' ? box.right - event.clientX : box.bottom - event.clientY);
      }}
      onDblClick={onReset}
      onKeyDown={(event) => {
        const step = event.shiftKey ? 50 : 10;
        const targets: Record<string, number> = {
          ArrowLeft: measured() + step,
          ArrowUp: measured() + step,
          ArrowRight: measured() - step,
          ArrowDown: measured() - step,
          Home: max,
          End: min,
        };
        const target = targets[event.key];
        if (target === undefined) return;
        event.preventDefault();
        resize(target);
      }}
    />
  );
}

interface RangeProps {
  /** undefined where a label stands around it. */
  readonly label?: string;
  readonly id?: string | undefined;
  readonly testId: string;
  readonly step: number;
  readonly value: number;
  /** The value as it is said; absent: the number. */
  readonly valueText?: string | undefined;
  readonly onInput: (value: number) => void;
}

/** A slider of the browser's own, from 0 to 1, in the theme's colours. */
export function Range({ label, id, testId, step, value, valueText, onInput }: RangeProps): JSX.Element {
  return (
    <input
      id={id}
      type="range"
      min="0"
      max="1"
      step={step}
      aria-label={label}
      aria-valuetext={valueText}
      data-testid={testId}
      value={value}
      onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
    />
  );
}

/** A name and its value on one line of a definition list. */
export function Row({
  name,
  children,
}: {
  readonly name: ComponentChildren;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="row">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
