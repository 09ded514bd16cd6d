import type { JSX } from 'preact';
import { FailureMessage } from './FailureMessage';
import { useServices } from '../state/context';
import { stageNames } from '../state/remainingTime';
import { Button, ProgressRing } from '../ui/toolkit';
import type { Progress as StageProgress } from '../../src/protocol/analyses';
import type { FailureAction } from '../../src/protocol/document';
import { stages } from '../../src/method/types';

/** Progress, failures and notices. */
export function StageMessages(): JSX.Element {
  const { inspector, session } = useServices();
  const phase = inspector.phase.value;
  const onAction = (action: FailureAction): void => session.runAction(action);
  const empty = inspector.picture.value === undefined;
  return (
    <>
      {empty && phase.kind === 'working' && <Progress progress={phase.progress} />}
      {phase.kind === 'failed' && (
        <FailureMessage failure={phase.failure} kind={empty ? 'page' : 'banner'} onAction={onAction} />
      )}
      {inspector.notice.value !== undefined && phase.kind !== 'failed' && (
        <FailureMessage
          failure={inspector.notice.value}
          kind="banner"
          onAction={onAction}
          onDismiss={() => (inspector.notice.value = undefined)}
        />
      )}
    </>
  );
}

/** Until there is something to show: which stage runs, and a way out. */
function Progress({ progress }: { readonly progress: StageProgress | undefined }): JSX.Element {
  const { session } = useServices();
  const stage = progress?.stage ?? 'load';
  const current = stages.indexOf(stage);
  return (
    <div class="progress" data-testid="progress">
      <ProgressRing />
      <p>
        <strong>{stageNames[stage]}</strong>
        {progress?.tiles && (
          <span data-testid="tiles-done">
            {' '}
            {progress.tiles.done} of {progress.tiles.total} tiles
          </span>
        )}
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
