import { axisBottom, axisLeft } from 'd3-axis';
import type { ScaleLinear } from 'd3-scale';
import { select } from 'd3-selection';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface AxisProps {
  readonly side: 'bottom' | 'left';
  readonly scale: ScaleLinear<number, number>;
  readonly ticks: readonly number[];
  readonly x: number;
  readonly y: number;
}

/** d3's axis with few, chosen ticks. */
export function Axis({ side, scale, ticks, x, y }: AxisProps): JSX.Element {
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
  return <g ref={group} class="axis" transform={`translate(${x} ${y})`} aria-hidden="true" />;
}
