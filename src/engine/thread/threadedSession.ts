/** A session whose runs do not block the thread that asks for them. */
import type { InferenceSession } from 'onnxruntime-node';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { VerifiedGraph } from '../../bundle/verify';
import type { GraphSession } from './graphSession';
import type { SessionToOpen, ThreadAnswer, ThreadRequest } from './sessionThread';
import { copied, fromPlain, memoryOf, toPlain, type PlainTensors } from './tensorTransfer';

/** A call that waits for the next answer. */
interface Waiting {
  readonly resolve: (answer: ThreadAnswer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A session in a thread of its own. A run costs a round trip of messages and a copy of its inputs more than one in the same thread;
 * outputs are handed over. As long as it is not released, it keeps the process alive.
 */
export class ThreadedSession implements GraphSession {
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];

  private constructor(
    private readonly thread: SessionThread,
    { inputMetadata, outputMetadata }: Pick<InferenceSession, 'inputMetadata' | 'outputMetadata'>,
  ) {
    this.inputMetadata = inputMetadata;
    this.outputMetadata = outputMetadata;
  }

  /**
   * @param modulePath where sessionThread.ts was bundled to.
   * @param graph handed over to the thread.
   * @throws Error of ONNX Runtime, or of a thread that cannot be started.
   */
  static async open(
    modulePath: string,
    graph: VerifiedGraph,
    options: InferenceSession.SessionOptions,
  ): Promise<GraphSession> {
    const thread = new SessionThread(modulePath, { graph, options });
    const answer = await thread.opened;
    if (answer.kind !== 'open') throw errorOf(answer);
    return new ThreadedSession(thread, answer.metadata);
  }

  get ended(): boolean {
    return this.thread.hasEnded;
  }

  /** Runs that are asked for while another is under way wait for it. @throws Error of ONNX Runtime, or of a thread that died. */
  async run(
    feeds: InferenceSession.OnnxValueMapType,
    fetches: readonly string[],
  ): Promise<InferenceSession.OnnxValueMapType> {
    const answer = await this.thread.ask(copied(toPlain(feeds)), fetches);
    if (answer.kind !== 'ran') throw errorOf(answer);
    return fromPlain(answer.outputs);
  }

  /** Resolves when the thread has ended, after the runs under way. @throws Error of ONNX Runtime. */
  release(): Promise<void> {
    return this.thread.end();
  }
}

/** The other side of sessionThread.ts: what it answers, to whom asked, in order. */
class SessionThread {
  readonly opened: Promise<ThreadAnswer>;
  private readonly worker: Worker;
  private readonly waiting: Waiting[] = [];
  private ended: Error | undefined;
  private ending: Promise<void> | undefined;

  constructor(modulePath: string, workerData: SessionToOpen) {
    const { bytes, externalData } = workerData.graph;
    const transferList = [bytes.buffer, ...externalData.map(({ data }) => data.buffer)];
    this.worker = new Worker(modulePath, { workerData, transferList });
    this.worker.on('message', (answer: ThreadAnswer) => this.waiting.shift()?.resolve(answer));
    this.worker.on('error', (error: Error) => this.giveUp(error));
    this.worker.on('exit', (status) =>
      this.giveUp(new Error(`The session’s thread has ended with exit status ${status}.`)),
    );
    this.opened = this.answer();
  }

  get hasEnded(): boolean {
    return this.ended !== undefined;
  }

  ask(feeds: PlainTensors, fetches: readonly string[]): Promise<ThreadAnswer> {
    const request: ThreadRequest = { feeds, fetches };
    if (this.ended === undefined) this.worker.postMessage(request, memoryOf(feeds));
    return this.answer();
  }

  end(): Promise<void> {
    this.ending ??= this.ended === undefined ? this.askToEnd() : Promise.resolve();
    return this.ending;
  }

  private async askToEnd(): Promise<void> {
    const exit = once(this.worker, 'exit');
    const request: ThreadRequest = undefined;
    this.worker.postMessage(request);
    await exit;
  }

  private answer(): Promise<ThreadAnswer> {
    return new Promise((resolve, reject) => {
      if (this.ended === undefined) this.waiting.push({ resolve, reject });
      else reject(this.ended);
    });
  }

  private giveUp(error: Error): void {
    this.ended ??= error;
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}

function errorOf(answer: ThreadAnswer): Error {
  const error = answer.kind === 'failed' ? answer.error : `It answered ${answer.kind}`;
  return error instanceof Error ? error : new Error(String(error));
}
