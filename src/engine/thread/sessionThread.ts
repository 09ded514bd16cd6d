/**
 * Entry of a thread that holds one ONNX Runtime session (dist/sessionThread.js), started with a {@link SessionToOpen}. Requests are
 * done and answered in the order of asking.
 */
import { InferenceSession } from 'onnxruntime-node';
import { parentPort, workerData } from 'node:worker_threads';
import type { VerifiedGraph } from '../../bundle/verify';
import { fromPlain, memoryOf, toPlain, type PlainTensors } from './tensorTransfer';

export interface SessionToOpen {
  readonly graph: VerifiedGraph;
  readonly options: InferenceSession.SessionOptions;
}

/** A run of the graph, or undefined: release the session and end. */
export type ThreadRequest = { readonly feeds: PlainTensors; readonly fetches: readonly string[] } | undefined;

/**
 * The first answer says that the session is open; then there is one for every run. Of an error come its message, stack and cause, but
 * neither a class of its own nor properties such as `code`.
 */
export type ThreadAnswer =
  | { readonly kind: 'open'; readonly metadata: Pick<InferenceSession, 'inputMetadata' | 'outputMetadata'> }
  | { readonly kind: 'ran'; readonly outputs: PlainTensors }
  | { readonly kind: 'failed'; readonly error: unknown };

const port = parentPort;
if (port === null) throw new Error('A session thread is started by another thread.');

const tell = (answer: ThreadAnswer, memory: ArrayBuffer[] = []) => port.postMessage(answer, memory);

async function answer(session: InferenceSession, { feeds, fetches }: NonNullable<ThreadRequest>): Promise<void> {
  try {
    const outputs = toPlain(await session.run(fromPlain(feeds), fetches));
    tell({ kind: 'ran', outputs }, memoryOf(outputs));
  } catch (error) {
    tell({ kind: 'failed', error });
  }
}

async function serve({ graph: { bytes, externalData }, options }: SessionToOpen): Promise<void> {
  const session = await InferenceSession.create(bytes, { ...options, externalData });
  let last = Promise.resolve();
  port?.on('message', (request: ThreadRequest) => {
    // One after another: a session that is released before a run got its turn would fail it.
    last = last.then(async () => {
      if (request !== undefined) return answer(session, request);
      await session.release();
      // With nothing left to listen to the thread ends by itself. Ended from outside in the middle of native code, it takes the process along.
      port.close();
    });
  });
  const { inputMetadata, outputMetadata } = session;
  tell({ kind: 'open', metadata: { inputMetadata, outputMetadata } });
}

serve(workerData as SessionToOpen).catch((error: unknown) => tell({ kind: 'failed', error }));
