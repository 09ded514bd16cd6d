import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { psnrText } from '../../src/method/quality';
import { stepUnit, takesLength } from '../../src/method/streams';
import type { Measurement } from '../../src/method/types';

/** The curve has a point for each of so many; longer ones are read off it. */
const mostRows = 17;

/** Where ε is a length: each residual code or scale, its tokens and what it adds, as far as the curve is measured. A press keeps that many. */
export function StepGains(): JSX.Element | null {
  const { inspector, session } = useServices();
  const model = inspector.tokenization.value?.model;
  const points = session.rateDistortion.shown.value?.points ?? [];
  if (model === undefined || !takesLength(model) || model.steps.length > mostRows || points.length === 0) return null;
  const unit = stepUnit(model);
  const byLength = new Map(points.map((point) => [point.length, point]));
  const shown = inspector.selected.value?.length;
  return (
    <table class="step-gains" data-testid="step-gains">
      <thead>
        <tr>
          <th scope="col">{unit}s</th>
          <th scope="col">tokens</th>
          <th scope="col">PSNR</th>
          <th scope="col">adds</th>
        </tr>
      </thead>
      <tbody>
        {[...byLength].map(([length, point]) => (
          <tr key={length} aria-current={length === shown ? 'true' : undefined}>
            <th scope="row">
              <button type="button" class="link" onClick={() => (inspector.lossRate.value = point.lossRate)}>
                {length}
              </button>
            </th>
            <td>{point.totalTokens}</td>
            <td>{psnrText(point.psnr, 2)}</td>
            <td>{gainOver(byLength.get(length - 1), point)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function gainOver(before: Measurement | undefined, { psnr }: Measurement): string {
  const former = before?.psnr ?? null;
  if (former === null || psnr === null) return '–';
  const gain = psnr - former;
  return `${gain < 0 ? '−' : '+'}${Math.abs(gain).toFixed(2)} dB`;
}
