/** The order in which execution providers are tried, which the client must know too: it replaces a process whose provider fails. */
import type { ProviderName } from '../method/types';

/** Stands for the platform's default order. */
const autoProvider = 'auto';

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

/** True if the order names a provider after this one. */
export function mayFallBack(order: readonly string[], failed: ProviderName): boolean {
  return providerOrder(order).at(-1) !== failed;
}
