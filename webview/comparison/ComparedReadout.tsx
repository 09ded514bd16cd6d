import type { JSX } from 'preact';
import { useComparison } from './comparison';
import { Announcement, focusedPatch, type FocusedPatch } from '../controls/PatchReadout';
import { describePatch, describeToken } from '../../src/method/patch';

/** A figure is undefined while a side does not know it, or if its model has no such part. */
const rows: readonly {
  readonly name: string;
  readonly of: (patch: FocusedPatch) => string | number | undefined;
}[] = [
  { name: 'patch', of: ({ facts: { row, column } }) => `(${row}, ${column})` },
  { name: 'conditional entropy', of: ({ facts: { bits } }) => bits && `${bits.entropy.toFixed(2)} bits` },
  { name: 'surprisal', of: ({ facts: { bits } }) => bits && `${bits.surprisal.toFixed(2)} bits` },
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
  const shown = rows.filter(
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
