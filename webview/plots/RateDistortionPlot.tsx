import { extent } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { line } from 'd3-shape';
import type { JSX } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { Axis, useWidth } from './Axis';
import { PlotPanel } from './PlotPanel';
import { StepGains } from './StepGains';
import { useExportedPlot } from '../export/exporter';
import { AnchorCurves, anchorMarks } from './AnchorCurves';
import { useServices } from '../state/context';
import type { Inspector } from '../state/inspector';
import type { RateCurve } from '../state/rateDistortion';
import type { Distortion, Rate } from '../state/viewState';
import { Badge, Button, Dropdown } from '../ui/toolkit';
import { noSsim, psnrText, ssimText } from '../../src/method/quality';
import type { Measurement } from '../../src/method/types';

const height = 156;
const margin = { top: 20, right: 8, bottom: 32, left: 36 };

const rates: readonly { value: Rate; label: string }[] = [
  { value: 'tokens', label: 'tokens' },
  { value: 'bits', label: 'bits' },
  { value: 'bpp', label: 'bits per pixel' },
];
const distortions: readonly { value: Distortion; label: string }[] = [
  { value: 'psnr', label: 'PSNR' },
  { value: 'ssim', label: 'SSIM' },
];

export const rateNames: Readonly<Record<Rate, string>> = { tokens: 'tokens', bits: 'bits', bpp: 'bits per pixel' };

/** Pixels of the picture that was tokenized. */
export function pixelsOf({ picture }: Inspector): number {
  const image = picture.value?.image;
  return image === undefined ? 1 : image.width * image.height;
}

/** A point that has a number for what is drawn. */
interface Drawn {
  readonly point: Measurement;
  readonly worth: number;
}

type Cost = Pick<Measurement, 'totalTokens' | 'payloadBits' | 'maskBits'>;

/** @param pixels of the picture that was tokenized. */
export function rateOf({ totalTokens, payloadBits, maskBits }: Cost, rate: Rate, pixels: number): number {
  return rate === 'tokens' ? totalTokens : bitsAs(rate, payloadBits + maskBits, pixels);
}

function bitsAs(rate: Rate, bits: number, pixels: number): number {
  return rate === 'bpp' ? bits / pixels : bits;
}

/** Rate and distortion of every ε, measured on request under the β, budget and ranking chosen. */
export function RateDistortionPlot(): JSX.Element {
  const { inspector, session } = useServices();
  const { rateDistortion } = session;
  const curve = rateDistortion.shown.value;
  return (
    <PlotPanel
      name="rate-distortion"
      title="Rate–distortion"
      help="rateDistortion"
      beside={
        <>
          {rateDistortion.stale.value && (
            <Badge testId="rate-stale" title="Measured under another edge priority, budget or ranking">
              stale
            </Badge>
          )}
          {curve !== undefined && !rateDistortion.stale.value && <Progress curve={curve} />}
          <span class="spacer" />
          <ComputeButton />
        </>
      }
    >
      {curve === undefined ? (
        <p class="muted">Measures PSNR and SSIM over the range of ε.</p>
      ) : (
        <>
          <div class="axes">
            <Dropdown
              plain
              label="Vertical axis"
              testId="distortion"
              options={distortions}
              value={inspector.distortion.value}
              onChange={(distortion) => (inspector.distortion.value = distortion)}
            />
            <span class="muted">against</span>
            <Dropdown
              plain
              label="Horizontal axis"
              testId="rate"
              options={rates}
              value={inspector.rate.value}
              onChange={(rate) => (inspector.rate.value = rate)}
            />
          </div>
          {inspector.distortion.value === 'ssim' && curve.points.some(({ ssim }) => ssim === null) && (
            <p class="muted" data-testid="no-ssim">
              {noSsim}
            </p>
          )}
          <Plot curve={curve} />
          <StepGains />
        </>
      )}
    </PlotPanel>
  );
}

function ComputeButton(): JSX.Element | null {
  const { inspector, session } = useServices();
  const { rateDistortion } = session;
  if (rateDistortion.measuring.value) {
    return (
      <Button testId="rate-cancel" onPress={() => rateDistortion.cancel()}>
        Cancel
      </Button>
    );
  }
  // The ε to measure follow from the ranking, which the host is about to send.
  if (!rateDistortion.incomplete.value || inspector.awaitsRanking.value || inspector.sampled.value === undefined) {
    return null;
  }
  const begun = (rateDistortion.shown.value?.points.length ?? 0) > 0 && !rateDistortion.stale.value;
  return (
    <Button
      testId="rate-compute"
      title="Decodes at up to 17 values of ε and measures PSNR and SSIM"
      onPress={() => void rateDistortion.compute()}
    >
      {begun ? 'Continue' : 'Compute'}
    </Button>
  );
}

function Progress({ curve }: { readonly curve: RateCurve }): JSX.Element | null {
  const { points, lossRates } = curve;
  if (points.length === lossRates.length) return null;
  return (
    <span class="muted" role="status" data-testid="rate-progress">
      {points.length} of {lossRates.length}
    </span>
  );
}

function Plot({ curve }: { readonly curve: RateCurve }): JSX.Element {
  const { inspector, session } = useServices();
  const { rateDistortion } = session;
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 290);
  const [rate, distortion] = [inspector.rate.value, inspector.distortion.value];
  const { points } = curve;
  const pixels = pixelsOf(inspector);
  const anchors = session.anchors.curves.value;
  const geometry = useMemo(() => {
    // Identical pictures have no PSNR, small ones no SSIM.
    const drawn = points.flatMap((point): Drawn[] => {
      const worth = point[distortion];
      return worth === null ? [] : [{ point, worth }];
    });
    const [, most = 1] = extent(drawn, ({ point }) => rateOf(point, rate, pixels));
    // Files have no tokens.
    const marks = anchorMarks(rate === 'tokens' ? new Map() : anchors, distortion);
    const x = scaleLinear([0, most], [margin.left, width - margin.right]);
    const [low = 0, high = 1] = extent([...drawn, ...[...marks.values()].flat()], ({ worth }) => worth);
    const room = high > low ? 0.08 * (high - low) : 1;
    const y = scaleLinear([low - room, high + room], [height - margin.bottom, margin.top]);
    const path = line<Drawn>(
      ({ point }) => x(rateOf(point, rate, pixels)),
      ({ worth }) => y(worth),
    )(drawn);
    return { drawn, marks, x, y, path: path ?? '', xTicks: x.ticks(4), yTicks: y.ticks(4) };
  }, [points, anchors, rate, distortion, pixels, width]);
  const { x, y } = geometry;
  useExportedPlot('rate-distortion', {
    title: 'Rate–distortion',
    xLabel: rateNames[rate],
    yLabel: distortion === 'psnr' ? 'PSNR (dB)' : 'SSIM',
    svg: () => root.current,
    table: () => [
      ['loss_rate', 'tokens', 'payload_bits', 'mask_bits', 'psnr_db', 'ssim'],
      // As numerical tools read it: infinite, and no value.
      ...points.map((p) => [p.lossRate, p.totalTokens, p.payloadBits, p.maskBits, p.psnr ?? 'inf', p.ssim ?? '']),
      // Files hold 8 bits a byte, and neither tokens nor a mask.
      ...[...anchors].flatMap(([codec, files]) =>
        files.flatMap(({ file }) =>
          file ? [[codec, '', 8 * file.bytes, '', file.psnr ?? 'inf', file.ssim ?? '']] : [],
        ),
      ),
    ],
  });
  const unit = distortion === 'psnr' ? 'PSNR in dB' : 'SSIM';
  return (
    <svg
      ref={root}
      class={rateDistortion.stale.value ? 'plot stale-plot' : 'plot'}
      height={height}
      role="group"
      aria-label={`${unit} against ${rateNames[rate]}, ${points.length} points${summary(geometry.drawn)}`}
      data-testid="rate-distortion"
    >
      <Axis side="bottom" scale={x} ticks={geometry.xTicks} x={0} y={height - margin.bottom} title={rateNames[rate]} />
      <Axis side="left" scale={y} ticks={geometry.yTicks} x={margin.left} y={0} title={unit} />
      <AnchorCurves marks={geometry.marks} x={(bits) => x(bitsAs(rate, bits, pixels))} y={y} />
      <path class="curve-line" d={geometry.path} />
      <Current x={x} y={y} />
      <Points points={geometry.drawn} x={x} y={y} />
    </svg>
  );
}

interface MarkProps {
  readonly x: (rate: number) => number;
  readonly y: (distortion: number) => number;
}

/** Where the ε chosen stands: its cost at once, its worth as soon as it is decoded. */
function Current({ x, y }: MarkProps): JSX.Element | null {
  const { inspector } = useServices();
  const selected = inspector.selected.value;
  if (selected === undefined) return null;
  const reconstruction = inspector.stale.value ? undefined : inspector.reconstruction.value;
  const worth = reconstruction?.[inspector.distortion.value];
  const left = x(rateOf(selected, inspector.rate.value, pixelsOf(inspector)));
  return (
    <g class="loss-line" aria-hidden="true" data-testid="rate-current">
      <line class="threshold" x1={left} x2={left} y1={margin.top} y2={height - margin.bottom} />
      {typeof worth === 'number' && <circle class="kept-dot" cx={left} cy={y(worth)} r={4} />}
    </g>
  );
}

/** One tab stop: arrow keys walk along the curve, Enter or a click goes to the point's ε. */
function Points({ points, x, y }: MarkProps & { readonly points: readonly Drawn[] }): JSX.Element {
  const { inspector } = useServices();
  const [current, setCurrent] = useState(0);
  const group = useRef<SVGGElement>(null);
  const rate = inspector.rate.value;
  const pixels = pixelsOf(inspector);
  const reachable = Math.min(current, points.length - 1);
  const go = ({ lossRate }: Measurement): void => {
    inspector.lossRate.value = lossRate;
  };
  const walk = (event: KeyboardEvent): void => {
    const targets: Record<string, number> = {
      ArrowRight: reachable + 1,
      ArrowLeft: reachable - 1,
      Home: 0,
      End: points.length - 1,
    };
    const target = targets[event.key];
    if (target === undefined || target < 0 || target >= points.length) return;
    event.preventDefault();
    setCurrent(target);
    group.current?.querySelectorAll<SVGGElement>('.rate-point')[target]?.focus();
  };
  return (
    <g ref={group} onKeyDown={walk}>
      {points.map(({ point, worth }, i) => {
        const label = describe(point);
        return (
          <g
            key={point.lossRate}
            class="rate-point"
            role="button"
            tabindex={i === reachable ? 0 : -1}
            aria-label={`Go to ${label}`}
            transform={`translate(${x(rateOf(point, rate, pixels))} ${y(worth)})`}
            data-testid={`rate-point-${point.lossRate}`}
            onClick={() => {
              setCurrent(i);
              go(point);
            }}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' && event.key !== ' ') return;
              event.preventDefault();
              go(point);
            }}
          >
            <title>{label}</title>
            <circle class="grip" r={8} />
            <circle class="dot-mark" r={3} />
          </g>
        );
      })}
    </g>
  );
}

function describe({ lossRate, totalTokens, payloadBits, maskBits, psnr, ssim }: Measurement): string {
  const bits = (payloadBits + maskBits).toFixed(0);
  return `ε ${lossRate}: ${totalTokens} tokens, ${bits} bits, PSNR ${psnrText(psnr, 1)} dB, SSIM ${ssimText(ssim, 2)}`;
}

/** Its worst and its best point. */
function summary(drawn: readonly Drawn[]): string {
  const [least, most] = [drawn[0], drawn.at(-1)];
  if (least === undefined || most === undefined) return '';
  return `: ${least.worth.toFixed(2)} at ${least.point.totalTokens} tokens to ${most.worth.toFixed(2)} at ${most.point.totalTokens}`;
}
