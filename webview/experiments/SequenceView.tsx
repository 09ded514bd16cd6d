import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useServices } from '../state/context';
import { Button } from '../ui/toolkit';
import { sequenceJson, sequenceOf, sequencePython, type SequenceSource } from './sequence';

/** Tokens that are listed; all are copied. */
const mostListed = 512;

/** The tokens in the order of a generator: global ones, then the kept patches with their positions. */
export function SequenceView(): JSX.Element | null {
  const { inspector } = useServices();
  const [open, setOpen] = useState(false);
  const [copied, setCopied] = useState('');
  const tokenization = inspector.tokenization.value;
  const document = inspector.document.value;
  const tokens = inspector.decoded.value;
  const keep = inspector.selected.value?.keep;
  if (inspector.picture.value === undefined) return null;
  // Its place is there before the tokens are.
  const source: SequenceSource | undefined = tokenization &&
    tokens &&
    keep && { image: tokenization.image, model: tokenization.model, tokens, keep };
  const copy = async (name: string, text: string): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(`The sequence is copied as ${name}`);
    setTimeout(() => setCopied(''), 1500);
  };
  return (
    <details
      class="sequence"
      open={open}
      onToggle={(event) => setOpen(event.currentTarget.open)}
      data-testid="sequence"
    >
      <summary>Token sequence</summary>
      {open && source !== undefined && document !== undefined && (
        <>
          <div class="row-of-controls">
            <Button testId="copy-python" onPress={() => void copy('Python', sequencePython(source, document))}>
              Copy as Python
            </Button>
            <Button testId="copy-json" onPress={() => void copy('JSON', sequenceJson(source, document))}>
              Copy as JSON
            </Button>
            <span class="muted" role="status" data-testid="sequence-said">
              {copied}
            </span>
          </div>
          <Sequence {...source} />
        </>
      )}
    </details>
  );
}

function Sequence(source: SequenceSource): JSX.Element {
  const { inspector } = useServices();
  const all = sequenceOf(source);
  const left = all.length - mostListed;
  const several = source.image.tiles.rows * source.image.tiles.columns > 1;
  return (
    <ol class="tokens-in-order" tabIndex={0} aria-label="Tokens in order" data-testid="tokens-in-order">
      {all.slice(0, mostListed).map((token) => (
        <li
          key={token.kind === 'global' ? `${token.tile} ${token.index}` : token.index}
          class={token.kind === 'patch' && token.index === inspector.focused.value ? 'focused' : undefined}
        >
          {token.kind === 'global'
            ? `global ${several ? `${token.tile}.` : ''}${token.index}: ${token.code}`
            : `patch (${token.row}, ${token.column}): ${token.code}`}
        </li>
      ))}
      {left > 0 && <li class="muted">and {left} more, which are copied as well</li>}
    </ol>
  );
}
