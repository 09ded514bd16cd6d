import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { hasTable } from '../state/nearest';
import { Row } from '../ui/ownControls';
import { depthOf, streamOf } from '../../src/method/streams';
import type { NearEntry } from '../../src/method/types';

/** Of a patch whose codes are indices of vectors: the entries next to them, and how many patches of the picture took the same. */
export function NearestEntries({ patch }: { readonly patch: number }): JSX.Element | null {
  const { inspector, session } = useServices();
  const tokenization = inspector.tokenization.value;
  const stream = tokenization && streamOf(tokenization.model, 'patch');
  if (tokenization === undefined || stream === undefined || !hasTable(tokenization.model)) return null;
  const { patchCodes } = tokenization.tokens;
  const depth = depthOf(stream);
  const own = Array.from(patchCodes.slice(patch * depth, (patch + 1) * depth), Number);
  const near = session.nearest()?.entries;
  return (
    <>
      {own.map((code, level) => (
        <Row key={level} name={depth === 1 ? 'nearest entries' : `nearest to ${code}`}>
          <span data-testid="nearest" title="Entries of the codebook and their distance from the patch’s own">
            {near?.[level] === undefined ? '–' : describeEntries(near[level])}
          </span>
        </Row>
      ))}
      {depth === 1 && (
        <Row name="patches with this code">
          <span data-testid="same-code">{patchCodes.filter((code) => Number(code) === own[0]).length}</span>
        </Row>
      )}
    </>
  );
}

function describeEntries(entries: readonly NearEntry[]): string {
  return entries.map(({ code, distance }) => `${code} (${distance.toPrecision(2)})`).join(', ');
}
