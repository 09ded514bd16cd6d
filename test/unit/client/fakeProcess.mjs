// A process that speaks the inference protocol and misbehaves as FAKE_BEHAVIOUR says. FAKE_FOLDER counts its lives.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMessageConnection, IPCMessageReader, IPCMessageWriter, ResponseError } from 'vscode-jsonrpc/node';

/** A model of one patch. @param {string} name @param {string | undefined} version */
const model = (name, version = '0') => ({
  ...{
    name,
    version,
    hash: 'a'.repeat(64),
    directory: '/models/tiny',
    imageSize: { width: 32, height: 16 },
    resample: 'lanczos3',
  },
  ...{ grid: { rows: 1, columns: 2 }, globalTokens: 1, patchTokens: 2, filters: true, steps: [{ tokens: 3, bits: 9 }] },
  streams: [
    { name: 'global_codes', role: 'global', shape: [1], grid: null, codebook, prefixSteps: 0 },
    { name: 'patch_codes', role: 'patch', shape: [2], grid: { rows: 1, columns: 2 }, codebook, prefixSteps: 0 },
  ],
  ...{
    expectedDimensions: 1,
    attentionLayers: 1,
    attentionHeads: 1,
    givenOthers: false,
    defaults: filter,
    referenceBudgetBits: 2,
  },
});
const codebook = { kind: 'fsq', levels: [8] };
const filter = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };

const { FAKE_BEHAVIOUR: behaviour, FAKE_FOLDER: folder = '', ELECTRON_RUN_AS_NODE: asNode } = process.env;
writeFileSync(join(folder, `life-${process.pid}`), '');
const lives = readdirSync(folder).length;

/** After the report of a lost device nothing runs any more, as where a session is released on it. */
class Writer extends IPCMessageWriter {
  /** @override @param {any} message */
  async write(message) {
    await super.write(message);
    if (message.error?.data?.failed !== undefined) for (;;);
  }
}

const connection = createMessageConnection(new IPCMessageReader(process), new Writer(process));

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
    return new ResponseError(1, failed.reason, { code: 'inference-failed', failed });
  }
  if (behaviour === 'refuse') {
    return new ResponseError(1, 'The file is bad.', { code: 'model-invalid', advice: 'Try another.' });
  }
  if (behaviour === 'strange') throw new TypeError('x is not a function');
  const failures = excluded.map(({ provider, reason }) => ({ provider, reason }));
  const loaded = { model: model(`life ${lives}`, asNode), provider: { provider: 'cpu', failures } };
  if (behaviour === 'wrong-answer') {
    await connection.sendNotification('progress', { id: -1, stage: 'load' });
    return { ...loaded, model: { ...loaded.model, grid: { rows: NaN, columns: 2 } } };
  }
  await connection.sendNotification('model/loaded', { choice, ...loaded });
  return loaded;
});

/** Codes of the pictures that are open, by number. @type {Map<number, Int32Array>} */
const pictures = new Map();

connection.onRequest('open', async ({ id, params: { picture, choice, file, settings } }) => {
  if (choice.directory.endsWith('/endless')) {
    await connection.sendNotification('progress', { id, stage: 'encode' });
    for (;;);
  }
  await connection.sendNotification('progress', { id, stage: 'read' });
  const size = { width: 1, height: 1 };
  const image = {
    // The pixels say what arrived of the file.
    rgb: Uint8Array.of(file[0], file[1] ?? 0, file[2] ?? 0),
    format: file.constructor.name,
    ...{ sourceWidth: 1, sourceHeight: 1, cropMode: 'centre', crop: { left: 0, top: 0, ...size }, ...size },
    ...{ tiles: { rows: 1, columns: 1 }, grid: { rows: 1, columns: 2 }, reduction: 1 },
  };
  await connection.sendNotification('pictured', {
    id,
    image,
    model: model('tiny'),
    settings: { ...filter, ...settings },
  });
  await connection.sendNotification('progress', { id, stage: 'encode' });
  const tokens = {
    globalCodes: Int32Array.of(lives),
    patchCodes: Int32Array.of(1, 2),
    otherCodes: [],
    entropyBits: Float32Array.of(0.5, 1.5),
    surprisalBits: Float32Array.of(1, 1),
    expectedCodes: new Float32Array(2),
  };
  pictures.set(picture, tokens.globalCodes);
  return { model: model('tiny'), provider: { provider: 'cpu', failures: [] }, tokens, manifest: '{}', timings: {} };
});

connection.onNotification('reopen', ({ picture, tokens, image }) => {
  process.stderr.write(`reopen ${picture} ${Object.keys(image).sort().join()}\n`);
  pictures.set(picture, tokens.globalCodes);
});

connection.onNotification('close', ({ picture }) => {
  process.stderr.write(`close ${picture}\n`);
  pictures.delete(picture);
});

connection.onRequest('analysis', async ({ id, params: { picture, name, params } }) => {
  process.stderr.write(`analysis ${name}\n`);
  if (behaviour === 'crash-in-analysis' && lives === 1) process.kill(process.pid, 'SIGKILL');
  if (name === 'endless') await new Promise(() => undefined);
  await connection.sendNotification('progress', { id, stage: 'rank' });
  if (name === 'rank') {
    const bits = behaviour === 'wrong-analysis' ? [0, 1] : [0, 1, 3];
    return { order: Uint32Array.of(1, 0), cumulativeBits: Float64Array.from(bits), totalBits: 3 };
  }
  return { codes: pictures.get(picture), life: lives, params };
});

process.on('disconnect', () => process.exit(0));
connection.listen();
