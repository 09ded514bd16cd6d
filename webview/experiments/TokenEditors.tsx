import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Button } from '../ui/toolkit';
import { codebookSize, codeLevels, codeOfLevels } from '../../src/method/codebook';
import type { ReplaceableToken } from '../../src/method/edits';
import { streamOf } from '../../src/method/streams';

/** The code of the pinned patch, to be changed. */
export function PatchEditor(): JSX.Element | null {
  const { inspector, session } = useServices();
  const { experiments } = session;
  const patch = inspector.pinned.value ? inspector.focused.value : undefined;
  if (!experiments.replaces('patch')) return null;
  if (patch === undefined) {
    return <p class="muted">Pin a patch (click it, or press Enter) to change its code.</p>;
  }
  const columns = inspector.tokenization.value?.image.grid.columns ?? 1;
  const dropped = inspector.selected.value?.keep[patch] === 0;
  return (
    <>
      <CodeEditor token="patch" index={patch} name={`Patch (${Math.floor(patch / columns)}, ${patch % columns})`} />
      {dropped && <p class="muted">It is dropped, so that its code is not decoded: press K to keep it.</p>}
    </>
  );
}

/** The code of the global token that is shown alone, and tokens of another image. */
export function GlobalEditor(): JSX.Element | null {
  const { inspector, session } = useServices();
  const { experiments } = session;
  if (!experiments.replaces('global')) return null;
  const count = inspector.picture.value?.model.globalTokens ?? 0;
  const [only, more] = inspector.isolatedTokens.value;
  const first = inspector.tile.value * count;
  const other = experiments.other.value;
  const chosen = inspector.isolatedTokens.value.map((token) => first + token);
  return (
    <>
      {only !== undefined && more === undefined && (
        <CodeEditor token="global" index={first + only} name={`Global token ${only}`} />
      )}
      <div class="row-of-controls">
        <Button
          testId="other-image"
          title="Global tokens of an image that you choose can take the place of this one's"
          onPress={() => void experiments.choose()}
        >
          {other === undefined ? 'Tokens of another image…' : 'Another image…'}
        </Button>
        {other !== undefined && (
          <>
            <Button
              testId="swap-globals"
              title={`Put the global tokens of ${other.name} in place of this image's`}
              onPress={() => experiments.takeGlobals(chosen.length > 0 ? chosen : undefined)}
            >
              {chosen.length > 0 ? `Swap token ${inspector.isolatedTokens.value.join(', ')}` : 'Swap all'}
            </Button>
            <span class="muted" data-testid="other-name">
              of {other.name}
            </span>
          </>
        )}
      </div>
    </>
  );
}

interface CodeEditorProps {
  readonly token: ReplaceableToken;
  readonly index: number;
  readonly name: string;
}

/** A level for each dimension of finite scalar quantisation; for other codebooks the code. */
function CodeEditor({ token, index, name }: CodeEditorProps): JSX.Element | null {
  const { inspector, session } = useServices();
  const { experiments } = session;
  const model = inspector.tokenization.value?.model;
  const codebook = model && streamOf(model, token)?.codebook;
  const code = experiments.codeOf(token, index);
  if (codebook === undefined || code === undefined || codebook.kind === 'continuous') return null;
  const original = experiments.originalOf(token, index);
  const levels = codebook.kind === 'fsq' ? codeLevels(code, codebook.levels) : undefined;
  const set = (changed: number): void => experiments.replaceOne(token, index, changed);
  return (
    <div class="code-editor" role="group" aria-label={`${name}, code ${code}`} data-testid={`code-${token}`}>
      <span>{name}</span>
      {codebook.kind === 'fsq' && levels !== undefined ? (
        codebook.levels.map((count, d) => (
          <Whole
            key={d}
            label={`Level of dimension ${d}, 0 to ${count - 1}`}
            testId={`level-${token}-${d}`}
            most={count - 1}
            value={levels[d] ?? 0}
            onChange={(level) => set(codeOfLevels(levels.with(d, level), codebook.levels))}
          />
        ))
      ) : (
        <Whole
          label={`Code, 0 to ${codebookSize(codebook) - 1}`}
          testId={`code-value-${token}`}
          most={codebookSize(codebook) - 1}
          value={code}
          onChange={set}
        />
      )}
      <span class="muted" data-testid={`code-now-${token}`}>
        {original === undefined ? `code ${code}` : `code ${code}, was ${original}`}
      </span>
      {original !== undefined && (
        <Button
          appearance="icon"
          testId={`code-restore-${token}`}
          title={`Back to code ${original} of the model`}
          onPress={() => set(original)}
        >
          Back
        </Button>
      )}
    </div>
  );
}

interface WholeProps {
  readonly label: string;
  readonly testId: string;
  readonly most: number;
  readonly value: number;
  readonly onChange: (value: number) => void;
}

/** A field for a whole number from 0; what is none is put back. */
function Whole({ label, testId, most, value, onChange }: WholeProps): JSX.Element {
  return (
    <input
      type="number"
      min="0"
      max={most}
      step="1"
      aria-label={label}
      title={label}
      data-testid={testId}
      value={value}
      onChange={(event) => {
        const typed = event.currentTarget.valueAsNumber;
        if (Number.isInteger(typed) && typed >= 0 && typed <= most) onChange(typed);
        else event.currentTarget.value = String(value);
      }}
    />
  );
}
