/**
 * The inference process as its users see it: started when needed, restarted after a crash, stopped when nobody is left. A provider that
 * fails or crashes it is left out of the next one.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  CancellationToken,
  CancellationTokenSource,
  ResponseError,
  type Disposable,
  type RequestType,
} from 'vscode-jsonrpc/node';
import { analysesBy, type Analyses, type Ask, type Call } from '../protocol/analyses';
import * as protocol from '../protocol/engineMessages';
import type {
  Asked,
  Batching,
  DecodedPicture,
  DecodedTokens,
  DecodeTokensParams,
  FailedProvider,
  KnownPicture,
  LoadedModel,
  ModelChoice,
  OpenedTokens,
  OpenParams,
  OpenTokensParams,
  PictureHandle,
  Pictures,
  PicturesParams,
  ThumbnailParams,
  TokenizedPicture,
} from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import { decodedFormat, type Tokenization, type Tokenized } from '../method/types';
import { cudaVariables, type CudaOptions } from '../cuda/environment';
import { fromResponseError, type InferenceErrorData } from '../protocol/errorTransfer';
import { checkAnalysisAnswer, failureWithProvider } from '../protocol/schemas';
import { ProcessExited, RunningProcess, type ForkSettings } from './runningProcess';
import { mayFallBack } from '../protocol/providerOrder';

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

/** How opening is followed and ended. */
export interface OpenCall extends Call {
  readonly onPicture?: ((picture: DecodedPicture) => void) | undefined;
}

/**
 * A tokenized picture that is open in the inference process. Where that process ends or is replaced, the picture is opened anew in the
 * next one when it is asked for something, with the same tokens: another provider would give some codes another value.
 */
export interface OpenedPicture extends Tokenized, LoadedModel {
  readonly analyses: Analyses;
  /** The same, by name: for a relay. */
  readonly ask: Ask;
  /** Has the process forget the picture. Analyses under way are rejected as cancelled, and so are later ones. */
  close(): void;
}

type Send<Result> = (running: RunningProcess) => Promise<Result>;

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

  loadModel(choice: ModelChoice, token?: CancellationToken): Promise<LoadedModel> {
    return this.request(protocol.loadModel, choice, { token });
  }

  /** Decodes and tokenizes a picture. It stays open until it is closed, and keeps the process alive as long. */
  open(params: OpenParams, call?: OpenCall): Promise<OpenedPicture> {
    return this.opening(protocol.open, params, params.file, call);
  }

  /** Opens tokens out of a file, with the picture that they were made of where that is given and fits. They stay open as {@link open} says. */
  openTokens(params: OpenTokensParams, call?: OpenCall): Promise<OpenedPicture> {
    return this.opening(protocol.openTokens, params, params.original, call);
  }

  /** @param file of the picture, if there is one. */
  private async opening<Params extends { readonly choice: ModelChoice }>(
    type: RequestType<Asked<Params & PictureHandle>, OpenedTokens, InferenceErrorData>,
    params: Params,
    file: Uint8Array | undefined,
    call: OpenCall = {},
  ): Promise<OpenedPicture> {
    const picture = this.nextId++;
    let decoded: DecodedPicture | undefined;
    const onPicture = (news: DecodedPicture): void => {
      decoded = news;
      call.onPicture?.(news);
    };
    let openedIn: RunningProcess | undefined;
    const note = (running: RunningProcess): void => {
      openedIn = running;
    };
    try {
      const opened = await this.request(type, { ...params, picture }, { ...call, onPicture }, note);
      if (decoded === undefined) throw new TatokError('inference-failed', 'The file was tokenized but not decoded.');
      openedIn?.pictures.add(picture);
      const { image, settings } = decoded;
      const { rgb: _, ...geometry } = image;
      const { manifest, ...shown } = opened;
      const source = file === undefined || image.format === decodedFormat ? {} : { file };
      const known = { choice: params.choice, ...source, image: geometry, tokens: opened.tokens, manifest };
      return { ...shown, image, settings, ...this.handle(picture, known) };
    } catch (error) {
      // The process may have opened it before it learned that nobody waits.
      openedIn?.notify(protocol.close, { picture });
      throw error;
    }
  }

  /** Tokens of a picture and their reconstruction under the settings given, for callers that show nothing before all is known. */
  async tokenize(params: OpenParams, call?: OpenCall): Promise<Tokenization & LoadedModel> {
    const picture = await this.open(params, call);
    try {
      const { image, tokens, model, provider, settings } = picture;
      const { timings, ...reconstruction } = await picture.analyses.reconstruct(settings, call);
      return { image, tokens, model, provider, reconstruction, timings: { ...picture.timings, ...timings } };
    } finally {
      picture.close();
    }
  }

  /** Loads a model for {@link tokenizePictures}. */
  prepareBatches(choice: ModelChoice, token?: CancellationToken): Promise<LoadedModel & Batching> {
    return this.request(protocol.prepareBatches, choice, { token });
  }

  /** Tokenizes several pictures together; none stays open. Requests that are sent ahead have their files decoded meanwhile. */
  tokenizePictures(params: PicturesParams, token?: CancellationToken): Promise<Pictures<TokenizedPicture>> {
    return this.request(protocol.tokenizePictures, params, { token });
  }

  /** Decodes tokens whose pictures are not at hand. */
  decodeTokens(params: DecodeTokensParams): Promise<Pictures<DecodedTokens>> {
    return this.request(protocol.decodeTokens, params, {});
  }

  /** A JPEG file of the centre of an image. */
  async thumbnail(params: ThumbnailParams, token?: CancellationToken): Promise<Uint8Array> {
    return (await this.request(protocol.thumbnail, params, { token })).jpeg;
  }

  private handle(picture: number, known: KnownPicture): Pick<OpenedPicture, 'analyses' | 'ask' | 'close'> {
    const lease = this.acquire();
    const closing = new CancellationTokenSource();
    const reopen = (running: RunningProcess): void => {
      if (running.pictures.has(picture)) return;
      running.pictures.add(picture);
      running.notify(protocol.reopen, { ...known, picture });
    };
    const ask: Ask = async (request, { token, onProgress }) => {
      const either = eitherOf(token, closing.token);
      try {
        const call = { token: either.token, onProgress };
        const answer = await this.request(protocol.analysis, { ...request, picture }, call, reopen);
        checkAnalysisAnswer(request.name, answer);
        return answer;
      } finally {
        either.dispose();
      }
    };
    const close = (): void => {
      if (closing.token.isCancellationRequested) return;
      closing.cancel();
      lease.dispose();
      const { running } = this;
      void running?.then(
        (process) => {
          if (process.pictures.delete(picture)) process.notify(protocol.close, { picture });
        },
        () => undefined,
      );
    };
    return { analyses: analysesBy(ask), ask, close };
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

  /** @param prepare runs before the request is sent to a process; to another one again where it is repeated. */
  private async request<Params, Result, Failure>(
    type: RequestType<Asked<Params>, Result, Failure>,
    params: Params,
    { token = CancellationToken.None, ...listener }: OpenCall,
    prepare?: (running: RunningProcess) => void,
  ): Promise<Result> {
    const lease = this.acquire();
    const cancellation = rejectWhenCancelled(token);
    const id = this.nextId++;
    const send: Send<Result> = (running) => {
      prepare?.(running);
      return running.ask(type, { id, params }, token, listener);
    };
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
    const isUnwanted = () => this.disposed || token.isCancellationRequested;
    for (let crashes = 0; ;) {
      if (isUnwanted()) throw cancelled();
      const starting = this.start();
      const running = await starting;
      if (isUnwanted()) throw cancelled();
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
          // Crashes on this provider do not count against the next.
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
      for (const failed of this.failed) running.notify(protocol.excludeProvider, failed);
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

/** The provider that a request failed with, where another one may answer it. */
function failedProviderOf(error: unknown): FailedProvider | undefined {
  const failure = error instanceof ResponseError ? failureWithProvider.safeParse(error.data) : undefined;
  return failure?.data?.failed;
}

function cancelled(): TatokError {
  return new TatokError('cancelled', 'The request was cancelled.');
}

/** Cancelled as soon as one of two is. */
function eitherOf(
  one: CancellationToken | undefined,
  other: CancellationToken,
): Disposable & { token: CancellationToken } {
  const source = new CancellationTokenSource();
  if (one?.isCancellationRequested === true || other.isCancellationRequested) source.cancel();
  const listeners = [one, other].map((each) => each?.onCancellationRequested(() => source.cancel()));
  return { token: source.token, dispose: () => listeners.forEach((listener) => listener?.dispose()) };
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

/** Tries of one request that may end in a crash before something else is tried, or nothing. */
const mostCrashes = 2;

/**
 * The provider that a crash is put down to, so that the next process does without it: at once if sessions were being opened on it, as
 * they would be again, otherwise after {@link mostCrashes}, because some crashes do not come back.
 *
 * @param crashes how often the request that waits for an answer has met a crash, this one included.
 * @returns undefined where the same is to be tried again, or no other provider is left.
 */
function crashedProvider({ message, inUse }: ProcessExited, crashes: number): FailedProvider | undefined {
  if (inUse === undefined) return undefined;
  const { choice, provider, opening } = inUse;
  if (!mayFallBack(choice.providers, provider) || (!opening && crashes < mostCrashes)) return undefined;
  const when = opening ? 'while it opened the model' : 'twice in a row while running';
  return { choice, provider, reason: `It crashed ${when} (${message}).` };
}
