// A process that speaks the inference protocol and misbehaves as FAKE_BEHAVIOUR says. FAKE_FOLDER counts its lives.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMessageConnection, IPCMessageReader, IPCMessageWriter, ResponseError } from 'vscode-jsonrpc/node';

const { FAKE_BEHAVIOUR: behaviour, FAKE_FOLDER: folder = '', ELECTRON_RUN_AS_NODE: asNode } = process.env;
writeFileSync(join(folder, `life-${process.pid}`), '');
const lives = readdirSync(folder).length;

const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));

/** @type {import('../../../src/protocol/engineMessages').FailedProvider[]} */
const excluded = [];
connection.onNotification('provider/exclude', (failed) => void excluded.push(failed));

connection.onRequest('model/load', async ({ params: choice }) => {
  process.stderr.write(`loading ${choice.directory}\n`);
  if (behaviour === 'crash' || (behaviour === 'crash-once' && lives === 1)) process.kill(process.pid, 'SIGKILL');
  if (behaviour === 'exit') process.exit(3);
  if (behaviour === 'hang') for (;;);
  if (behaviour?.startsWith('provider-crashes')) {
    const provider = choice.providers.find(
      (/** @type {string} */ name) => !excluded.some((failed) => failed.provider === name),
    );
    const opening = behaviour.endsWith('opening');
    await connection.sendRequest('provider/note', {
      inUse: provider === 'cpu' ? undefined : { choice, provider, opening },
    });
    if (provider !== 'cpu' || behaviour.includes('every')) process.kill(process.pid, 'SIGSEGV');
  }
  const failed = { choice, provider: 'cuda', reason: 'CUDA failure 2: out of memory.' };
  if (behaviour === 'lose-device' && excluded.length === 0) {
    // As a session that is released on a device that is gone: the answer is out, and nothing runs any more.
    setTimeout(() => {
      for (;;);
    }, 20);
    return new ResponseError(1, failed.reason, { code: 'inference-failed', failed });
  }
  if (behaviour === 'refuse') {
    return new ResponseError(1, 'The file is bad.', { code: 'model-invalid', advice: 'Try another.' });
  }
  if (behaviour === 'strange') throw new TypeError('x is not a function');
  const failures = excluded.map(({ provider, reason }) => ({ provider, reason }));
  const loaded = { model: { name: `life ${lives}` }, provider: { provider: asNode, failures } };
  await connection.sendNotification('model/loaded', { choice, ...loaded });
  return loaded;
});

connection.onRequest('tokenize', async ({ id, params }) => {
  if (params.choice.directory.endsWith('/endless')) {
    await connection.sendNotification('progress', { id, stage: 'encode' });
    for (;;);
  }
  for (const stage of ['read', 'encode']) await connection.sendNotification('progress', { id, stage });
  // Sends the bytes back with a word on what arrived.
  return { file: params.file, kind: params.file.constructor.name, floats: Float32Array.of(0.5, 1.5) };
});

process.on('disconnect', () => process.exit(0));
connection.listen();
