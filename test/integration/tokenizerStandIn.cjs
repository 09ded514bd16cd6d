// Stands for the graph that tokenizes in one, on providers that cannot run such graphs or for bundles that have none.
const { Tensor } = require('onnxruntime-node');

/**
 * Encoder and entropy model as one session.
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

module.exports = { tokenizerOf };
