// Runs in the inference process before it: stands for a CUDA provider that opens every graph, and crashes when it runs a decoder once
// there is a file of that name in the home folder.
const { existsSync } = require('node:fs');
const { homedir } = require('node:os');
const { join } = require('node:path');
const { kill, pid } = require('node:process');
const { InferenceSession, Tensor } = require('onnxruntime-node');

const create = InferenceSession.create.bind(InferenceSession);

/** @param {string} path @param {import('onnxruntime-node').InferenceSession.SessionOptions} options */
async function createOnAny(path, { executionProviders: [provider] = [], ...options }) {
  /** @param {string} file */
  const open = (file) => create(file.replace('.cuda.onnx', '.onnx'), { ...options, executionProviders: ['cpu'] });
  // Graphs for CUDA alone hold operators that the CPU lacks.
  if (path.includes('tokenizer')) {
    return tokenizerOf(
      await open(path.replace('tokenizer', 'encoder')),
      await open(path.replace('tokenizer', 'entropy')),
    );
  }
  const session = await open(path);
  const isCuda = typeof provider === 'object' && provider.name === 'cuda';
  if (!isCuda || !path.includes('decoder')) return session;
  const { run } = session;
  /** @param {Parameters<typeof session.run>} given */
  const runOrCrash = (...given) => {
    if (existsSync(join(homedir(), 'crash'))) kill(pid, 'SIGSEGV');
    return Reflect.apply(run, session, given);
  };
  return Object.assign(session, { run: runOrCrash });
}

/**
 * The two graphs as one session.
 *
 * @param {import('onnxruntime-node').InferenceSession} encoder
 * @param {import('onnxruntime-node').InferenceSession} entropy
 */
function tokenizerOf(encoder, entropy) {
  return {
    inputNames: encoder.inputNames,
    outputNames: ['global_codes', 'patch_codes', ...entropy.outputNames],
    inputMetadata: encoder.inputMetadata,
    outputMetadata: [...encoder.outputMetadata, ...entropy.outputMetadata],
    /** @param {import('onnxruntime-node').InferenceSession.FeedsType} feeds */
    run: async (feeds) => {
      const codes = await encoder.run(feeds, ['global_codes', 'patch_codes']);
      const dims = codes['patch_codes']?.dims ?? [];
      const visible = new Tensor('bool', new Uint8Array(dims.reduce((a, b) => a * b, 1)), dims);
      return { ...codes, ...(await entropy.run({ ...codes, visible })) };
    },
    release: async () => {
      await encoder.release();
      await entropy.release();
    },
  };
}

Object.assign(InferenceSession, { create: createOnAny });
