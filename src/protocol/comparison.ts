/**
 * Two tokenizations in one page: each side speaks the protocol of an inspector (`inspector.ts`) for itself, over messages that
 * name it.
 */

import { NotificationType } from 'vscode-jsonrpc';
import type { ComparisonKind } from './exports';

/** Left and right at first; where the page shows them is its own matter. */
export const sides = ['a', 'b'] as const;
export type Side = (typeof sides)[number];

/** A message of one side's connection, on its way through the one webview. */
export interface SideMessage {
  readonly side: Side;
  readonly message: unknown;
}

export function isSideMessage(value: unknown): value is SideMessage {
  if (typeof value !== 'object' || value === null || !('side' in value && 'message' in value)) return false;
  return sides.some((side) => side === value.side);
}

/** A command asks the page to export both pictures, or to copy them; sent to whichever side. */
export const comparisonRequested = new NotificationType<{ readonly kind: ComparisonKind | 'copy' }>(
  'comparison/requested',
);
