/**
 * Entry of the inference process (dist/inference.js): the only place where ONNX Runtime and sharp run.
 *
 * Forked with serialization 'advanced', so that typed arrays arrive as they are; standard error is the log.
 */
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type CancellationToken,
  type ResponseError,
} from 'vscode-jsonrpc/node';
import sharp from 'sharp';
import * as protocol from '../protocol/engineMessages';
import type { Asked, InferenceErrorData } from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import type { StageObserver } from './stages';
import { toResponseError } from '../protocol/errorTransfer';
import { InferenceService } from './engine';

const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
const log = (text: string) => void process.stderr.write(`${text}\n`);
const service = new InferenceService({
  log,
  onLoaded: (loaded) => void connection.sendNotification(protocol.loaded, loaded),
  noteProvider: (inUse) => connection.sendRequest(protocol.noteProvider, { inUse }),
});

// Images are decoded once each: libvips' cache of operations would only hold on to their memory.
sharp.cache(false);

/** Stops at the next stage once the client has lost interest. */
function stopWhenCancelled(token: CancellationToken): StageObserver {
  return () => {
    if (token.isCancellationRequested) throw new TatokError('cancelled', 'The request was cancelled.');
  };
}

/** Tells the client of progress, unless the observer stops. */
function telling(id: number, observer: StageObserver): StageObserver {
  return async (stage, tiles) => {
    await observer(stage, tiles);
    void connection.sendNotification(protocol.progress, { id, stage, tiles });
  };
}

/** A handler that tells of its progress, stops when cancelled, and answers failures with their code and advice. */
function answer<Params, Result>(
  work: (params: Params, observer: StageObserver, id: number) => Promise<Result>,
): (asked: Asked<Params>, token: CancellationToken) => Promise<Result | ResponseError<InferenceErrorData>> {
  return async ({ id, params }, token) => {
    try {
      return await work(params, telling(id, stopWhenCancelled(token)), id);
    } catch (error) {
      return toResponseError(error, log);
    }
  };
}

connection.onNotification(protocol.excludeProvider, (failed) => service.excludeProvider(failed));
connection.onRequest(
  protocol.loadModel,
  answer((choice, observer) => service.loadModel(choice, observer)),
);
connection.onRequest(
  protocol.tokenize,
  answer((params, observer, id) =>
    service.tokenize(params, observer, (picture) => {
      void connection.sendNotification(protocol.pictured, { ...picture, id });
    }),
  ),
);
connection.onRequest(
  protocol.rank,
  answer((params, observer) => service.rank(params, observer)),
);
connection.onRequest(
  protocol.reconstruct,
  answer((params, observer) => service.reconstruct(params, observer)),
);
connection.onRequest(
  protocol.measure,
  answer((params, observer) => service.measure(params, observer)),
);
connection.onRequest(
  protocol.influence,
  answer((params, observer) => service.influence(params, observer)),
);
connection.onRequest(
  protocol.attention,
  answer((params, observer) => service.attention(params, observer)),
);

// The other side is gone for good, however it ended. Leaving in good order would destroy the sessions, which may wait for a device that
// is lost, and nothing here is worth saving.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
connection.listen();
