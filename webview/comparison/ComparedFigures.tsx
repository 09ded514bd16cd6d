import type { ComponentChildren, JSX } from 'preact';
import { useComparison } from './comparison';
import { LossRateNumber, LossRateRange } from '../controls/LossRate';
import { Announcement, focusedPatch, type FocusedPatch } from '../controls/PatchCard';
import { ServicesContext, type Services } from '../state/context';
import { Checkbox } from '../ui/toolkit';
import type { Selected } from '../state/inspector';
import { hasPart, type Parts } from '../../src/method/parts';
import { describePatch, describeToken } from '../../src/method/patch';
import { psnrText, ssimText } from '../../src/method/quality';
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
                <Checkbox
                  testId="link"
                  title="Both sides keep one ε"
                  checked={comparison.linked.value}
                  onChange={(linked) => comparison.setLinked(linked)}
                >
                  link
                </Checkbox>
              )}
            </td>
          </tr>
          <Selection
            name="patches kept"
            testId="kept"
            value={({ keptTokens }, model) => (hasPart(model, 'patchBits') ? keptTokens : undefined)}
          />
          <Selection name="tokens" testId="tokens" value={({ totalTokens }) => totalTokens} />
          <Selection
            name="bits with mask"
            testId="bits"
            value={(selected) => Math.round(selected.payloadBits + selected.maskBits)}
          />
          <Quality name="PSNR, dB" testId="psnr" digits={2} stale={stale} value={({ psnr }) => psnr} text={psnrText} />
          <Quality name="SSIM" testId="ssim" digits={3} stale={stale} value={({ ssim }) => ssim} text={ssimText} />
        </tbody>
      </table>
      <KeptSets />
    </section>
  );
}

function LossRateOf({ side, letter }: { readonly side: Services; readonly letter: string }): JSX.Element {
  if (!side.inspector.rates.value) return <span class="muted">keeps every token</span>;
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
  return <Figures name={name} testId={testId} left={left} right={right} digits={0} stale={false} text={plain} />;
}

interface QualityProps extends RowProps {
  readonly digits: number;
  readonly stale: boolean;
  readonly value: (reconstruction: Reconstruction) => number | null;
  readonly text: FiguresProps['text'];
}

function Quality({ name, testId, digits, stale, value, text }: QualityProps): JSX.Element {
  const comparison = useComparison();
  const [left, right] = [comparison.left.value.inspector, comparison.right.value.inspector].map(({ reconstruction }) =>
    reconstruction.value === undefined ? undefined : value(reconstruction.value),
  );
  return <Figures name={name} testId={testId} left={left} right={right} digits={digits} stale={stale} text={text} />;
}

interface FiguresProps extends RowProps {
  /** undefined as long as it is not known, null where there is no number for it. */
  readonly left: number | null | undefined;
  readonly right: number | null | undefined;
  readonly digits: number;
  readonly stale: boolean;
  readonly text: (value: number | null, digits: number) => string;
}

function Figures({ name, testId, left, right, digits, stale, text }: FiguresProps): JSX.Element {
  const known = typeof left === 'number' && typeof right === 'number';
  const figure = (value: number | null | undefined): string => (value === undefined ? '–' : text(value, digits));
  const cell = (which: string, content: string): ComponentChildren => (
    <td data-testid={`${testId}-${which}`}>{content}</td>
  );
  return (
    <tr class={stale ? 'stale' : undefined} data-stale={stale}>
      <th scope="row">{name}</th>
      {cell('a', figure(left))}
      {cell('b', figure(right))}
      {cell('difference', known ? signed(right - left, digits) : '–')}
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

function plain(value: number | null, digits: number): string {
  return value === null ? '–' : value.toFixed(digits);
}

/** With a true minus sign, and no sign at zero. */
function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value > 0 ? '+' : '−'}${text}`;
}

/** A figure is undefined while a side does not know it, or if its model has no such part. */
const patchRows: readonly {
  readonly name: string;
  readonly of: (patch: FocusedPatch) => string | number | undefined;
}[] = [
  { name: 'patch', of: ({ facts: { row, column } }) => `(${row}, ${column})` },
  { name: 'conditional entropy', of: ({ facts: { bits } }) => bits && `${bits.entropy.toFixed(2)} bits` },
  {
    name: 'surprisal',
    of: ({ facts: { bits } }) => (bits?.surprisal === undefined ? undefined : `${bits.surprisal.toFixed(2)} bits`),
  },
  { name: 'rank', of: ({ place }) => place && `${place.rank} / ${place.patches}` },
  { name: 'state', of: ({ place }) => place && (place.kept ? 'kept' : 'dropped') },
  {
    name: 'influence',
    of: ({ facts: { influence } }) => (influence === undefined ? undefined : `${influence.toFixed(1)} of 255`),
  },
  { name: 'code', of: ({ facts: { token } }) => token && describeToken(token) },
  { name: 'mean RGB', of: ({ facts: { rgb } }) => rgb?.join(' ') },
];

/** All that is known of the focused patch on both sides. */
export function ComparedReadout(): JSX.Element {
  const comparison = useComparison();
  const left = focusedPatch(comparison.left.value);
  const right = focusedPatch(comparison.right.value);
  // A row for what is shown only: influence is known while it is the overlay.
  const shown = patchRows.filter(
    ({ name }) => name !== 'influence' || [left, right].some((side) => side?.facts.influence !== undefined),
  );
  const announcement = [
    left && `A: ${describePatch(left.facts, left.place)}`,
    right && `B: ${describePatch(right.facts, right.place)}`,
  ]
    .filter(Boolean)
    .join('. ');
  return (
    <section class="panel readout" aria-labelledby="readout-title" data-testid="readout">
      <h2 id="readout-title">Patch</h2>
      {left === undefined && right === undefined ? (
        <p class="muted">Point at a patch, or focus a picture and use the arrow keys. A click pins it.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <td />
              <th scope="col">A</th>
              <th scope="col">B</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ name, of }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{(left && of(left)) ?? '–'}</td>
                <td>{(right && of(right)) ?? '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Announcement text={announcement} />
    </section>
  );
}
