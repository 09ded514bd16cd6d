import { isDeepStrictEqual } from 'node:util';
import type { ModelChoice, ProviderInUse } from '../protocol/engineMessages';
import type { ProviderName, Stage } from '../method/types';

/**
 * Keeps the client told of the provider whose native code is about to run. If that code ends the process, the client knows what it
 * died of.
 *
 * The CPU counts as no provider: it is the last resort, and telling would only take time.
 */
export class ProviderWatch {
  private told: ProviderInUse | undefined;

  /** @param tell resolves once the client knows. */
  constructor(private readonly tell: (inUse: ProviderInUse | undefined) => Promise<void>) {}

  /** Before sessions are opened. */
  opening(choice: ModelChoice, provider: ProviderName): Promise<void> {
    return this.note({ choice, provider, opening: true });
  }

  /** Before a stage of a request. @param provider undefined until the request's model is loaded. */
  running(choice: ModelChoice, provider: ProviderName | undefined, stage: Stage): Promise<void> {
    // What decodes the image file is native too, and no provider's.
    return this.note(provider === undefined || stage === 'read' ? undefined : { choice, provider, opening: false });
  }

  private async note(inUse: ProviderInUse | undefined): Promise<void> {
    const news = inUse?.provider === 'cpu' ? undefined : inUse;
    if (isDeepStrictEqual(news, this.told)) return;
    this.told = news;
    await this.tell(news);
  }
}
