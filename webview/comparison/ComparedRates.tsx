import { extent } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { line } from 'd3-shape';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { useComparison } from './comparison';
import { Axis, useWidth } from '../plots/Axis';
import { pixelsOf, rateNames, rateOf } from '../plots/RateDistortionPlot';
import type { Services } from '../state/context';
import { distortions, rates, type Distortion, type Rate } from '../state/viewState';
import { Button, Dropdown } from '../ui/toolkit';

const height = 132;
const margin = { top: 10, right: 8, bottom: 20, left: 40 };

const distortionNames: Readonly<Record<Distortion, string>> = { psnr: 'PSNR', ssim: 'SSIM' };

interface Mark {
  readonly rate: number;
  readonly worth: number;
}

interface SideCurve {
  readonly letter: 'a' | 'b';
  readonly stale: boolean;
  readonly marks: readonly Mark[];
  /** The settings shown; undefined until they are decoded. */
  readonly current: Mark | undefined;
}

/** Rate–distortion of both sides on one pair of axes. A model that drops nothing is a point. */
export function ComparedRates(): JSX.Element {
  const comparison = useComparison();
  const sides = [comparison.left.value, comparison.right.value];
  const { inspector } = sides[0] ?? comparison.left.value;
  const [rate, distortion] = [inspector.rate.value, inspector.distortion.value];
  const curves = sides.map((side, i) => curveOf(side, i === 0 ? 'a' : 'b', rate, distortion));
  return (
    <section class="panel rate-distortion" aria-labelledby="rates-title">
      <div class="title-line">
        <h2 id="rates-title">Rate–distortion</h2>
        <span class="spacer" />
        <Compute sides={sides} />
      </div>
      <div class="axes">
        <Dropdown
          plain
          label="Vertical axis"
          testId="distortion"
          options={distortions.map((value) => ({ value, label: distortionNames[value] }))}
          value={distortion}
          onChange={(chosen) => (inspector.distortion.value = chosen)}
        />
        <span class="muted">against</span>
        <Dropdown
          plain
          label="Horizontal axis"
          testId="rate"
          options={rates.map((value) => ({ value, label: rateNames[value] }))}
          value={rate}
          onChange={(chosen) => (inspector.rate.value = chosen)}
        />
      </div>
      <Plot curves={curves} rate={rate} distortion={distortion} />
    </section>
  );
}

function curveOf({ inspector, session }: Services, letter: 'a' | 'b', rate: Rate, distortion: Distortion): SideCurve {
  const { rateDistortion } = session;
  const pixels = pixelsOf(inspector);
  const marks = (rateDistortion.shown.value?.points ?? []).flatMap((point): Mark[] => {
    const worth = point[distortion];
    return worth === null ? [] : [{ rate: rateOf(point, rate, pixels), worth }];
  });
  const [selected, reconstruction] = [inspector.selected.value, inspector.reconstruction.value];
  const worth = inspector.stale.value ? undefined : reconstruction?.[distortion];
  const current =
    selected !== undefined && typeof worth === 'number' ? { rate: rateOf(selected, rate, pixels), worth } : undefined;
  return { letter, stale: rateDistortion.stale.value, marks, current };
}

/** Measures both, or ends that. */
function Compute({ sides }: { readonly sides: readonly Services[] }): JSX.Element | null {
  const curves = sides.map(({ session }) => session.rateDistortion);
  if (curves.some(({ measuring }) => measuring.value)) {
    const shown = curves.map(({ shown: { value } }) => value).filter((curve) => curve !== undefined);
    const done = shown.reduce((sum, { points }) => sum + points.length, 0);
    const all = shown.reduce((sum, { lossRates }) => sum + lossRates.length, 0);
    return (
      <>
        <span class="muted" role="status" data-testid="rate-progress">
          {done} of {all}
        </span>
        <Button testId="rate-cancel" onPress={() => curves.forEach((curve) => curve.cancel())}>
          Cancel
        </Button>
      </>
    );
  }
  const ready = sides.filter(
    ({ inspector, session }) =>
      session.rateDistortion.incomplete.value &&
      !inspector.awaitsRanking.value &&
      inspector.sampled.value !== undefined,
  );
  if (ready.length === 0) return null;
  return (
    <Button
      testId="rate-compute"
      title="Decodes both sides at up to 17 values of ε and measures PSNR and SSIM"
      onPress={() => ready.forEach(({ session }) => void session.rateDistortion.compute())}
    >
      Compute
    </Button>
  );
}

interface PlotProps {
  readonly curves: readonly SideCurve[];
  readonly rate: Rate;
  readonly distortion: Distortion;
}

function Plot({ curves, rate, distortion }: PlotProps): JSX.Element {
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 260);
  const all = curves.flatMap(({ marks, current }) => (current === undefined ? marks : [...marks, current]));
  const [, most = 1] = extent(all, (mark) => mark.rate);
  const x = scaleLinear([0, most], [margin.left, width - margin.right]);
  const [low = 0, high = 1] = extent(all, ({ worth }) => worth);
  const room = high > low ? 0.08 * (high - low) : 1;
  const y = scaleLinear([low - room, high + room], [height - margin.bottom, margin.top]);
  const path = line<Mark>(
    (mark) => x(mark.rate),
    ({ worth }) => y(worth),
  );
  const unit = distortion === 'psnr' ? 'PSNR in dB' : 'SSIM';
  const counts = curves.map(({ letter, marks }) => `${letter.toUpperCase()} ${marks.length}`).join(', ');
  return (
    <svg
      ref={root}
      class="plot"
      height={height}
      role="img"
      aria-label={`${unit} against ${rateNames[rate]}; points: ${counts}`}
      data-testid="compared-rates"
    >
      <Axis side="bottom" scale={x} ticks={x.ticks(4)} x={0} y={height - margin.bottom} />
      <Axis side="left" scale={y} ticks={y.ticks(4)} x={margin.left} y={0} />
      {curves.map(({ letter, marks, current, stale }) => (
        <g key={letter} class={`curve-of-${letter}${stale ? ' stale-plot' : ''}`} data-testid={`rates-${letter}`}>
          <path class="curve-line" d={path([...marks]) ?? ''} />
          {marks.map((mark) => (
            <circle key={mark.rate} class="rate-dot" cx={x(mark.rate)} cy={y(mark.worth)} r={2} />
          ))}
          {current && (
            <>
              <circle class="rate-current" cx={x(current.rate)} cy={y(current.worth)} r={4.5} />
              <text class="plot-label" x={x(current.rate) + 7} y={y(current.worth) + 12}>
                {letter.toUpperCase()}
              </text>
            </>
          )}
        </g>
      ))}
    </svg>
  );
}
