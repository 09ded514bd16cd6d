/** One life of the inference process: from fork to exit. */
import { fork, type ChildProcess, type ForkOptions } from 'node:child_process';
import { createInterface } from 'node:readline';
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import {
  loaded,
  noteProvider,
  pictured,
  progress,
  excludeProvider,
  type DecodedPicture,
  type FailedProvider,
  type LoadedChoice,
  type Progress,
  type ProviderInUse,
} from '../protocol/engineMessages';

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
  /** Told of every model that the process loads, before the request that it was loaded for is answered. */
  readonly onLoaded?: ((loaded: LoadedChoice) => void) | undefined;
}

/** What is told of a request while it is under way. */
export interface RequestListener {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly onPicture?: ((picture: DecodedPicture) => void) | undefined;
}

/** The process ended while a request was under way, or could not be started. */
export class ProcessExited extends Error {
  override readonly name = 'ProcessExited';

  constructor(
    reason: string,
    /** Whether {@link RunningProcess.stop} ended it. */
    readonly stopped: boolean,
    /** Whose native code it was in, if that of a provider. */
    readonly inUse: ProviderInUse | undefined,
  ) {
    super(reason);
  }
}

/** How long a process told to end may take before it is given up; one that waits for a lost device in the kernel never ends. */
const endLimitMs = 5000;

export class RunningProcess {
  private readonly child: ChildProcess;
  private readonly connection: MessageConnection;
  private readonly listeners = new Map<number, RequestListener>();
  /** Rejects the requests under way. Were each to wait for {@link ended}, that would hold their answers as long as the process lives. */
  private readonly waiting = new Set<(reason: ProcessExited) => void>();
  /** Rejects with {@link ProcessExited}; never resolves. */
  private readonly ended: Promise<never>;
  private readonly end: (reason: string) => void;
  private inUse: ProviderInUse | undefined;
  private stopping = false;
  private alive = true;

  /** @param onEnd called once, when the process has ended for whatever reason. */
  constructor(settings: ForkSettings, onEnd: () => void) {
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
      onEnd();
      const exited = new ProcessExited(reason, this.stopping, this.inUse);
      rejectEnded(exited);
      for (const reject of this.waiting) reject(exited);
      this.waiting.clear();
    };
    this.child.once('error', (error) => this.end(error.message));
    this.child.once('exit', (code, signal) =>
      this.end(signal === null ? `exit status ${code ?? 'unknown'}` : `signal ${signal}`),
    );
    // An end between requests is noticed by onEnd.
    this.ended.catch(() => undefined);
    this.connection = createMessageConnection(new IPCMessageReader(this.child), new IPCMessageWriter(this.child));
    this.connection.onNotification(progress, ({ id, ...told }) => this.listeners.get(id)?.onProgress?.(told));
    this.connection.onNotification(pictured, ({ id, ...told }) => this.listeners.get(id)?.onPicture?.(told));
    this.connection.onNotification(loaded, (told) => settings.onLoaded?.(told));
    this.connection.onRequest(noteProvider, ({ inUse }) => void (this.inUse = inUse));
    this.connection.onError(([error]) => log(`Inference process: ${error.message}`));
    this.connection.listen();
  }

  /** @throws ProcessExited when the process ends before it answers; otherwise what the request rejects with. */
  request<Result>(send: (connection: MessageConnection) => Promise<Result>): Promise<Result> {
    if (!this.alive) return this.ended;
    const answer = send(this.connection).catch((error: unknown) => this.afterPendingExit(error));
    return new Promise((resolve, reject) => {
      this.waiting.add(reject);
      void answer.then(resolve, reject).finally(() => this.waiting.delete(reject));
    });
  }

  /** Listens to the notifications of one id; the result stops listening. */
  listen(id: number, listener: RequestListener): () => void {
    this.listeners.set(id, listener);
    return () => this.listeners.delete(id);
  }

  /** Has the process never try a provider; to be called before any request. */
  excludeProvider(failed: FailedProvider): void {
    // What a process that is gone was not told, nobody needs.
    this.connection.sendNotification(excludeProvider, failed).catch(() => undefined);
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
      // In VS Code's desktop process the binary is Electron, which is told so to be a Node; Node itself ignores it.
      ELECTRON_RUN_AS_NODE: '1',
      // Options meant for this process (a debugger's --require) would break or slow the other one.
      NODE_OPTIONS: undefined,
      VSCODE_INSPECTOR_OPTIONS: undefined,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  };
}
