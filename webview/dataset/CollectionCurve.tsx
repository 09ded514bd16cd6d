import { extent } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { area, line } from 'd3-shape';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { useDatasetExport } from './datasetExporter';
import { useDataset } from './datasetSession';
import { meanCurve, type MeanPoint } from './meanCurve';
import { Axis, useWidth } from '../plots/Axis';
import { Button } from '../ui/toolkit';

const height = 150;
const margin = { top: 10, right: 8, bottom: 20, left: 40 };

/** Mean rate–distortion of a random sample of the images, measured on request: every point is a decoding. */
export function CollectionCurve(): JSX.Element | null {
  const { view, session } = useDataset();
  const { wanted, curves: measured } = session.curves.value;
  const idle = view.state.value.phase === 'stopped' || view.state.value.phase === 'complete';
  const measuring = session.measuring.value;
  // A model that drops nothing has one rate.
  if (view.state.value.facts?.settings === undefined) return null;
  return (
    <section class="panel" aria-labelledby="curve-title">
      <div class="title-line">
        <h2 id="curve-title">Rate–distortion</h2>
        <span class="spacer" />
        {measuring ? (
          <Button testId="curve-cancel" onPress={() => session.stopMeasuring()}>
            Cancel
          </Button>
        ) : (
          measured.length < Math.max(1, wanted) &&
          idle &&
          view.tokenized.value.length > 0 && (
            <Button
              testId="curve-measure"
              title="Decodes a random sample of the images at nine values of ε"
              onPress={() => void session.measureCurves()}
            >
              Measure
            </Button>
          )
        )}
      </div>
      <p class="muted" role="status" data-testid="curve-status">
        {measured.length === 0
          ? measuring
            ? 'Measuring…'
            : 'Mean and spread over a random sample of 16 images at most, decoded at nine values of ε.'
          : `Mean of ${measured.length} of ${view.tokenized.value.length} images, taken at random; the band holds the middle 80 % of them.`}
      </p>
      {measured.length > 0 && <Plot points={meanCurve(measured)} images={measured.length} />}
    </section>
  );
}

function Plot({ points, images }: { readonly points: readonly MeanPoint[]; readonly images: number }): JSX.Element {
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 290);
  const { x, y, path, band } = useMemo(() => {
    const [, most = 1] = extent(points, ({ tokens }) => tokens);
    const [low = 0, high = 1] = extent(points.flatMap((point) => [point.low, point.high, point.psnr]));
    const room = high > low ? 0.06 * (high - low) : 1;
    const x = scaleLinear([0, most], [margin.left, width - margin.right]);
    const y = scaleLinear([low - room, high + room], [height - margin.bottom, margin.top]);
    return {
      x,
      y,
      path:
        line<MeanPoint>(
          ({ tokens }) => x(tokens),
          ({ psnr }) => y(psnr),
        )([...points]) ?? '',
      band:
        area<MeanPoint>(
          ({ tokens }) => x(tokens),
          (point) => y(point.low),
          (point) => y(point.high),
        )([...points]) ?? '',
    };
  }, [points, width]);
  useDatasetExport('rate-distortion', {
    title: `Rate–distortion, mean of ${images} images`,
    xLabel: 'mean tokens',
    yLabel: 'PSNR (dB)',
    svg: () => root.current,
    table: () => [
      ['loss_rate', 'images', 'mean_tokens', 'mean_bits', 'mean_psnr_db', 'p10_psnr_db', 'p90_psnr_db'],
      ...points.map((p) => [p.lossRate, p.images, p.tokens, p.bits, p.psnr, p.low, p.high]),
    ],
  });
  return (
    <svg
      ref={root}
      class="plot"
      height={height}
      role="img"
      aria-label={`Mean PSNR in dB against mean tokens: ${points.map(describe).join('; ')}`}
      data-testid="mean-curve"
    >
      <Axis side="bottom" scale={x} ticks={x.ticks(4)} x={0} y={height - margin.bottom} />
      <Axis side="left" scale={y} ticks={y.ticks(4)} x={margin.left} y={0} />
      <path class="spread-band" d={band} />
      <path class="curve-line" d={path} />
      {points.map((point) => (
        <circle key={point.lossRate} class="dot-mark" cx={x(point.tokens)} cy={y(point.psnr)} r={3}>
          <title>{describe(point)}</title>
        </circle>
      ))}
    </svg>
  );
}

function describe({ lossRate, tokens, psnr, low, high }: MeanPoint): string {
  return `ε ${lossRate}: ${tokens.toFixed(1)} tokens, ${psnr.toFixed(1)} dB (${low.toFixed(1)} to ${high.toFixed(1)})`;
}
