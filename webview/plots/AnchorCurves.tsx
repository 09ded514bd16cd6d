import { line } from 'd3-shape';
import type { JSX } from 'preact';
import { codecNames, type AnchorPoint, type Codec } from '../../src/method/anchors';
import type { Distortion } from '../state/viewState';

/** A point of a codec's curve: bits of its file, and what they are worth. */
interface AnchorMark {
  readonly bits: number;
  readonly worth: number;
}

/** The curves of common formats that have points to be drawn. */
export function anchorMarks(
  curves: ReadonlyMap<Codec, readonly AnchorPoint[]>,
  distortion: Distortion,
): ReadonlyMap<Codec, readonly AnchorMark[]> {
  const marks = new Map<Codec, readonly AnchorMark[]>();
  for (const [codec, points] of curves) {
    const byBytes = new Map<number, AnchorMark>();
    for (const { file } of points) {
      const worth = file?.[distortion];
      // Limits that the same file keeps are one point.
      if (file && typeof worth === 'number') byBytes.set(file.bytes, { bits: 8 * file.bytes, worth });
    }
    if (byBytes.size > 0)
      marks.set(
        codec,
        [...byBytes.values()].sort((a, b) => a.bits - b.bits),
      );
  }
  return marks;
}

interface AnchorCurvesProps {
  readonly marks: ReadonlyMap<Codec, readonly AnchorMark[]>;
  /** Place of so many bits, of so much worth. */
  readonly x: (bits: number) => number;
  readonly y: (worth: number) => number;
}

/** WebP, AVIF and JPEG behind the tokens' curve, each by its name and its own dashes. */
export function AnchorCurves({ marks, x, y }: AnchorCurvesProps): JSX.Element {
  return (
    <g aria-hidden="true" data-testid="anchor-curves">
      {[...marks].map(([codec, points]) => {
        const last = points.at(-1);
        const path = line<AnchorMark>(
          ({ bits }) => x(bits),
          ({ worth }) => y(worth),
        )([...points]);
        return (
          <g key={codec} class={`anchor-curve of-${codec}`}>
            <path class="anchor-line" d={path ?? ''} />
            {points.map(({ bits, worth }) => (
              <circle key={bits} class="anchor-dot" cx={x(bits)} cy={y(worth)} r={1.75} />
            ))}
            {last && (
              <text class="anchor-label" x={x(last.bits) - 3} y={y(last.worth) - 4} text-anchor="end">
                {codecNames[codec]}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}
