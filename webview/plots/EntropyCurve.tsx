import { scaleLinear } from 'd3-scale';
import { line } from 'd3-shape';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { Axis, labelHeight, PlotToCome, useWidth } from './Axis';
import { PlotPanel } from './PlotPanel';
import { useExportedPlot } from '../export/exporter';
import { useServices } from '../state/context';
import type { Inspector } from '../state/inspector';
import { lossRateStep, snapLossRate } from '../state/lossRate';
import type { Ranking } from '../../src/method/types';

const height = 148;
const margin = { top: 20, right: 6, bottom: 32, left: 36 };

/**
 * Cumulative conditional entropy, patches in the order of keeping: how many bits the m patches kept longest hold together.
 * The dashed line is what must be held, Σĥ − ε·B; where the curve crosses it, filtering stops.
 */
export function EntropyCurve(): JSX.Element | null {
  const { inspector } = useServices();
  const ranking = inspector.ranking.value;
  if (ranking?.totalBits === 0) return null;
  return (
    <PlotPanel name="curve" title="Bits held" help="curve">
      {ranking === undefined ? <PlotToCome height={height} /> : <Plot inspector={inspector} ranking={ranking} />}
    </PlotPanel>
  );
}

function Plot({ inspector, ranking }: { readonly inspector: Inspector; readonly ranking: Ranking }): JSX.Element {
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 290);
  const count = ranking.order.length;
  const geometry = useMemo(() => {
    const x = scaleLinear([0, count], [margin.left, width - margin.right]);
    const y = scaleLinear([0, ranking.totalBits], [height - margin.bottom, margin.top]);
    return {
      x,
      y,
      path: curvePath(ranking, x, y, width),
      xTicks: [0, count / 4, count / 2, (3 * count) / 4, count].map(Math.round),
      yTicks: niceTicks(ranking.totalBits),
    };
  }, [ranking, width, count]);
  const { x, y } = geometry;
  useExportedPlot('curve', {
    title: 'Cumulative conditional entropy',
    xLabel: 'patches kept',
    yLabel: 'bits',
    svg: () => root.current,
    table: () => [
      ['kept', 'patch', 'held_bits'],
      ...Array.from({ length: count }, (_, i) => [i + 1, ranking.order[count - i - 1] ?? 0, heldBits(ranking, i + 1)]),
    ],
  });

  /** Patch whose place on the curve is under the pointer. */
  const focusAt = (event: PointerEvent): void => {
    const left = root.current?.getBoundingClientRect().left ?? 0;
    const kept = Math.round(x.invert(event.clientX - left));
    const patch = ranking.order[count - Math.min(count, Math.max(1, kept))];
    inspector.hover(patch);
  };

  return (
    <svg
      ref={root}
      class="plot"
      height={height}
      role="group"
      aria-label={`${count} patches hold ${ranking.totalBits.toFixed(0)} bits`}
      data-testid="curve"
      onPointerMove={focusAt}
      onPointerLeave={() => (inspector.pointing.value = false)}
    >
      <Axis side="bottom" scale={x} ticks={geometry.xTicks} x={0} y={height - margin.bottom} title="patches kept" />
      <Axis side="left" scale={y} ticks={geometry.yTicks} x={margin.left} y={0} title="bits" />
      <path class="curve-line" d={geometry.path} />
      <FocusedDot inspector={inspector} ranking={ranking} x={x} y={y} />
      {inspector.rates.value && (
        <LossLine
          inspector={inspector}
          ranking={ranking}
          x={x}
          y={y}
          left={margin.left}
          right={width - margin.right}
          bottom={height - margin.bottom}
        />
      )}
    </svg>
  );
}

interface MarkProps {
  readonly inspector: Inspector;
  readonly ranking: Ranking;
  readonly x: (kept: number) => number;
  readonly y: { (bits: number): number; invert(position: number): number };
}

/** Bits held against patches kept, as an SVG path. */
export function curvePath(ranking: Ranking, x: MarkProps['x'], y: MarkProps['y'], width: number): string {
  // One point a pixel and both ends: a large picture has far more patches than the plot has pixels.
  const count = ranking.order.length;
  const points = Math.min(count, Math.max(1, Math.round(width)));
  const shown = Array.from({ length: points + 1 }, (_, i) => Math.round((i * count) / points));
  const path = line<number>(
    (kept) => x(kept),
    (kept) => y(heldBits(ranking, kept)),
  );
  return path(shown) ?? '';
}

export function FocusedDot({ inspector, ranking, x, y }: MarkProps): JSX.Element | null {
  const focused = inspector.focused.value;
  const rank = focused === undefined ? undefined : inspector.keepRank.value?.[focused];
  if (rank === undefined) return null;
  return <circle class="focused-dot" cx={x(rank)} cy={y(heldBits(ranking, rank))} r={4} data-testid="curve-focus" />;
}

interface LossLineProps extends MarkProps {
  /** Ends of the axes in pixels of the plot. */
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  /** Names the curve where there are two. */
  readonly letter?: 'A' | 'B';
}

/** The ε line: a slider like the one above, drawn where it acts. */
export function LossLine(props: LossLineProps): JSX.Element | null {
  const { inspector, ranking, x, y, left, right, bottom, letter } = props;
  const selected = inspector.filtered.value;
  if (selected === undefined) return null;
  const lossRate = inspector.lossRate.value;
  const { keptTokens, budgetBits, lostBits } = selected;
  const total = ranking.totalBits;
  const threshold = Math.max(0, total - lossRate * budgetBits);
  const share = Math.round((100 * (total - lostBits)) / total);
  const lineY = y(threshold);
  const keptX = x(keptTokens);
  const label = `${keptTokens} kept hold ${share} % of the bits`;
  const drag = (event: PointerEvent & { currentTarget: SVGGElement }): void => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const top = event.currentTarget.ownerSVGElement?.getBoundingClientRect().top ?? 0;
    inspector.lossRate.value = snapLossRate((total - y.invert(event.clientY - top)) / budgetBits);
  };
  return (
    <g
      class="loss-line"
      role="slider"
      tabindex={0}
      aria-orientation="vertical"
      aria-label={`Information loss rate line${letter === undefined ? '' : ` of ${letter}`}`}
      aria-valuemin={0}
      aria-valuemax={1}
      aria-valuenow={lossRate}
      aria-valuetext={`${lossRate.toFixed(3)}: ${label}`}
      data-testid="loss-line"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        drag(event);
      }}
      onPointerMove={drag}
      onKeyDown={(event) => {
        const step = lossRateStep * (event.shiftKey ? 10 : 1);
        // The line shows what is held: up means less loss.
        const targets: Record<string, number> = {
          ArrowUp: lossRate - step,
          ArrowLeft: lossRate - step,
          ArrowDown: lossRate + step,
          ArrowRight: lossRate + step,
          PageUp: lossRate - 10 * lossRateStep,
          PageDown: lossRate + 10 * lossRateStep,
          Home: 0,
          End: 1,
        };
        const target = targets[event.key];
        if (target === undefined) return;
        event.preventDefault();
        inspector.lossRate.value = snapLossRate(target);
      }}
    >
      <rect class="grip" x={left} y={lineY - 7} width={right - left} height={14} />
      <line class="threshold" x1={left} x2={right} y1={lineY} y2={lineY} />
      <circle class="kept-dot" cx={keptX} cy={y(total - lostBits)} r={4} />
      {letter === undefined ? (
        <text class="plot-label" x={right} y={labelHeight(label, keptX, lineY, right, bottom)} text-anchor="end">
          {label}
        </text>
      ) : (
        // Side by side above their lines, which may lie on each other.
        <text class="plot-label" x={right - (letter === 'A' ? 22 : 8)} y={lineY - 4} text-anchor="middle">
          {letter}
        </text>
      )}
    </g>
  );
}

/** Bits that the `kept` patches dropped last hold together. */
function heldBits(ranking: Ranking, kept: number): number {
  return ranking.totalBits - (ranking.cumulativeBits[ranking.order.length - kept] ?? 0);
}

/** Multiples of a round step that divides the axis into two to four parts. */
export function niceTicks(total: number): number[] {
  const power = 10 ** Math.floor(Math.log10(total / 2));
  const step = [5, 2, 1].map((factor) => factor * power).find((size) => total / size >= 2) ?? power;
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, i) => i * step);
}
