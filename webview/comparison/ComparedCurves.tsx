import { scaleLinear } from 'd3-scale';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { useComparison } from './comparison';
import { Axis, useWidth } from '../plots/Axis';
import { curvePath, FocusedDot, LossLine, niceTicks } from '../plots/EntropyCurve';
import type { Inspector } from '../state/inspector';
import type { Ranking } from '../../src/method/types';

const height = 160;
const margin = { top: 10, right: 8, bottom: 20, left: 40 };

/** One side's curve, and its name. */
interface Curve {
  readonly inspector: Inspector;
  readonly ranking: Ranking;
  readonly letter: 'A' | 'B';
}

/** The cumulative curves of both sides on one pair of axes, each with its ε line. */
export function ComparedCurves(): JSX.Element | null {
  const comparison = useComparison();
  const curves = [comparison.left.value, comparison.right.value].flatMap(({ inspector }, i): Curve[] => {
    const ranking = inspector.ranking.value;
    return ranking === undefined || ranking.totalBits === 0
      ? []
      : [{ inspector, ranking, letter: i === 0 ? 'A' : 'B' }];
  });
  if (curves.length === 0) return null;
  return (
    <section class="panel curve" aria-labelledby="curves-title">
      <h2 id="curves-title">Cumulative conditional entropy</h2>
      <Plot curves={curves} />
    </section>
  );
}

function Plot({ curves }: { readonly curves: readonly Curve[] }): JSX.Element {
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 360);
  const count = Math.max(...curves.map(({ ranking }) => ranking.order.length));
  const total = Math.max(...curves.map(({ ranking }) => ranking.totalBits));
  const { x, y, xTicks, yTicks } = useMemo(
    () => ({
      x: scaleLinear([0, count], [margin.left, width - margin.right]),
      y: scaleLinear([0, total], [height - margin.bottom, margin.top]),
      xTicks: [0, count / 4, count / 2, (3 * count) / 4, count].map(Math.round),
      yTicks: niceTicks(total),
    }),
    [count, total, width],
  );
  return (
    <svg ref={root} class="plot" height={height} role="group" aria-labelledby="curves-title" data-testid="curves">
      <Axis side="bottom" scale={x} ticks={xTicks} x={0} y={height - margin.bottom} />
      <Axis side="left" scale={y} ticks={yTicks} x={margin.left} y={0} />
      {curves.map(({ inspector, ranking, letter }) => (
        <g key={letter} class={`curve-of-${letter.toLowerCase()}`}>
          <path class="curve-line" d={curvePath(ranking, x, y, width)} />
          <FocusedDot inspector={inspector} ranking={ranking} x={x} y={y} />
          <LossLine
            inspector={inspector}
            ranking={ranking}
            x={x}
            y={y}
            left={margin.left}
            right={width - margin.right}
            bottom={height - margin.bottom}
            letter={letter}
          />
        </g>
      ))}
    </svg>
  );
}
