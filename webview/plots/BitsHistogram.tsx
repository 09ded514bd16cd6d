import { bin, max } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { Axis, PlotToCome, useWidth } from './Axis';
import { PlotPanel } from './PlotPanel';
import { cssColour } from '../canvas/colormaps';
import { useExportedPlot } from '../export/exporter';
import { useServices } from '../state/context';
import { tokenBits } from '../../src/method/streams';

const height = 92;
const margin = { top: 6, right: 6, bottom: 20, left: 36 };

/** How many patches have how many bits, in half bits; bars take the colours of the heat map. */
export function BitsHistogram(): JSX.Element {
  const { inspector } = useServices();
  const tokenization = inspector.tokenization.value;
  const surprisal = inspector.overlay.value === 'surprisal';
  const title = surprisal ? 'Surprisal per patch' : 'Bits per patch';
  return (
    <PlotPanel name="histogram" title={title} help="histogram">
      {tokenization === undefined ? (
        <PlotToCome height={height} />
      ) : (
        <Plot
          title={title}
          values={surprisal ? tokenization.tokens.surprisalBits : tokenization.tokens.entropyBits}
          mostBits={tokenBits(tokenization.model)}
        />
      )}
    </PlotPanel>
  );
}

interface PlotProps {
  readonly title: string;
  /** Bits of every patch. */
  readonly values: Float32Array;
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
      aria-label="Histogram of bits per patch"
      data-testid="histogram"
    >
      <Axis side="bottom" scale={x} ticks={ticks} x={0} y={height - margin.bottom} />
      <Axis side="left" scale={y} ticks={[y.domain()[1] ?? 0]} x={margin.left} y={0} />
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
