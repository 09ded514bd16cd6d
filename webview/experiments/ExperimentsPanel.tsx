import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { tools, type Tool } from '../state/experiments';
import { Fold } from '../ui/ownControls';
import { Button, RadioGroup } from '../ui/toolkit';
import { SequenceView } from './SequenceView';
import { GlobalEditor, PatchEditor } from './TokenEditors';

const toolLabels: Readonly<Record<Tool, { readonly label: string; readonly title: string }>> = {
  inspect: { label: 'Inspect', title: 'A press pins a patch; a drag pans' },
  keep: { label: 'Keep', title: 'Presses and strokes keep patches whatever the filter says (K at the focused patch)' },
  drop: { label: 'Drop', title: 'Presses and strokes drop patches whatever the filter says (D at the focused patch)' },
  free: { label: 'Free', title: 'Presses and strokes leave patches to the filter again (F at the focused patch)' },
};

/** Among the parts of the page that are folded. */
const name = 'experiments';

/** What the user tries on the tokens, and what that costs and gives. */
export function ExperimentsPanel(): JSX.Element {
  const { inspector, session } = useServices();
  const { experiments } = session;
  const { past, future } = inspector.history.value;
  const { folded } = inspector.arrangement.value;
  const open = !folded.includes(name);
  const isFile = inspector.document.value?.tokens === 'file';
  return (
    <section class="panel experiments" aria-labelledby="experiments-title" data-testid="experiments">
      <div class="title-line">
        <Fold
          id="experiments-title"
          title="Experiments"
          open={open}
          onToggle={() =>
            inspector.arrange({ folded: open ? [...folded, name] : folded.filter((each) => each !== name) })
          }
        />
        <span class="spacer" />
        <Button
          appearance="icon"
          label="Undo"
          testId="undo"
          title={
            isFile
              ? 'Undo (Ctrl+Z)'
              : past.length === 0
                ? 'Nothing to undo'
                : `Undo: ${past.at(-1)?.label ?? ''} (Ctrl+Z)`
          }
          onPress={() => experiments.undo()}
        >
          ↶
        </Button>
        <Button
          appearance="icon"
          label="Redo"
          testId="redo"
          title={
            isFile
              ? 'Redo (Ctrl+Shift+Z)'
              : future.length === 0
                ? 'Nothing to redo'
                : `Redo: ${future[0]?.label ?? ''} (Ctrl+Shift+Z)`
          }
          onPress={() => experiments.redo()}
        >
          ↷
        </Button>
        {experiments.edited.value && (
          <Button
            appearance="icon"
            testId="reset-experiments"
            title="Take all experiments back, as one step"
            onPress={() => experiments.reset()}
          >
            Reset
          </Button>
        )}
      </div>
      {open && (
        <>
          {experiments.forces.value && (
            <RadioGroup
              label="Press on a patch"
              testId="tool"
              options={tools.map((value) => ({ value, ...toolLabels[value] }))}
              value={experiments.tool.value}
              onChange={(tool) => (experiments.tool.value = tool)}
            />
          )}
          <Outcome />
          <PatchEditor />
          <GlobalEditor />
          {experiments.draws.value && <Resampling />}
          <SequenceView />
        </>
      )}
      <p class="visually-hidden" role="status" data-testid="experiment-said">
        {experiments.said.value}
      </p>
    </section>
  );
}

/** Against the same settings without experiments. */
function Outcome(): JSX.Element {
  const { inspector, session } = useServices();
  const { experiments } = session;
  const difference = experiments.difference.value;
  if (difference === undefined) {
    return (
      <p class="muted" data-testid="outcome">
        {experiments.forces.value
          ? 'Choose Keep or Drop and press or stroke patches, or press K and D at the focused one.'
          : 'Nothing is changed.'}
      </p>
    );
  }
  const { forcedKept, forcedDropped, replaced } = inspector.edits.value;
  const { psnr, tokens, bits } = difference;
  const counts = [
    ...(forcedKept.length > 0 ? [`${forcedKept.length} kept`] : []),
    ...(forcedDropped.length > 0 ? [`${forcedDropped.length} dropped`] : []),
    ...(replaced.length > 0 ? [`${replaced.length} ${replaced.length === 1 ? 'code' : 'codes'}`] : []),
  ];
  return (
    <p class="outcome" data-testid="outcome">
      <span>{counts.join(', ')} by hand</span>
      <span class={psnr === undefined ? 'stale' : undefined}>
        ΔPSNR <strong data-testid="delta-psnr">{psnr === undefined ? '–' : `${signed(psnr, 2)} dB`}</strong>
      </span>
      <span>
        Δ <strong data-testid="delta-bits">{signed(bits, 0)} bits</strong>
      </span>
      <span>
        Δ <strong data-testid="delta-tokens">{signed(tokens, 0)} tokens</strong>
      </span>
    </p>
  );
}

/** With a sign, and a true minus. */
function signed(value: number, digits: number): string {
  const rounded = Math.abs(value).toFixed(digits);
  if (Number(rounded) === 0) return `±${rounded}`;
  return `${value < 0 ? '−' : '+'}${rounded}`;
}

/** Codes from the entropy model in place of what is dropped. */
function Resampling(): JSX.Element {
  const { session } = useServices();
  const { experiments } = session;
  const working = experiments.working.value;
  return (
    <div class="row-of-controls">
      <Button
        testId="draw"
        title="Codes drawn from q given the kept tokens take the place of dropped patches. They count as kept: the token file has them"
        onPress={() => void experiments.draw()}
      >
        Resample dropped
      </Button>
      <label>
        seed{' '}
        <input
          type="number"
          min="0"
          max={2 ** 32 - 1}
          step="1"
          data-testid="seed"
          value={experiments.seed.value}
          onChange={(event) => {
            const value = event.currentTarget.valueAsNumber;
            if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) experiments.seed.value = value;
            event.currentTarget.value = String(experiments.seed.peek());
          }}
        />
      </label>
      {working !== undefined && <span class="muted">{working}…</span>}
    </div>
  );
}
