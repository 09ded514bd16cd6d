import type { JSX } from 'preact';
import { Fragment } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { focusedPatch } from './PatchCard';
import { useExporter } from '../export/exporter';
import type { StageController } from '../stage/stageController';
import { useServices } from '../state/context';
import { walked } from '../ui/ownControls';
import { describePatch } from '../../src/method/patch';

interface Place {
  readonly x: number;
  readonly y: number;
}

interface Item {
  readonly label: string;
  readonly key?: string;
  readonly testId: string;
  /** Why it cannot be chosen; undefined: it can. */
  readonly not?: string | undefined;
  readonly run: () => void;
}

/** The menu of the picture: right click, or the menu key or Shift+F10 at the focused patch. After the ARIA pattern of menus. */
export function PictureMenu({ controller }: { readonly controller: StageController }): JSX.Element | null {
  const { inspector } = useServices();
  const [place, setPlace] = useState<Place>();
  useEffect(() => {
    const { canvas } = controller;
    const openAt = (patch: number | undefined, at: Place): void => {
      if (patch === undefined) return;
      inspector.focused.value = patch;
      setPlace(at);
    };
    const byKey = (): void => {
      const patch = inspector.focused.peek();
      const box = patch === undefined ? undefined : controller.boxOf(patch);
      if (box !== undefined) openAt(patch, { x: box.x + box.width / 2, y: box.y + box.height / 2 });
    };
    const onMenu = (event: MouseEvent): void => {
      event.preventDefault();
      // Keys give it no pointer.
      const pointer = event instanceof PointerEvent ? event.pointerType : '';
      if (pointer === '') byKey();
      else openAt(controller.patchAt(event.offsetX, event.offsetY), { x: event.clientX, y: event.clientY });
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== 'ContextMenu' && !(event.key === 'F10' && event.shiftKey)) return;
      event.preventDefault();
      byKey();
    };
    canvas.addEventListener('contextmenu', onMenu);
    canvas.addEventListener('keydown', onKey);
    return () => {
      canvas.removeEventListener('contextmenu', onMenu);
      canvas.removeEventListener('keydown', onKey);
    };
  }, [controller, inspector]);
  const close = (): void => {
    setPlace(undefined);
    controller.canvas.focus();
  };
  return place === undefined ? null : <OpenMenu place={place} close={close} />;
}

interface OpenMenuProps {
  readonly place: Place;
  readonly close: () => void;
}

/** Distance that the menu keeps from the edges of the page, CSS pixels. */
const edge = 8;

function OpenMenu({ place, close }: OpenMenuProps): JSX.Element {
  const groups = useItems();
  const menu = useRef<HTMLDivElement>(null);
  const items = (): HTMLElement[] => [...(menu.current?.querySelectorAll<HTMLElement>('[role="menuitem"]') ?? [])];
  useLayoutEffect(() => {
    const element = menu.current;
    if (element === null) return undefined;
    const { width, height } = element.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    element.style.left = `${Math.max(edge, Math.min(place.x, clientWidth - edge - width))}px`;
    element.style.top = `${Math.max(edge, Math.min(place.y, clientHeight - edge - height))}px`;
    items()[0]?.focus();
    const outside = (event: Event): void => {
      if (event.target instanceof Node && !element.contains(event.target)) close();
    };
    document.addEventListener('pointerdown', outside);
    window.addEventListener('blur', close);
    return () => {
      document.removeEventListener('pointerdown', outside);
      window.removeEventListener('blur', close);
    };
  }, [place]);
  const onKey = (event: KeyboardEvent): void => {
    // The picture's own keys are not the menu's.
    event.stopPropagation();
    if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      close();
      return;
    }
    const target = walked(items(), event.key);
    if (target === undefined) return;
    event.preventDefault();
    target.focus();
  };
  return (
    <div
      ref={menu}
      class="menu picture-menu"
      role="menu"
      aria-label="Patch"
      data-testid="picture-menu"
      onKeyDown={onKey}
    >
      {groups.map((group, i) => (
        <Fragment key={i}>
          {i > 0 && <hr />}
          {group.map((item) => (
            <button
              key={item.testId}
              type="button"
              role="menuitem"
              tabIndex={-1}
              aria-disabled={item.not !== undefined}
              title={item.not}
              data-testid={`menu-${item.testId}`}
              onClick={() => {
                if (item.not !== undefined) return;
                close();
                item.run();
              }}
            >
              <span>{item.label}</span>
              {item.key !== undefined && (
                <span class="key" aria-hidden="true">
                  {item.key}
                </span>
              )}
            </button>
          ))}
        </Fragment>
      ))}
    </div>
  );
}

/** What can be done with the focused patch, in groups. */
function useItems(): readonly (readonly Item[])[] {
  const services = useServices();
  const exporter = useExporter();
  const { inspector, session } = services;
  const { experiments } = session;
  const patch = inspector.focused.value ?? 0;
  const noForce = experiments.forces.value ? undefined : 'This model drops no single patches';
  const noCode = experiments.replaces('patch') ? undefined : 'The patches of this model have no single code';
  const forced = experiments.forceOf(patch);
  const original = experiments.originalOf('patch', patch);
  const copied = experiments.copied.value;
  const twins = experiments.twins.value.length;
  const force = (label: string, key: string, to: 'keep' | 'drop' | 'free'): Item => ({
    label,
    key,
    testId: to,
    not: noForce ?? (forced === to ? 'It is so already' : undefined),
    run: () => experiments.force([patch], to),
  });
  const facts = focusedPatch(services);
  return [
    [force('Keep', 'K', 'keep'), force('Drop', 'D', 'drop'), force('Leave to the filter', 'F', 'free')],
    [
      { label: 'Copy code', key: 'C', testId: 'copy-code', not: noCode, run: () => experiments.copyCode(patch) },
      {
        label: copied === undefined ? 'Paste code' : `Paste code ${copied}`,
        key: 'V',
        testId: 'paste-code',
        not: noCode ?? (copied === undefined ? 'Copy the code of a patch first' : undefined),
        run: () => experiments.pasteCode(patch),
      },
      {
        label: original === undefined ? 'Back to the model’s own' : `Back to code ${original} of the model`,
        key: 'Del',
        testId: 'restore',
        not: original === undefined && forced === 'free' ? 'Nothing is changed here' : undefined,
        run: () => experiments.restore(patch),
      },
      {
        label: `Next patch with this code (${twins})`,
        key: 'E',
        testId: 'next-twin',
        not: noCode ?? (twins === 0 ? 'No other patch has this code' : undefined),
        run: () => {
          inspector.focused.value = experiments.nextTwin() ?? patch;
        },
      },
    ],
    [
      {
        label: inspector.pinned.value ? 'Let go' : 'Pin',
        key: 'Enter',
        testId: 'pin',
        run: () => inspector.togglePin(patch),
      },
      {
        label: 'Copy values',
        testId: 'copy-values',
        not: facts === undefined ? 'There are none yet' : undefined,
        run: () => {
          if (facts !== undefined) void navigator.clipboard.writeText(describePatch(facts.facts, facts.place));
        },
      },
      { label: 'Copy picture', testId: 'copy-picture', run: () => void exporter.copyView() },
    ],
  ];
}
