// Runs in the inference process before it: stands for a CUDA provider that opens every graph, and whose outputs named by the environment
// variable NAN_OUTPUT end in NaN.
const { env } = require('node:process');
const { InferenceSession } = require('onnxruntime-node');

const create = InferenceSession.create.bind(InferenceSession);

/** @param {Uint8Array} bytes @param {import('onnxruntime-node').InferenceSession.SessionOptions} options */
async function createOnAny(bytes, { executionProviders: [provider] = [], ...options }) {
  const session = await create(bytes, { ...options, executionProviders: ['cpu'] });
  if (typeof provider !== 'object' || provider.name !== 'cuda') return session;
  const { run } = session;
  /** @param {Parameters<typeof session.run>} given */
  const runWithNaN = async (...given) => {
    const outputs = await Reflect.apply(run, session, given);
    const data = outputs[env['NAN_OUTPUT'] ?? '']?.data;
    if (data instanceof Float32Array) data[data.length - 1] = NaN;
    return outputs;
  };
  return Object.assign(session, { run: runWithNaN });
}

Object.assign(InferenceSession, { create: createOnAny });
