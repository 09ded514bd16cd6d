import type { FailedProvider } from './engineMessages';

/**
 * A provider that failed with sessions open: out of memory, lost device.
 *
 * Such sessions are never released. Releasing blocks the thread, and on a device that is gone it may never return; only the end of
 * the process gives its memory back for certain. So whoever runs the process replaces it.
 */
export class ProviderFailed extends Error {
  override readonly name = 'ProviderFailed';

  constructor(
    readonly failed: FailedProvider,
    cause: unknown,
  ) {
    super(failed.reason, { cause });
  }
}
