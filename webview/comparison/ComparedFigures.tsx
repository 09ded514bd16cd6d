import type { ComponentChildren, JSX } from 'preact';
import { useComparison } from './comparison';
import { figureText, sideFigures, type SideFigure } from './sideFigures';
import { LossRateNumber, LossRateRange } from '../controls/LossRate';
import { Announcement, focusedPatch, type FocusedPatch } from '../controls/PatchCard';
import { ServicesContext, type Services } from '../state/context';
import { Checkbox } from '../ui/toolkit';
import { describePatch, describeToken } from '../../src/method/patch';

/** ε of both sides, what it costs, what it is worth, and the differences. */
export function ComparedFigures(): JSX.Element {
  const comparison = useComparison();
  const [left, right] = [comparison.left.value, comparison.right.value];
  return (
    <section class="panel figures" aria-label="Figures">
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col" class="of-a">
              A
            </th>
            <th scope="col" class="of-b">
              B
            </th>
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
          {sideFigures.map((figure) => (
            <Figures key={figure.testId} figure={figure} />
          ))}
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

function Figures({ figure }: { readonly figure: SideFigure }): JSX.Element {
  const comparison = useComparison();
  const [left, right] = [comparison.left.value.inspector, comparison.right.value.inspector];
  const [a, b] = [figure.of(left), figure.of(right)];
  const stale = figure.decoded && (left.stale.value || right.stale.value);
  const cell = (which: string, content: string): ComponentChildren => (
    <td data-testid={`${figure.testId}-${which}`}>{content}</td>
  );
  return (
    <tr class={stale ? 'stale' : undefined} data-stale={stale}>
      <th scope="row">{figure.name}</th>
      {cell('a', figureText(figure, left))}
      {cell('b', figureText(figure, right))}
      {cell('difference', typeof a === 'number' && typeof b === 'number' ? signed(b - a, figure.digits) : '–')}
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
              <th scope="col" class="of-a">
                A
              </th>
              <th scope="col" class="of-b">
                B
              </th>
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
