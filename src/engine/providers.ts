/**
 * Which ONNX Runtime execution provider runs a model: each of the configured order is tried for real, and why the earlier ones
 * could not be used is kept.
 *
 * ONNX Runtime itself is no guide: it lists CUDA as supported where its library is absent, throws for `['cuda', 'cpu']` instead
 * of falling back, and ignores unknown names beside a known one. So every attempt creates sessions with exactly one provider
 * (the runtime places operators that the provider lacks on the CPU by itself).
 */
import { TatokError } from '../method/errors';
import type { ProviderName, ProviderReport } from '../method/types';
import { ProviderFailed } from '../protocol/errorTransfer';

const knownProviders: readonly ProviderName[] = ['cuda', 'cpu', 'dml', 'coreml', 'webgpu'];

/** Stands for the platform's default order. */
export const autoProvider = 'auto';

/** The default order: what onnxruntime-node is built with on a platform, then the CPU. */
export function defaultProviders(platform: string, arch: string): ProviderName[] {
  if (platform === 'linux' && arch === 'x64') return ['cuda', 'cpu'];
  if (platform === 'win32') return ['dml', 'cpu'];
  return platform === 'darwin' && arch === 'arm64' ? ['coreml', 'cpu'] : ['cpu'];
}

/** The order with `auto` replaced by this platform's default order. */
export function providerOrder(order: readonly string[]): string[] {
  return order.flatMap((name) => (name === autoProvider ? defaultProviders(process.platform, process.arch) : [name]));
}

/** Whether the order names a provider after this one. */
export function mayFallBack(order: readonly string[], failed: ProviderName): boolean {
  return providerOrder(order).at(-1) !== failed;
}

export interface ProvidedBy<Value> {
  readonly value: Value;
  readonly report: ProviderReport;
}

/**
 * The first of `order` that `create` succeeds with.
 *
 * @param order provider names; `auto` stands for the platform's default order, unknown names are reported as failures.
 * @param explain one sentence for the user about a failed attempt.
 * @throws TatokError provider-unavailable with every reason; a TatokError of `create` (a bad model) is not a provider's failure
 *   and is passed on. So is ProviderFailed: the next provider is tried in another process.
 */
export async function firstProvider<Value>(
  order: readonly string[],
  create: (provider: ProviderName) => Promise<Value>,
  explain: (provider: ProviderName, error: unknown) => string,
): Promise<ProvidedBy<Value>> {
  const failures: { provider: string; reason: string }[] = [];
  for (const name of providerOrder(order)) {
    const provider = knownProviders.find((known) => known === name);
    if (provider === undefined) {
      failures.push({
        provider: name,
        reason: `${name} is no known provider; known are ${knownProviders.join(', ')}.`,
      });
      continue;
    }
    try {
      return { value: await create(provider), report: { provider, failures } };
    } catch (error) {
      if (error instanceof TatokError || error instanceof ProviderFailed) throw error;
      failures.push({ provider, reason: explain(provider, error) });
    }
  }
  const reasons = failures.map(({ provider, reason }) => `${provider}: ${reason}`).join(' ');
  throw new TatokError(
    'provider-unavailable',
    failures.length === 0 ? 'No execution provider is configured.' : `No execution provider could be used. ${reasons}`,
    'Add cpu to the providers to try.',
  );
}
