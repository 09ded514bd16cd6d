import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { stageNames } from '../state/remainingTime';
import { Button, ProgressRing } from '../ui/toolkit';
import type { Progress as StageProgress } from '../../src/protocol/analyses';
import type { Failure, FailureAction } from '../../src/protocol/document';
import { stages } from '../../src/method/types';

/** Progress, failures and notices. */
export function StageMessages(): JSX.Element {
  const { inspector } = useServices();
  const phase = inspector.phase.value;
  const empty = inspector.picture.value === undefined;
  return (
    <>
      {empty && phase.kind === 'working' && <Progress progress={phase.progress} />}
      {phase.kind === 'failed' && <FailureMessage failure={phase.failure} kind={empty ? 'page' : 'banner'} />}
      {inspector.notice.value !== undefined && phase.kind !== 'failed' && (
        <FailureMessage
          failure={inspector.notice.value}
          kind="banner"
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

const actionNames: Record<FailureAction, string> = {
  retry: 'Try again',
  showOutput: 'Show output',
  openSettings: 'Open settings',
  openAnyway: 'Open anyway',
  chooseModel: 'Choose model…',
};

interface FailureMessageProps {
  readonly failure: Failure;
  /** `page` when there is nothing else to show, `banner` above what is still valid. */
  readonly kind: 'page' | 'banner';
  readonly onDismiss?: () => void;
}

/** One sentence and what can be done about it. */
function FailureMessage({ failure, kind, onDismiss }: FailureMessageProps): JSX.Element {
  const { session } = useServices();
  return (
    <div class={`failure ${kind}`} role="alert" data-testid="failure">
      <p>{failure.message}</p>
      <div class="buttons">
        {failure.actions.map((action, i) => (
          <Button
            key={action}
            appearance={i === 0 && kind === 'page' ? 'primary' : 'secondary'}
            testId={`action-${action}`}
            onPress={() => session.runAction(action)}
          >
            {actionNames[action]}
          </Button>
        ))}
        {onDismiss && (
          <Button testId="dismiss" onPress={onDismiss}>
            Dismiss
          </Button>
        )}
      </div>
    </div>
  );
}
