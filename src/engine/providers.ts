/**
 * Which ONNX Runtime execution provider runs a model: each of the configured order is tried for real, and why the earlier ones
 * could not be used is kept.
 *
 * ONNX Runtime's own list does not help: it names CUDA as supported where its library is absent, throws for `['cuda', 'cpu']` instead
 * of falling back, and ignores unknown names beside a known one. So every attempt creates sessions with exactly one provider
 * (the runtime places operators that the provider lacks on the CPU by itself).
 */
import { constants } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { TatokError } from '../method/errors';
import { providerNames, type ProviderName, type ProviderReport, type Stage } from '../method/types';
import { ProviderFailed } from '../protocol/errorTransfer';
import { mayFallBack, providerOrder } from '../protocol/providerOrder';
import { cudaDirectoryVariable, cudaReasonVariable } from '../cuda/environment';
import { cudaProviderLibrary, runtimeVersion } from '../cuda/requirements';
import type { ModelChoice, ProviderInUse } from '../protocol/engineMessages';

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
    const provider = providerNames.find((known) => known === name);
    if (provider === undefined) {
      failures.push({
        provider: name,
        reason: `${name} is no known provider; known are ${providerNames.join(', ')}.`,
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

/** One sentence on why an execution provider could not be used, out of what ONNX Runtime throws. */
export function explainProviderFailure(provider: ProviderName, error: unknown): string {
  const message = messageOf(error);
  if (/backend not found|no available backend/i.test(message)) {
    return `This build of ONNX Runtime has no ${provider} on ${process.platform}-${process.arch}.`;
  }
  if (provider === 'cuda' && /Failed to load shared library/i.test(message)) {
    // The parts that discovery misses explain more than the first file that the loader stumbled over.
    return process.env[cudaReasonVariable] ?? sentence(loaderMessage(process.env[cudaDirectoryVariable]) ?? message);
  }
  return sentence(message);
}

/**
 * The dynamic loader's message about the CUDA provider. ONNX Runtime only logs it; a second attempt names the missing library.
 * Only called after ONNX Runtime itself failed to load the library, so that nothing of it is running.
 */
function loaderMessage(directory: string | undefined): string | undefined {
  if (directory === undefined) return undefined;
  try {
    process.dlopen({ exports: {} }, join(directory, cudaProviderLibrary), constants.dlopen.RTLD_LAZY);
    return undefined;
  } catch (error) {
    const message = messageOf(error);
    // So it was loaded, as the module for Node that it is not.
    if (/did not self-register/i.test(message)) {
      return `ONNX Runtime ${runtimeVersion} does not take the provider’s libraries, though all that they need was found`;
    }
    const [, missing] = /^(\S+): cannot open shared object file: No such file/.exec(message) ?? [];
    return missing === undefined ? message : `${missing}, which the CUDA provider needs, was not found`;
  }
}

/**
 * The first line without what only ONNX Runtime's developers read ("[ONNXRuntimeError] : 1 : FAIL : ", "/file.cc:100 … was
 * false. ", "/file.cc:100 Type Class::function(Type) "), ending in a full stop.
 */
export function sentence(error: unknown): string {
  const message = messageOf(error);
  // "….cc:154 … CudaCall(…) [with …] CUDA failure 35: driver version is insufficient ; GPU=-1 ; hostname=… ; file=…"
  const [cudaFailure] = /CUDA failure \d+: [^;\n]+/.exec(message) ?? [];
  if (cudaFailure !== undefined) return `${cudaFailure.trim().replace(/\.$/, '')}.`;
  // Names in a graph are of any length.
  const line = (message.split('\n')[0] ?? '')
    .slice(0, 1000)
    .replace(/^.*(\[ONNXRuntimeError\] : \d+ : \w+ : | was false\. )/, '')
    .replace(placeInSource, '')
    .trim();
  const text = line === '' ? 'It failed without saying why' : line.length > 400 ? `${line.slice(0, 400)}…` : line;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** A line of a file, and the function that it is in: its whole signature, or its name alone. */
const placeInSource =
  /\S*\.(?:cc|cpp|h):\d+ (?:(?:[\w:<>,&*~]+ )*[\w:<>,&*~]+\((?:[^()]|\([^()]*\))*\)(?: const)?(?: \[with [^\]]*\])?|\w+) /;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Reads an error of a request as a failure of its provider. Undefined for an error that every provider would give, and where the
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

/**
 * Reports to the client the provider whose native code is about to run. If that code ends the process, the client knows what it
 * died of.
 *
 * The CPU counts as no provider: it is the last resort, and telling would only take time.
 */
export class ProviderWatch {
  private reported: ProviderInUse | undefined;

  /** @param tell resolves once the client knows. */
  constructor(private readonly tell: (inUse: ProviderInUse | undefined) => Promise<void>) {}

  /** Before sessions are opened. */
  opening(choice: ModelChoice, provider: ProviderName): Promise<void> {
    return this.note({ choice, provider, opening: true });
  }

  /** Before a stage of a request. @param provider undefined until the request's model is loaded. */
  running(choice: ModelChoice, provider: ProviderName | undefined, stage: Stage): Promise<void> {
    // Decoders of image files are native too, but not a provider's.
    return this.note(provider === undefined || stage === 'read' ? undefined : { choice, provider, opening: false });
  }

  private async note(inUse: ProviderInUse | undefined): Promise<void> {
    const news = inUse?.provider === 'cpu' ? undefined : inUse;
    if (isDeepStrictEqual(news, this.reported)) return;
    this.reported = news;
    await this.tell(news);
  }
}
