import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { stageNames } from '../state/stages';
import { Button } from '../ui/Button';
import { ProgressRing } from '../ui/ProgressRing';
import { stages, type Stage } from '../../src/tokenizer/types';

/** Until there is something to show: which stage runs, and a way out. */
export function Progress({ stage }: { readonly stage: Stage | undefined }): JSX.Element {
  const { inspector, session } = useServices();
  const current = stages.indexOf(stage ?? 'load');
  return (
    <div class="progress" data-testid="progress">
      <ProgressRing />
      <p role="status">
        <span class="visually-hidden">Tokenizing {inspector.document.value?.name}: </span>
        <strong>{stageNames[stage ?? 'load']}</strong>
      </p>
      <ol class="stages" aria-hidden="true">
        {stages.map((name, i) => (
          <li
            key={name}
            class={i < current ? 'done' : i === current ? 'current' : undefined}
            title={stageNames[name]}
          />
        ))}
      </ol>
      <Button testId="cancel" onPress={() => session.cancel()}>
        Cancel
      </Button>
    </div>
  );
}
