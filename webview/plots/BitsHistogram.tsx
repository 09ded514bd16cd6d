import { bin, max, median } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { Axis, PlotToCome, useWidth } from './Axis';
import { PlotPanel } from './PlotPanel';
import { cssColour } from '../canvas/colormaps';
import { useExportedPlot } from '../export/exporter';
import { useServices } from '../state/context';
import { bitsTitles } from '../state/layers';
import { tokenBits } from '../../src/method/streams';
import type { Tokens } from '../../src/method/types';

const height = 118;
const margin = { top: 20, right: 6, bottom: 32, left: 36 };

/** How many patches have how many bits, in half bits; bars take the colours of the heat map. */
export function BitsHistogram(): JSX.Element {
  const { inspector } = useServices();
  const tokenization = inspector.tokenization.value;
  const overlay = inspector.overlay.value;
  const priority = inspector.ranking.value?.priorities?.priority;
  const title = overlay === 'surprisal' || overlay === 'priority' ? bitsTitles[overlay] : 'Bits per patch';
  const valuesOf = ({ surprisalBits, entropyBits }: Tokens): ArrayLike<number> & Iterable<number> =>
    overlay === 'surprisal' ? surprisalBits : overlay === 'priority' ? (priority ?? new Float64Array()) : entropyBits;
  return (
    <PlotPanel name="histogram" title={title} help="histogram">
      {tokenization === undefined ? (
        <PlotToCome height={height} />
      ) : (
        <Plot title={title} values={valuesOf(tokenization.tokens)} mostBits={tokenBits(tokenization.model)} />
      )}
    </PlotPanel>
  );
}

interface PlotProps {
  readonly title: string;
  /** Bits of every patch. */
  readonly values: ArrayLike<number> & Iterable<number>;
  /** The bits that a token costs: no mean can be more. */
  readonly mostBits: number;
}

function Plot({ title, values, mostBits }: PlotProps): JSX.Element {
  const { inspector, layers } = useServices();
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 290);
  const { bins, x, y, ticks } = useMemo(() => {
    // Surprisal may exceed log2 V.
    const last = Math.max(mostBits, Math.ceil(max(values) ?? 0));
    const edges = Array.from({ length: 2 * last }, (_, i) => i / 2);
    const counted = bin<number, number>().domain([0, last]).thresholds(edges)(values);
    return {
      bins: counted,
      x: scaleLinear([0, last], [margin.left, width - margin.right]),
      y: scaleLinear([0, max(counted, ({ length }) => length) ?? 1], [height - margin.bottom, margin.top]),
      ticks: Array.from({ length: Math.floor(last / 3) + 1 }, (_, i) => 3 * i),
    };
  }, [values, mostBits, width]);
  useExportedPlot('histogram', {
    title,
    xLabel: 'bits',
    yLabel: 'patches',
    svg: () => root.current,
    table: () => [['from_bits', 'to_bits', 'patches'], ...bins.map(({ x0 = 0, x1 = 0, length }) => [x0, x1, length])],
  });
  const [low, high] = layers.bitsDomain.value;
  const colormap = inspector.colormap.value;
  const focused = inspector.focused.value;
  const value = focused === undefined ? undefined : values[focused];
  return (
    <svg
      ref={root}
      class="plot"
      height={height}
      role="img"
      aria-label={`${title}: half of them have up to ${(median(values) ?? 0).toFixed(1)} bits, the greatest ${(max(values) ?? 0).toFixed(1)}`}
      data-testid="histogram"
    >
      <Axis side="bottom" scale={x} ticks={ticks} x={0} y={height - margin.bottom} title="bits" />
      <Axis side="left" scale={y} ticks={[y.domain()[1] ?? 0]} x={margin.left} y={0} title="patches" />
      {bins.map((patches) => {
        const from = x(patches.x0 ?? 0);
        const to = x(patches.x1 ?? 0);
        const middle = ((patches.x0 ?? 0) + (patches.x1 ?? 0)) / 2;
        return (
          <rect
            key={patches.x0}
            class="bar"
            x={from + 0.75}
            width={Math.max(0, to - from - 1.5)}
            y={y(patches.length)}
            height={y(0) - y(patches.length)}
            fill={cssColour(colormap, (middle - low) / (high - low || 1))}
          >
            <title>{`${patches.length} patches of ${patches.x0 ?? 0} to ${patches.x1 ?? 0} bits`}</title>
          </rect>
        );
      })}
      {value !== undefined && (
        <path class="focused-mark" d={`M${x(value)} ${y(0) + 1}l-4 5h8z`} data-testid="histogram-focus" />
      )}
    </svg>
  );
}
