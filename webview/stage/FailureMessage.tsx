import type { JSX } from 'preact';
import { Button } from '../ui/toolkit';
import type { Failure, FailureAction } from '../../src/protocol/document';

const actionNames: Record<FailureAction, string> = {
  retry: 'Try again',
  showOutput: 'Show output',
  openSettings: 'Open settings',
  openAnyway: 'Open anyway',
  chooseModel: 'Choose model…',
  setUpCuda: 'Set Up CUDA…',
};

interface FailureMessageProps {
  readonly failure: Failure;
  /** `page` when there is nothing else to show, `banner` above what is still valid. */
  readonly kind: 'page' | 'banner';
  readonly onAction: (action: FailureAction) => void;
  readonly onDismiss?: () => void;
}

/** One sentence and what can be done about it. */
export function FailureMessage({ failure, kind, onAction, onDismiss }: FailureMessageProps): JSX.Element {
  return (
    <div class={`failure ${kind}`} role="alert" data-testid="failure">
      <p>{failure.message}</p>
      <div class="buttons">
        {failure.actions.map((action, i) => (
          <Button
            key={action}
            appearance={i === 0 && kind === 'page' ? 'primary' : 'secondary'}
            testId={`action-${action}`}
            onPress={() => onAction(action)}
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
