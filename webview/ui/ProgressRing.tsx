import type { JSX } from 'preact';

/** Turns until it is removed; what it waits for is said beside it. */
export function ProgressRing(): JSX.Element {
  return <vscode-progress-ring aria-hidden="true" class="progress-ring" />;
}
