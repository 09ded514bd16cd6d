/** One life of the inference process: from fork to exit. */
import { fork, type ChildProcess, type ForkOptions } from 'node:child_process';
import { createInterface } from 'node:readline';
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type CancellationToken,
  type MessageConnection,
  type NotificationType,
  type RequestParam,
  type RequestType,
} from 'vscode-jsonrpc/node';
import type { Progress } from '../protocol/analyses';
import { CheckedReader } from '../protocol/contract';
import {
  loaded,
  noteProvider,
  pictured,
  progress,
  type Asked,
  type DecodedPicture,
  type LoadedChoice,
  type ProviderInUse,
} from '../protocol/engineMessages';
import { checkAnswer, fromProcess } from '../protocol/schemas';
import { mostResidentBytes, residentBytes } from './processMemory';
import { TatokError } from '../method/errors';
import type { Stage } from '../method/types';

export interface ForkSettings {
  /** dist/inference.js. */
  readonly modulePath: string;
  /** The Node to run it with; absent: the one that runs this. VS Code's own binary works too. */
  readonly execPath?: string | undefined;
  /** Nothing is inherited: an extension host's --inspect port is its own. */
  readonly execArgv?: readonly string[] | undefined;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Lines of the process's standard error and output. */
  readonly log?: ((line: string) => void) | undefined;
  /**
   * Milliseconds that a step of a request may take (a stage, or a batch of tiles of one) before the process is replaced; undefined: any
   * time. Asked at the start of every step.
   */
  readonly stepLimitMs?: (() => number | undefined) | undefined;
  /** Memory that the process may hold before it is replaced, in bytes; absent: {@link mostResidentBytes}. Linux alone tells it. */
  readonly memoryLimit?: number | undefined;
  /** Told of every model that the process loads, before the request that it was loaded for is answered. */
  readonly onLoaded?: ((loaded: LoadedChoice) => void) | undefined;
}

/** Events of a request while it is under way. */
export interface RequestListener {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly onPicture?: ((picture: DecodedPicture) => void) | undefined;
}

/** The process ended while a request was under way, or could not be started. */
export class ProcessExited extends Error {
  override readonly name = 'ProcessExited';

  constructor(
    reason: string,
    /** True if {@link RunningProcess.stop} ended it. */
    readonly stopped: boolean,
    /** Whose native code it was in, if that of a provider. */
    readonly inUse: ProviderInUse | undefined,
  ) {
    super(reason);
  }
}

/** A request that was sent and is not answered yet. */
interface Pending {
  readonly listener: RequestListener;
  readonly reject: (reason: Error) => void;
}

/**
 * How long the step of a request that was cancelled may still take before the process is replaced. A step cannot be stopped; most take
 * less, and starting a process and loading the model again takes about as long.
 */
const cancelledStepMs = 2000;
/** How long, where the step loads a model: the next request mostly wants the same one. */
const cancelledLoadMs = 10_000;
/** How often the memory of a process that works is looked at: a graph that fills it takes about a second for 3 GB. */
const memoryCheckMs = 250;
/** Timers take no longer times. */
const longestTimerMs = 2 ** 31 - 1;

/** How long a process may take to end before it is given up; one that waits for a lost device in the kernel never ends. */
const endLimitMs = 5000;

export class RunningProcess {
  /** Numbers of the pictures that are open in it. */
  readonly pictures = new Set<number>();
  private readonly child: ChildProcess;
  private readonly connection: MessageConnection;
  /** Requests by their ids. Were each to wait for {@link ended}, that would hold their answers as long as the process lives. */
  private readonly pending = new Map<number, Pending>();
  /** The step that the process reported last, and its request. */
  private step: { readonly id: number; readonly stage: Stage } | undefined;
  private stepLimit: NodeJS.Timeout | undefined;
  private memoryWatch: NodeJS.Timeout | undefined;
  /** Rejects with {@link ProcessExited}; never resolves. */
  private readonly ended: Promise<never>;
  private readonly end: (reason: string) => void;
  private inUse: ProviderInUse | undefined;
  private stopping = false;
  private alive = true;

  /** @param onEnd called when the process has ended for whatever reason, and already when it is given up as stuck. */
  constructor(
    private readonly settings: ForkSettings,
    private readonly onEnd: () => void,
  ) {
    this.child = fork(settings.modulePath, [], forkOptions(settings));
    const log = settings.log ?? (() => undefined);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', log);
    }
    let rejectEnded: (reason: ProcessExited) => void;
    this.ended = new Promise((_resolve, reject) => (rejectEnded = reject));
    this.end = (reason) => {
      if (!this.alive) return;
      this.alive = false;
      this.connection.dispose();
      if (!this.stopping) log(`The inference process ended: ${reason}.`);
      clearTimeout(this.stepLimit);
      clearInterval(this.memoryWatch);
      onEnd();
      const exited = new ProcessExited(reason, this.stopping, this.inUse);
      rejectEnded(exited);
      for (const { reject } of this.pending.values()) reject(exited);
      this.pending.clear();
    };
    this.child.once('error', (error) => this.end(error.message));
    this.child.once('exit', (code, signal) =>
      this.end(signal === null ? `exit status ${code ?? 'unknown'}` : `signal ${signal}`),
    );
    // An end between requests is noticed by onEnd.
    this.ended.catch(() => undefined);
    const writer = new IPCMessageWriter(this.child);
    const reader = new CheckedReader(new IPCMessageReader(this.child), fromProcess, (reason, refusal) => {
      log(reason);
      if (refusal !== undefined) writer.write(refusal).catch(() => undefined);
    });
    this.connection = createMessageConnection(reader, writer);
    this.connection.onNotification(progress, ({ id, ...news }) => {
      this.step = { id, stage: news.stage };
      this.pending.get(id)?.listener.onProgress?.(news);
      this.limitStep();
    });
    this.connection.onNotification(pictured, ({ id, ...news }) => this.pending.get(id)?.listener.onPicture?.(news));
    this.connection.onNotification(loaded, (choice) => settings.onLoaded?.(choice));
    this.connection.onRequest(noteProvider, ({ inUse }) => void (this.inUse = inUse));
    this.connection.onError(([error]) => log(`Inference process: ${error.message}`));
    this.connection.listen();
  }

  /**
   * Sends a request. Once it is cancelled it frees the process within seconds, by its end or by the process's.
   *
   * @throws ProcessExited when the process ends before it answers; TatokError time-limit when a step of it takes too long, memory-limit
   *   when it takes too much memory; otherwise what the request rejects with.
   */
  ask<Params, Result, Failure>(
    type: RequestType<Asked<Params>, Result, Failure>,
    asked: Asked<Params>,
    token: CancellationToken,
    listener: RequestListener = {},
  ): Promise<Result> {
    if (!this.alive) return this.ended;
    const { id } = asked;
    const answer = this.connection
      .sendRequest(type, asked, token)
      .then((result) => {
        checkAnswer(type.method, result);
        return result;
      })
      .catch((error: unknown) => this.afterPendingExit(error));
    const cancellation = token.onCancellationRequested(() => this.expectEnd(id));
    return new Promise((resolve, reject) => {
      this.pending.set(id, { listener, reject });
      if (this.pending.size === 1) {
        this.limitStep();
        this.watchMemory();
      }
      void answer.then(resolve, reject).finally(() => {
        cancellation.dispose();
        this.pending.delete(id);
        if (this.step?.id === id) this.step = undefined;
        if (this.pending.size === 0) clearInterval(this.memoryWatch);
        this.limitStep();
      });
    });
  }

  /** Sends a notification, which a process that has ended does not need. */
  notify<Params>(type: NotificationType<Params>, params: NoInfer<RequestParam<Params>>): void {
    if (this.alive) this.connection.sendNotification(type, params).catch(() => undefined);
  }

  /** Ends the process now; resolves when it has ended, or did not within seconds. */
  async stop(): Promise<void> {
    this.stopping = true;
    // Nothing of the process runs for it, no handler and no destructor: it also ends one that is stuck in native code.
    this.child.kill('SIGKILL');
    const limit = setTimeout(() => this.giveUp(), endLimitMs);
    await this.ended.catch(() => undefined);
    clearTimeout(limit);
  }

  /** Begins the time that the current step may take, where there is one. */
  private limitStep(): void {
    clearTimeout(this.stepLimit);
    const limit = this.settings.stepLimitMs?.();
    if (limit === undefined || this.pending.size === 0 || !this.alive) return;
    this.stepLimit = setTimeout(() => this.overdue(limit), Math.min(limit, longestTimerMs));
    this.stepLimit.unref();
  }

  private overdue(limit: number): void {
    this.replace('time-limit', (step) => [
      `${step} took longer than ${limit / 1000} seconds, so the inference process was replaced.`,
      'If the model needs that long, raise the setting tatok.timeLimit; otherwise another model or execution provider may work.',
    ]);
  }

  /** Of a process that is asked something. Otherwise the system would end some process, and that might be the editor. */
  private watchMemory(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    const limit = this.settings.memoryLimit ?? mostResidentBytes();
    this.memoryWatch = setInterval(() => {
      if ((residentBytes(pid) ?? 0) <= limit) return;
      this.replace('memory-limit', (step) => [
        `${step} took more than ${(limit / 1e9).toFixed(1)} GB of memory, so the inference process was replaced.`,
        'A smaller picture or another model may need less.',
      ]);
    }, memoryCheckMs);
    this.memoryWatch.unref();
  }

  /** The request whose step it is has failed; the others are repeated with the next process. */
  private replace(
    code: 'time-limit' | 'memory-limit',
    say: (step: string) => readonly [message: string, advice: string],
  ): void {
    const { id, stage } = this.step ?? {};
    const own = id === undefined ? undefined : this.pending.get(id);
    const error = new TatokError(code, ...say(`The step “${own === undefined ? 'start' : stage}”`));
    for (const { reject } of own === undefined ? this.pending.values() : [own]) reject(error);
    this.abandon(error.message);
  }

  /** A request was cancelled: if it is its step that goes on, the process is of no use to others until that ends. */
  private expectEnd(id: number, patience = cancelledStepMs): void {
    const check = (): void => {
      if (!this.pending.has(id) || this.step?.id !== id) return;
      const { stage } = this.step;
      if (stage === 'load' && patience === cancelledStepMs) this.expectEnd(id, cancelledLoadMs - patience);
      else
        this.abandon(`The step “${stage}” of a cancelled request did not end, so the inference process is replaced.`);
    };
    setTimeout(check, patience).unref();
  }

  /** Makes room for the next process at once: this one is not waited for. */
  private abandon(reason: string): void {
    if (!this.alive || this.stopping) return;
    this.settings.log?.(reason);
    this.onEnd();
    void this.stop();
  }

  private giveUp(): void {
    // It must not keep this process alive either.
    this.child.unref();
    if (this.child.connected) this.child.disconnect();
    this.end('it does not end');
  }

  /** A closing channel rejects requests a moment before the exit is known: let the exit speak first. */
  private async afterPendingExit(error: unknown): Promise<never> {
    if (this.alive && !this.child.connected) await this.ended;
    throw error;
  }
}

function forkOptions({ execPath, execArgv, env }: ForkSettings): ForkOptions {
  return {
    serialization: 'advanced',
    execArgv: [...(execArgv ?? [])],
    ...(execPath === undefined ? {} : { execPath }),
    env: {
      ...process.env,
      // In VS Code's desktop process the binary is Electron, which this has run as a Node; Node itself ignores it.
      ELECTRON_RUN_AS_NODE: '1',
      // Options meant for this process (a debugger's --require) would break or slow the other one.
      NODE_OPTIONS: undefined,
      VSCODE_INSPECTOR_OPTIONS: undefined,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  };
}
