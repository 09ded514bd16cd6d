import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Button } from '../ui/toolkit';

/** Of tokens out of a file: the row of a data set, the picture that they were made of, and what the file does not say. */
export function TokensFile(): JSX.Element | null {
  const { inspector } = useServices();
  const kind = inspector.document.value?.tokens;
  const origin = inspector.tokenization.value?.origin;
  if (kind === undefined) return null;
  return (
    <>
      {kind === 'dataset' && <Rows />}
      {origin && (
        <span class="muted" data-testid="original">
          {origin.original === null ? 'original not found' : `original: ${origin.original}`}
        </span>
      )}
      {origin?.note && (
        <span class="muted" role="note" data-testid="note">
          {origin.note}
        </span>
      )}
    </>
  );
}

function Rows(): JSX.Element {
  const { inspector, session } = useServices();
  const row = inspector.tokenization.value?.origin?.row;
  return (
    <span class="row-choice" role="group" aria-label="Row of the data set">
      <Button
        appearance="icon"
        label="Row before"
        testId="row-previous"
        title="Row before"
        onPress={() => session.chooseRow('previous')}
      >
        ‹
      </Button>
      <Button testId="row" title="Choose a row of the data set" onPress={() => session.chooseRow('list')}>
        {row ? `${row.path} · ${row.index + 1} of ${row.count}` : 'Choose row…'}
      </Button>
      <Button
        appearance="icon"
        label="Row after"
        testId="row-next"
        title="Row after"
        onPress={() => session.chooseRow('next')}
      >
        ›
      </Button>
    </span>
  );
}
