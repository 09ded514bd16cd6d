/**
 * Entry of the inference process (dist/inference.js): the only place where ONNX Runtime and sharp run.
 *
 * Forked with serialization 'advanced', so that typed arrays arrive as they are; standard error is the log.
 */
import { writeFileSync } from 'node:fs';
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type CancellationToken,
  type ResponseError,
} from 'vscode-jsonrpc/node';
import sharp from 'sharp';
import type { Call } from '../protocol/analyses';
import { CheckedReader } from '../protocol/contract';
import * as protocol from '../protocol/engineMessages';
import type { Asked } from '../protocol/engineMessages';
import { toResponseError, type InferenceErrorData } from '../protocol/errorTransfer';
import { fromClient } from '../protocol/schemas';
import { Engine } from './engine';
import { makeThumbnail } from './thumbnail';

const log = (text: string) => void process.stderr.write(`${text}\n`);
const writer = new IPCMessageWriter(process);
const reader = new CheckedReader(new IPCMessageReader(process), fromClient, (reason, refusal) => {
  log(reason);
  if (refusal !== undefined) void writer.write(refusal);
});
const connection = createMessageConnection(reader, writer);
const engine = new Engine({
  log,
  onLoaded: (loaded) => void connection.sendNotification(protocol.loaded, loaded),
  noteProvider: (inUse) => connection.sendRequest(protocol.noteProvider, { inUse }),
});

// Images are decoded once each: libvips' cache of operations would only hold on to their memory.
sharp.cache(false);

/** A handler that reports its progress, stops when cancelled, and answers failures with their code and advice. */
function answer<Params, Result>(
  work: (params: Params, call: Call, id: number) => Promise<Result>,
): (asked: Asked<Params>, token: CancellationToken) => Promise<Result | ResponseError<InferenceErrorData>> {
  return async ({ id, params }, token) => {
    const onProgress: Call['onProgress'] = (news) => {
      void connection.sendNotification(protocol.progress, { ...news, id });
    };
    try {
      return await work(params, { token, onProgress }, id);
    } catch (error) {
      return toResponseError(error, log);
    }
  };
}

connection.onNotification(protocol.excludeProvider, (failed) => engine.excludeProvider(failed));
connection.onNotification(protocol.reopen, ({ picture, ...known }) => engine.reopen(picture, known));
connection.onNotification(protocol.close, ({ picture }) => engine.close(picture));
connection.onRequest(
  protocol.loadModel,
  answer((choice, call) => engine.loadModel(choice, call)),
);
connection.onRequest(
  protocol.open,
  answer(({ picture, ...params }, call, id) =>
    engine.open(picture, params, call, (decoded) => {
      void connection.sendNotification(protocol.pictured, { ...decoded, id });
    }),
  ),
);
connection.onRequest(
  protocol.openTokens,
  answer(({ picture, ...params }, call, id) =>
    engine.openTokens(picture, params, call, (decoded) => {
      void connection.sendNotification(protocol.pictured, { ...decoded, id });
    }),
  ),
);
connection.onRequest(
  protocol.prepareBatches,
  answer((choice, call) => engine.prepareBatches(choice, call)),
);
connection.onRequest(
  protocol.tokenizePictures,
  answer((params, call) => engine.tokenizePictures(params, call)),
);
connection.onRequest(
  protocol.decodeTokens,
  answer((params, call) => engine.decodeTokens(params, call)),
);
connection.onRequest(
  protocol.thumbnail,
  answer(async (params) => ({ jpeg: await makeThumbnail(params) })),
);
connection.onRequest(
  protocol.analysis,
  answer(({ picture, name, params }, call) => engine.analyse(picture, { name, params }, call)),
);

// A system without memory left ends this process, which can be replaced, and not the editor or anything else of the user.
if (process.platform === 'linux') {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Some containers have no such file, or one that may not be written.
  }
}

// A terminal interrupts every process of the command line; the one that started this decides when it ends.
process.on('SIGINT', () => undefined);
// The other side is gone for good, however it ended. Leaving in good order would destroy the sessions, which may wait for a device that
// is lost, and nothing here is worth saving.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
connection.listen();
