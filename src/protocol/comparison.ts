/**
 * Two tokenizations in one page: each side speaks the protocol of an inspector (`inspector.ts`) for itself, over messages that
 * name it.
 */

/** Left and right at first; where the page shows them is its own matter. */
export const sides = ['a', 'b'] as const;
export type Side = (typeof sides)[number];

/** A message of one side's connection, on its way through the one webview. */
export interface SideMessage {
  readonly side: Side;
  readonly message: unknown;
}

export function isSideMessage(value: unknown): value is SideMessage {
  return typeof value === 'object' && value !== null && 'side' in value && 'message' in value;
}
