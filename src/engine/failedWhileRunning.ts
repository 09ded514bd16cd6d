import type { ModelChoice } from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import type { ProviderName } from '../method/types';
import { explainProviderFailure } from './failureReasons';
import { ProviderFailed } from '../protocol/errorTransfer';
import { mayFallBack } from './providers';

/**
 * What an error of a request says of the provider that it ran on. Undefined for what no other provider would do better, and where the
 * order names none after it.
 *
 * @param provider undefined where it failed before its model was loaded.
 */
export function failedWhileRunning(
  choice: ModelChoice,
  provider: ProviderName | undefined,
  error: unknown,
): ProviderFailed | undefined {
  if (!(error instanceof TatokError) || error.code !== 'inference-failed') return undefined;
  if (provider === undefined || !mayFallBack(choice.providers, provider)) return undefined;
  const cause = error.cause ?? error;
  const reason = `It failed while running: ${explainProviderFailure(provider, cause)}`;
  return new ProviderFailed({ choice, provider, reason }, cause);
}
