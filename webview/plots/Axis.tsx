import { axisBottom, axisLeft } from 'd3-axis';
import type { ScaleLinear } from 'd3-scale';
import { select } from 'd3-selection';
import type { JSX, RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface AxisProps {
  readonly side: 'bottom' | 'left';
  readonly scale: ScaleLinear<number, number>;
  readonly ticks: readonly number[];
  readonly x: number;
  readonly y: number;
  /** The quantity and its unit. */
  readonly title?: string;
}

/** d3's axis with few, chosen ticks. */
export function Axis({ side, scale, ticks, x, y, title }: AxisProps): JSX.Element {
  const group = useRef<SVGGElement>(null);
  useEffect(() => {
    if (group.current === null) return;
    const axis = (side === 'bottom' ? axisBottom : axisLeft)(scale);
    axis
      .tickValues([...ticks])
      .tickSize(3)
      .tickPadding(4)
      .tickFormat((value) => value.valueOf().toLocaleString('en'));
    select(group.current).call(axis);
  }, [side, scale, ticks]);
  const [, end = 0] = scale.range();
  return (
    <>
      <g ref={group} class="axis" transform={`translate(${x} ${y})`} aria-hidden="true" />
      {title !== undefined && side === 'bottom' && (
        <text class="axis-title" x={end} y={y + 29} text-anchor="end" aria-hidden="true">
          {title}
        </text>
      )}
      {title !== undefined && side === 'left' && (
        <text class="axis-title" x={2} y={end - 9} aria-hidden="true">
          {title}
        </text>
      )}
    </>
  );
}

/** At the size of labels in plots, generously. */
const characterWidth = 6;

/**
 * Baseline of the ε line's label, which ends at the right, so that it crosses neither the line nor the curve. The curve rises:
 * right of where they meet it runs above the line, and the corner at the lower right is always free.
 *
 * @param meetingX where curve and line meet.
 * @param lineY of the line.
 * @param right ends of the axes, like all lengths in pixels of the plot.
 */
export function labelHeight(label: string, meetingX: number, lineY: number, right: number, bottom: number): number {
  if (right - characterWidth * label.length < meetingX) return bottom - 6;
  return lineY > bottom - 17 ? lineY - 6 : lineY + 15;
}

/** Width of an element in CSS pixels, kept up to date. */
export function useWidth(element: RefObject<Element | null>, initial: number): number {
  const [width, setWidth] = useState(initial);
  useEffect(() => {
    if (element.current === null) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined && entry.contentRect.width > 0) setWidth(Math.round(entry.contentRect.width));
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

/** Holds the place of a plot whose data is on its way, so that nothing moves when it comes. */
export function PlotToCome({ height }: { readonly height: number }): JSX.Element {
  return <svg class="plot" height={height} aria-hidden="true" />;
}
