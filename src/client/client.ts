/**
 * The inference process as its users see it: started when needed, restarted after a crash, stopped when nobody is left. A provider that
 * fails or crashes it is left out of the next one.
 */
import { isDeepStrictEqual } from 'node:util';
import { CancellationToken, type RequestType } from 'vscode-jsonrpc/node';
import * as protocol from '../protocol/engineMessages';
import type {
  Asked,
  AttentionParams,
  DecodedPicture,
  FailedProvider,
  InfluenceParams,
  LoadedModel,
  MeasureParams,
  ModelChoice,
  Progress,
  RankParams,
  ReconstructParams,
  TokenizeParams,
} from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import type {
  AttentionMap,
  InfluenceMap,
  Measurement,
  Ranking,
  Reconstruction,
  StageTimings,
  Tokenized,
} from '../method/types';
import { cudaVariables, type CudaOptions } from '../cuda/environment';
import { crashedProvider, mostCrashes } from './crashes';
import { failedProviderOf, fromResponseError } from '../protocol/errorTransfer';
import { ProcessExited, RunningProcess, type ForkSettings, type RequestListener } from './runningProcess';

export interface InferenceClientOptions extends ForkSettings {
  /** Where CUDA's libraries are; asked at every start of the process, so that a changed setting holds after {@link InferenceClient.stop}. */
  readonly cuda?: (() => CudaOptions) | undefined;
  /** Milliseconds between the last lease's end and the process's; default 5000. */
  readonly idleMs?: number | undefined;
}

/** Keeps the process alive until it is disposed. */
export interface Lease {
  dispose(): void;
}

type Send<Result> = (running: RunningProcess) => Promise<Result>;

type OnProgress = (progress: Progress) => void;

/**
 * Shared by everyone who needs inference. Every method rejects with a TatokError; `cancelled` as soon as the token says so, even
 * while the process is still busy with the request.
 */
export class InferenceClient {
  private running: Promise<RunningProcess> | undefined;
  private leases = 0;
  private idleTimer: NodeJS.Timeout | undefined;
  private nextId = 1;
  private disposed = false;
  /** Not to be tried again until {@link stop}. */
  private failed: FailedProvider[] = [];

  constructor(private readonly options: InferenceClientOptions) {}

  /** Keeps the process alive between requests. A request in flight holds a lease of its own. */
  acquire(): Lease {
    clearTimeout(this.idleTimer);
    this.leases++;
    let released = false;
    return {
      dispose: () => {
        if (released) return;
        released = true;
        this.leases--;
        if (this.leases === 0) this.stopWhenIdle();
      },
    };
  }

  loadModel(choice: ModelChoice, token: CancellationToken = CancellationToken.None): Promise<LoadedModel> {
    return this.request(protocol.loadModel, choice, token);
  }

  tokenize(
    params: TokenizeParams,
    token: CancellationToken = CancellationToken.None,
    onProgress?: OnProgress,
    onPicture?: (picture: DecodedPicture) => void,
  ): Promise<Tokenized & LoadedModel> {
    return this.request(protocol.tokenize, params, token, { onProgress, onPicture });
  }

  rank(
    params: RankParams,
    token: CancellationToken = CancellationToken.None,
    onProgress?: OnProgress,
  ): Promise<Ranking> {
    return this.request(protocol.rank, params, token, { onProgress });
  }

  reconstruct(
    params: ReconstructParams,
    token: CancellationToken = CancellationToken.None,
    onProgress?: OnProgress,
  ): Promise<Reconstruction & { readonly timings: StageTimings }> {
    return this.request(protocol.reconstruct, params, token, { onProgress });
  }

  measure(params: MeasureParams, token: CancellationToken = CancellationToken.None): Promise<readonly Measurement[]> {
    return this.request(protocol.measure, params, token);
  }

  influence(params: InfluenceParams, token: CancellationToken = CancellationToken.None): Promise<InfluenceMap> {
    return this.request(protocol.influence, params, token);
  }

  attention(params: AttentionParams, token: CancellationToken = CancellationToken.None): Promise<AttentionMap> {
    return this.request(protocol.attention, params, token);
  }

  /**
   * Ends the process; the next request starts a fresh one, which tries every provider again. Requests under way fail as after a
   * crash and are repeated.
   */
  async stop(): Promise<void> {
    const running = this.running;
    this.running = undefined;
    this.failed = [];
    clearTimeout(this.idleTimer);
    await running?.then(
      (process) => process.stop(),
      () => undefined,
    );
  }

  /** Ends the process for good; requests under way and later ones are rejected as cancelled. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.stop();
  }

  private async request<Params, Result, Failure>(
    type: RequestType<Asked<Params>, Result, Failure>,
    params: Params,
    token: CancellationToken,
    listener: RequestListener = {},
  ): Promise<Result> {
    const lease = this.acquire();
    const cancellation = rejectWhenCancelled(token);
    const id = this.nextId++;
    const send: Send<Result> = (running) => running.ask(type, { id, params }, token, listener);
    try {
      return await Promise.race([cancellation.promise, this.repeatAfterCrash(send, token)]);
    } catch (error) {
      throw fromResponseError(error);
    } finally {
      cancellation.dispose();
      lease.dispose();
    }
  }

  private async repeatAfterCrash<Result>(send: Send<Result>, token: CancellationToken): Promise<Result> {
    for (let crashes = 0; ;) {
      if (this.disposed || token.isCancellationRequested) throw cancelled();
      const starting = this.start();
      const running = await starting;
      try {
        return await send(running);
      } catch (error) {
        const failed = failedProviderOf(error);
        if (failed !== undefined) {
          this.replace(starting, running, failed);
          continue;
        }
        if (!(error instanceof ProcessExited)) throw error;
        if (error.stopped) continue;
        crashes++;
        const crashed = crashedProvider(error, crashes);
        if (crashed !== undefined) {
          this.excludeProvider(crashed);
          // What the other providers do with the request is another story.
          crashes = 0;
          continue;
        }
        if (crashes < mostCrashes) continue;
        throw new TatokError(
          'inference-crashed',
          `The inference process crashed twice on this request (${error.message}).`,
          'See the log of the inference process; another execution provider may work.',
          { cause: error },
        );
      }
    }
  }

  /**
   * Has the next request start a process that does not try `failed`. The old one is not waited for: it may be stuck with the failed
   * device, and is ended from outside. Its other requests are repeated.
   */
  private replace(starting: Promise<RunningProcess>, running: RunningProcess, failed: FailedProvider): void {
    if (this.running === starting) this.running = undefined;
    this.excludeProvider(failed);
    void running.stop();
  }

  /** All requests that were under way may report the same failure. */
  private excludeProvider(failed: FailedProvider): void {
    const { choice, provider, reason } = failed;
    if (this.failed.some((known) => known.provider === provider && isDeepStrictEqual(known.choice, choice))) return;
    this.failed.push(failed);
    this.options.log?.(`${provider} is no longer used: ${reason}`);
  }

  private start(): Promise<RunningProcess> {
    this.running ??= this.fork();
    return this.running;
  }

  private fork(): Promise<RunningProcess> {
    const starting = (async () => {
      const { modulePath, cuda, env } = this.options;
      const variables = await cudaVariables(cuda?.() ?? {}, modulePath);
      const running = new RunningProcess({ ...this.options, env: { ...variables, ...env } }, () => {
        if (this.running === starting) this.running = undefined;
      });
      for (const failed of this.failed) running.excludeProvider(failed);
      return running;
    })();
    starting.catch(() => {
      if (this.running === starting) this.running = undefined;
    });
    return starting;
  }

  private stopWhenIdle(): void {
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => void this.stop(), this.options.idleMs ?? 5000);
    this.idleTimer.unref();
  }
}

function cancelled(): TatokError {
  return new TatokError('cancelled', 'The request was cancelled.');
}

function rejectWhenCancelled(token: CancellationToken): { promise: Promise<never>; dispose(): void } {
  const listeners: { dispose(): void }[] = [];
  const promise = new Promise<never>((_resolve, reject) => {
    if (token.isCancellationRequested) reject(cancelled());
    else listeners.push(token.onCancellationRequested(() => reject(cancelled())));
  });
  promise.catch(() => undefined);
  return { promise, dispose: () => listeners.forEach((listener) => listener.dispose()) };
}
