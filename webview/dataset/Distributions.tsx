import { bin, max, mean, quantile } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { useDataset } from './datasetSession';
import { bitsOf } from './datasetView';
import { useDatasetExport } from './datasetExporter';
import { Axis, useWidth } from '../plots/Axis';
import type { DatasetRow } from '../../src/protocol/dataset';

const height = 92;
const margin = { top: 6, right: 8, bottom: 20, left: 40 };
const bins = 24;

const measures = [
  { name: 'tokens', title: 'Tokens per image', unit: 'tokens', of: ({ tokens }: DatasetRow) => tokens, digits: 1 },
  { name: 'bits', title: 'Bits per image', unit: 'bits', of: bitsOf, digits: 0 },
  { name: 'psnr', title: 'PSNR per image', unit: 'dB', of: ({ psnr }: DatasetRow) => psnr, digits: 2 },
] as const;

/** How tokens, bits and PSNR spread over the images. */
export function Distributions(): JSX.Element {
  const { view } = useDataset();
  const rows = view.tokenized.value;
  return (
    <>
      {measures.map(({ name, title, unit, of, digits }) => (
        <Distribution
          key={name}
          name={name}
          title={title}
          unit={unit}
          digits={digits}
          values={rows.flatMap((row) => of(row) ?? [])}
        />
      ))}
    </>
  );
}

interface DistributionProps {
  readonly name: (typeof measures)[number]['name'];
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly values: readonly number[];
}

function Distribution({ name, title, unit, digits, values }: DistributionProps): JSX.Element {
  const text = (value: number | undefined): string => value?.toFixed(digits) ?? '–';
  const summary =
    values.length === 0
      ? 'no image yet'
      : `mean ${text(mean(values))}, 10 % below ${text(quantile(values, 0.1))}, 10 % above ${text(quantile(values, 0.9))} ${unit}`;
  return (
    <section class="panel distribution" aria-labelledby={`${name}-title`}>
      <h2 id={`${name}-title`}>{title}</h2>
      <p class="muted" data-testid={`${name}-summary`}>
        {summary}
      </p>
      {values.length > 0 && <Histogram exported={name} title={title} unit={unit} values={values} summary={summary} />}
    </section>
  );
}

interface HistogramProps extends Pick<DistributionProps, 'title' | 'unit' | 'values'> {
  /** Offered to the export menu under this name; absent: not offered. */
  readonly exported?: DistributionProps['name'];
  /** For assistive technology. */
  readonly summary: string;
}

/** How many images have how much. */
export function Histogram({ exported, title, unit, values, summary }: HistogramProps): JSX.Element {
  const root = useRef<SVGSVGElement>(null);
  const width = useWidth(root, 290);
  const { counted, x, y } = useMemo(() => {
    const counted = bin<number, number>().thresholds(bins)([...values]);
    const [first, last] = [counted[0]?.x0 ?? 0, counted.at(-1)?.x1 ?? 1];
    return {
      counted,
      // All images may have one value.
      x: scaleLinear([first, last > first ? last : first + 1], [margin.left, width - margin.right]),
      y: scaleLinear([0, max(counted, ({ length }) => length) ?? 1], [height - margin.bottom, margin.top]),
    };
  }, [values, width]);
  useDatasetExport(exported, {
    title,
    xLabel: unit,
    yLabel: 'images',
    svg: () => root.current,
    table: () => [
      [`from_${exported ?? unit}`, `to_${exported ?? unit}`, 'images'],
      ...counted.map(({ x0 = 0, x1 = 0, length }) => [x0, x1, length]),
    ],
  });
  return (
    <svg
      ref={root}
      class="plot"
      height={height}
      role="img"
      aria-label={`${title}, ${values.length} images: ${summary}`}
      data-testid={exported && `${exported}-histogram`}
    >
      <Axis side="bottom" scale={x} ticks={x.ticks(4)} x={0} y={height - margin.bottom} />
      <Axis side="left" scale={y} ticks={[y.domain()[1] ?? 0]} x={margin.left} y={0} />
      {counted.map((images) => {
        const [from, to] = [x(images.x0 ?? 0), x(images.x1 ?? 0)];
        return (
          <rect
            key={images.x0}
            class="bar filled"
            x={from + 0.5}
            width={Math.max(1, to - from - 1)}
            y={y(images.length)}
            height={y(0) - y(images.length)}
          >
            <title>{`${images.length} images of ${images.x0 ?? 0} to ${images.x1 ?? 0} ${unit}`}</title>
          </rect>
        );
      })}
    </svg>
  );
}
