import type { JSX } from 'preact';

/** Turns until it is removed; the text beside it names the work. */
export function ProgressRing(): JSX.Element {
  return <vscode-progress-ring aria-hidden="true" class="progress-ring" />;
}
