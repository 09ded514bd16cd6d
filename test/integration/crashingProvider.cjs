// Preloaded into the inference process: stands for a CUDA provider that opens every graph and crashes when it runs a decoder.
const { kill, pid } = require('node:process');
const { InferenceSession } = require('onnxruntime-node');

const create = InferenceSession.create.bind(InferenceSession);

/** @param {string} path @param {import('onnxruntime-node').InferenceSession.SessionOptions} options */
async function createOnAny(path, { executionProviders: [provider] = [], ...options }) {
  // Graphs for CUDA alone hold operators that the CPU lacks.
  const session = await create(path.replace('.cuda.onnx', '.onnx'), { ...options, executionProviders: ['cpu'] });
  const isCuda = typeof provider === 'object' && provider.name === 'cuda';
  if (isCuda && path.includes('decoder')) session.run = crash;
  return session;
}

/** @returns {Promise<never>} */
function crash() {
  kill(pid, 'SIGSEGV');
  return new Promise(() => undefined);
}

Object.assign(InferenceSession, { create: createOnAny });
