// Runs in the inference process and the threads of its sessions, before them: stands for a CUDA provider that opens every graph, and
// crashes when it runs a decoder once there is a file named crash in the home folder. Its codes are not all those of the CPU.
const { existsSync } = require('node:fs');
const { homedir } = require('node:os');
const { join } = require('node:path');
const { kill, pid } = require('node:process');
const { InferenceSession, Tensor } = require('onnxruntime-node');
const { tokenizerOf } = require('./tokenizerStandIn.cjs');

const create = InferenceSession.create.bind(InferenceSession);

/** @param {Uint8Array} bytes @param {import('onnxruntime-node').InferenceSession.SessionOptions} options */
async function createOnAny(bytes, { executionProviders: [provider] = [], externalData = [], ...options }) {
  /** @param {unknown} plain */
  const open = (plain) => create(/** @type {Uint8Array} */ (plain), { ...options, executionProviders: ['cpu'] });
  // Graphs for CUDA alone hold operators that the CPU lacks; the files that they take their weights from are the plain graphs.
  const plain = externalData.map((file) => (typeof file === 'string' ? undefined : file.data));
  if (plain.length === 2) return withOtherCodes(await tokenizerOf(await open(plain[0]), await open(plain[1])));
  const session = await open(plain[0] ?? bytes);
  const isCuda = typeof provider === 'object' && provider.name === 'cuda';
  if (!isCuda || !session.outputNames.includes('image')) return session;
  const { run } = session;
  /** @param {Parameters<typeof session.run>} given */
  const runOrCrash = (...given) => {
    if (existsSync(join(homedir(), 'crash'))) kill(pid, 'SIGSEGV');
    return Reflect.apply(run, session, given);
  };
  return Object.assign(session, { run: runOrCrash });
}

/** Devices round differently: some codes of one are not those of another. @param {Awaited<ReturnType<typeof tokenizerOf>>} session */
function withOtherCodes(session) {
  const { run } = session;
  /** @param {Parameters<typeof run>[0]} feeds */
  const runAndChange = async (feeds) => {
    /** @type {Readonly<Record<string, unknown>>} */
    const outputs = await run(feeds);
    const codes = outputs['patch_codes'];
    if (!(codes instanceof Tensor) || !(codes.data instanceof Int32Array)) return outputs;
    const changed = codes.data.map((code, i) => (i % 8 === 0 ? code ^ 1 : code));
    return { ...outputs, patch_codes: new Tensor('int32', changed, codes.dims) };
  };
  return { ...session, run: runAndChange };
}

Object.assign(InferenceSession, { create: createOnAny });
