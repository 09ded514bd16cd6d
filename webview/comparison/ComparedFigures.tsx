import type { ComponentChildren, JSX } from 'preact';
import { useComparison } from './comparison';
import { LossRateNumber, LossRateRange } from '../controls/LossRate';
import { ServicesContext, type Services } from '../state/context';
import type { Selected } from '../state/inspector';
import type { Parts } from '../../src/method/parts';
import type { Reconstruction } from '../../src/method/types';

/** ε of both sides, what it costs, what it is worth, and the differences. */
export function ComparedFigures(): JSX.Element {
  const comparison = useComparison();
  const [left, right] = [comparison.left.value, comparison.right.value];
  const stale = left.inspector.stale.value || right.inspector.stale.value;
  return (
    <section class="panel figures" aria-label="Figures">
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">A</th>
            <th scope="col">B</th>
            <th scope="col">B − A</th>
          </tr>
        </thead>
        <tbody>
          <tr class="loss-rates">
            <th scope="row">
              loss rate <span class="symbol">ε</span>
            </th>
            <td>
              <LossRateOf side={left} letter="A" />
            </td>
            <td>
              <LossRateOf side={right} letter="B" />
            </td>
            <td>
              {comparison.bothFilter.value && (
                <label class="link" title="Both sides keep one ε">
                  <input
                    type="checkbox"
                    data-testid="link"
                    checked={comparison.linked.value}
                    onChange={(event) => comparison.setLinked(event.currentTarget.checked)}
                  />
                  link
                </label>
              )}
            </td>
          </tr>
          <Selection
            name="patches kept"
            testId="kept"
            value={({ keptTokens }, { filters }) => (filters ? keptTokens : undefined)}
          />
          <Selection name="tokens" testId="tokens" value={({ totalTokens }) => totalTokens} />
          <Selection
            name="bits with mask"
            testId="bits"
            value={(selected) => Math.round(selected.payloadBits + selected.maskBits)}
          />
          <Quality name="PSNR, dB" testId="psnr" digits={2} stale={stale} value={({ psnr }) => psnr} />
          <Quality name="SSIM" testId="ssim" digits={3} stale={stale} value={({ ssim }) => ssim} />
        </tbody>
      </table>
      <KeptSets />
    </section>
  );
}

function LossRateOf({ side, letter }: { readonly side: Services; readonly letter: string }): JSX.Element {
  if (!side.inspector.filters.value) return <span class="muted">keeps every token</span>;
  return (
    <ServicesContext.Provider value={side}>
      <LossRateRange of={` of ${letter}`} />
      <LossRateNumber of={` of ${letter}`} />
    </ServicesContext.Provider>
  );
}

interface RowProps {
  readonly name: string;
  readonly testId: string;
}

function Selection({
  name,
  testId,
  value,
}: RowProps & { readonly value: (selected: Selected, model: Parts) => number | undefined }): JSX.Element {
  const comparison = useComparison();
  const [left, right] = [comparison.left.value.inspector, comparison.right.value.inspector].map(
    ({ selected, tokenization }) =>
      selected.value && tokenization.value && value(selected.value, tokenization.value.model),
  );
  return <Figures name={name} testId={testId} left={left} right={right} digits={0} stale={false} />;
}

interface QualityProps extends RowProps {
  readonly digits: number;
  readonly stale: boolean;
  readonly value: (reconstruction: Reconstruction) => number;
}

function Quality({ name, testId, digits, stale, value }: QualityProps): JSX.Element {
  const comparison = useComparison();
  const [left, right] = [comparison.left.value.inspector, comparison.right.value.inspector].map(({ reconstruction }) =>
    reconstruction.value === undefined ? undefined : value(reconstruction.value),
  );
  return <Figures name={name} testId={testId} left={left} right={right} digits={digits} stale={stale} />;
}

interface FiguresProps extends RowProps {
  readonly left: number | undefined;
  readonly right: number | undefined;
  readonly digits: number;
  readonly stale: boolean;
}

function Figures({ name, testId, left, right, digits, stale }: FiguresProps): JSX.Element {
  const difference = left === undefined || right === undefined ? NaN : right - left;
  const cell = (which: string, text: string): ComponentChildren => <td data-testid={`${testId}-${which}`}>{text}</td>;
  return (
    <tr class={stale ? 'stale' : undefined} data-stale={stale}>
      <th scope="row">{name}</th>
      {cell('a', figure(left, digits))}
      {cell('b', figure(right, digits))}
      {cell('difference', Number.isFinite(difference) ? signed(difference, digits) : '–')}
    </tr>
  );
}

/** Both kept sets against each other, where patches correspond. */
function KeptSets(): JSX.Element | null {
  const sets = useComparison().keptSets.value;
  if (sets === undefined) return null;
  return (
    <p class="muted kept-sets" data-testid="kept-sets">
      Kept by both {sets.both} · by A only {sets.leftOnly} · by B only {sets.rightOnly}
    </p>
  );
}

function figure(value: number | undefined, digits: number): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  return Number.isFinite(value) ? value.toFixed(digits) : '∞';
}

/** With a true minus sign, and no sign at zero. */
function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value > 0 ? '+' : '−'}${text}`;
}
