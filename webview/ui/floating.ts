import {
  autoUpdate,
  computePosition,
  flip,
  offset,
  shift,
  size,
  type ClientRectObject,
  type Placement,
} from '@floating-ui/dom';
import type { RefObject } from 'preact';
import { useLayoutEffect } from 'preact/hooks';

/** Distance that cards and menus keep from the edges of the page, CSS pixels. */
const edge = 14;

/**
 * Places a card or a menu beside what opened it while it is open: on the other side where there is no room, always within the page, and
 * never larger than it.
 */
export function useFloating(
  anchor: RefObject<Element | null>,
  floating: RefObject<HTMLElement | null>,
  open: boolean,
  placement: Placement,
): void {
  useLayoutEffect(() => {
    const [reference, element] = [anchor.current, floating.current];
    if (!open || reference === null || element === null) return undefined;
    const place = async (): Promise<void> => {
      const { x, y } = await computePosition(reference, element, {
        strategy: 'fixed',
        placement,
        middleware: [
          offset(5),
          flip({ padding: edge }),
          shift({ padding: edge, crossAxis: true }),
          size({
            padding: edge,
            apply: ({ availableHeight }) => {
              element.style.maxHeight = `${Math.max(80, availableHeight)}px`;
            },
          }),
        ],
      });
      element.style.left = `${x}px`;
      element.style.top = `${y}px`;
    };
    return autoUpdate(reference, element, () => void place());
  }, [open, placement]);
}

/** A rectangle of the page, CSS pixels. */
export type Box = Pick<ClientRectObject, 'x' | 'y' | 'width' | 'height'>;

/**
 * Places a card beside a rectangle at every rendering, where it covers neither that nor, as far as there is room, what is outside of `within`.
 *
 * @param box undefined while there is no card.
 */
export function useFloatingAt(floating: RefObject<HTMLElement | null>, box: Box | undefined, within: Element): void {
  useLayoutEffect(() => {
    const element = floating.current;
    if (box === undefined || element === null) return;
    const { x: left, y: top, width, height } = box;
    const rect = { ...box, left, top, right: left + width, bottom: top + height };
    const options = { boundary: within, padding: 4 };
    void computePosition({ getBoundingClientRect: () => rect }, element, {
      strategy: 'fixed',
      placement: 'right-start',
      middleware: [
        offset(12),
        flip({ ...options, fallbackPlacements: ['left-start', 'bottom', 'top'] }),
        shift({ ...options, crossAxis: true }),
        shift({ padding: edge, crossAxis: true }),
      ],
    }).then(({ x, y }) => {
      element.style.left = `${x}px`;
      element.style.top = `${y}px`;
    });
  });
}
