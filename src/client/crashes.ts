import type { FailedProvider } from '../protocol/engineMessages';
import { mayFallBack } from '../engine/providers';
import type { ProcessExited } from './runningProcess';

/** Tries of one request that may end in a crash before something else is tried, or nothing. */
export const mostCrashes = 2;

/**
 * The provider that a crash is put down to, so that the next process does without it: at once if sessions were being opened on it, as
 * they would be again, otherwise after {@link mostCrashes}, because some crashes do not come back.
 *
 * @param crashes how often the request that waits for an answer has met a crash, this one included.
 * @returns undefined where the same is to be tried again, or no other provider is left.
 */
export function crashedProvider({ message, inUse }: ProcessExited, crashes: number): FailedProvider | undefined {
  if (inUse === undefined) return undefined;
  const { choice, provider, opening } = inUse;
  if (!mayFallBack(choice.providers, provider) || (!opening && crashes < mostCrashes)) return undefined;
  const when = opening ? 'while it opened the model' : 'twice in a row while running';
  return { choice, provider, reason: `It crashed ${when} (${message}).` };
}
