import { Tensor, type InferenceSession } from 'onnxruntime-node';
import { describe, expect, it, vi } from 'vitest';
import { Graphs, type GraphName, type Sessions } from '../../../src/engine/graphs';
import { refusalOf } from '../refusal';
import type { ModelDescription } from '../../../src/method/types';
import { lacking, tinyModel } from '../model';

type Shapes = Record<string, [type: Tensor.Type, ...shape: (number | string)[]]>;

const codes: Shapes = { global_codes: ['int32', 'batch', 2], patch_codes: ['int32', 'batch', 6] };
const estimate: Shapes = {
  entropy: ['float32', 'batch', 6],
  surprisal: ['float32', 'batch', 6],
  expected_code: ['float32', 'batch', 6, 2],
};
const promised: Record<GraphName, { inputs: Shapes; outputs: Shapes }> = {
  encoder: {
    inputs: { image: ['uint8', 'batch', 32, 48, 3] },
    outputs: { ...codes, global_attention: ['float32', 'batch', 2, 2, 2, 6] },
  },
  entropy: { inputs: { ...codes, visible: ['bool', 'batch', 6] }, outputs: estimate },
  decoder: {
    inputs: { ...codes, expected_code: ['float32', 'batch', 6, 2], keep: ['bool', 'batch', 6] },
    outputs: { image: ['uint8', 'batch', 32, 48, 3] },
  },
  tokenizer: { inputs: { image: ['uint8', 'batch', 32, 48, 3] }, outputs: { ...codes, ...estimate } },
};

const metadata = (shapes: Shapes): InferenceSession.ValueMetadata[] =>
  Object.entries(shapes).map(([name, [type, ...shape]]) => ({ name, isTensor: true, type, shape }));

/** Sessions that promise these values and answer `run` with `outputs`. */
function sessions(
  changes: Partial<typeof promised> = {},
  outputs: Record<string, Tensor> = {},
): Required<Pick<Sessions, 'encoder' | 'entropy' | 'decoder'>> & { readonly tokenizer?: InferenceSession } {
  const session = (graph: GraphName): InferenceSession => {
    const { inputs, outputs: results } = { ...promised, ...changes }[graph];
    return {
      inputNames: Object.keys(inputs),
      outputNames: Object.keys(results),
      inputMetadata: metadata(inputs),
      outputMetadata: metadata(results),
      run: () => Promise.resolve(outputs),
      release: () => Promise.resolve(),
      startProfiling: () => undefined,
      endProfiling: () => undefined,
    };
  };
  return {
    encoder: session('encoder'),
    entropy: session('entropy'),
    decoder: session('decoder'),
    ...(changes.tokenizer !== undefined && { tokenizer: session('tokenizer') }),
  };
}

const { encoder, entropy, decoder, tokenizer } = promised;

describe('Graphs', () => {
  it('accepts graphs that match the manifest, also where a dimension is only named', () => {
    expect(() => new Graphs(sessions(), tinyModel, 'cpu')).not.toThrow();
    const named = { ...encoder, inputs: { image: ['uint8', 'b', 'height', 'width', 3] } satisfies Shapes };
    expect(() => new Graphs(sessions({ encoder: named }), tinyModel, 'cpu')).not.toThrow();
  });

  const mismatches: [string, Partial<typeof promised>, string][] = [
    [
      'another input size',
      { encoder: { ...encoder, inputs: { image: ['uint8', 'batch', 64, 64, 3] } } },
      'The encoder graph does not match the model’s manifest: its input image is uint8[batch, 64, 64, 3] instead of uint8[batch, 32, 48, 3].',
    ],
    [
      'another type',
      { decoder: { ...decoder, inputs: { ...decoder.inputs, keep: ['float32', 'batch', 6] } } },
      'its input keep is float32[batch, 6] instead of bool[batch, 6]',
    ],
    [
      'an input too many',
      { entropy: { ...entropy, inputs: { ...entropy.inputs, noise: ['float32', 1] } } },
      'unknown input noise',
    ],
    [
      'an output too few',
      { encoder: { ...encoder, outputs: codes } },
      'it has no output global_attention, float32[batch, 2, 2, 2, 6]',
    ],
    [
      'a tokenizer without estimates',
      { tokenizer: { ...tokenizer, outputs: codes } },
      'The tokenizer graph does not match the model’s manifest: it has no output entropy, float32[batch, 6]',
    ],
    [
      'another rank',
      { decoder: { ...decoder, outputs: { image: ['uint8', 32, 48, 3] } } },
      'its output image is uint8[32, 48, 3]',
    ],
  ];

  it.each(mismatches)('refuses %s in one sentence', async (_name, changes, reason) => {
    const { code, message } = await refusalOf(() => new Graphs(sessions(changes), tinyModel, 'cpu'));
    expect(code).toBe('model-incompatible');
    expect(message).toContain(reason);
  });

  it('wants neither inputs nor outputs of tokens that the model does not have', async () => {
    const globalCodes: Shapes = { global_codes: ['int32', 'batch', 2] };
    const patchCodes: Shapes = { patch_codes: ['int32', 'batch', 6] };
    const attentionOutput: Shapes = { global_attention: ['float32', 'batch', 2, 2, 2, 6] };
    const without = (model: ModelDescription, kinds: Shapes, attention: Shapes) => {
      const { encoder: own, decoder: back } = sessions({
        encoder: { ...encoder, outputs: { ...kinds, ...attention } },
        decoder: { inputs: kinds, outputs: decoder.outputs },
      });
      return new Graphs({ encoder: own, decoder: back }, model, 'cpu');
    };
    expect(() => without(lacking.fixedPatches, patchCodes, {})).not.toThrow();
    expect(() => without(lacking.fixedGlobals, globalCodes, attentionOutput)).not.toThrow();
    const { message } = await refusalOf(() => without(lacking.fixedGlobals, codes, attentionOutput));
    expect(message).toContain('unknown input patch_codes');
    await expect(without(lacking.fixedPatches, patchCodes, {}).attend(new Uint8Array())).rejects.toMatchObject({
      code: 'bad-settings',
      message: expect.stringContaining('no global tokens, 6 patch tokens') as string,
    });
  });

  it('copies codes out of a batch', async () => {
    const data = Int32Array.of(1, 2);
    const outputs = {
      global_codes: new Tensor('int32', data, [1, 2]),
      patch_codes: new Tensor('int32', new Int32Array(6), [1, 6]),
    };
    const [only] = await new Graphs(sessions({}, outputs), tinyModel, 'cpu').encodeAll([new Uint8Array(32 * 48 * 3)]);
    data.fill(0);
    expect([...(only?.globalCodes ?? [])]).toEqual([1, 2]);
  });

  it('tokenizes in one graph where there is one, and then in no other', async () => {
    const outputs = {
      global_codes: new Tensor('int32', Int32Array.of(1, 2, 3, 4), [2, 2]),
      patch_codes: new Tensor('int32', new Int32Array(12).fill(5), [2, 6]),
      entropy: new Tensor('float32', new Float32Array(12).fill(0.5), [2, 6]),
      surprisal: new Tensor('float32', new Float32Array(12).fill(0.25), [2, 6]),
      expected_code: new Tensor('float32', new Float32Array(24).fill(-1), [2, 6, 2]),
    };
    const given = sessions({ tokenizer }, outputs);
    const others = [given.encoder, given.entropy].map((session) => vi.spyOn(session, 'run'));
    const graphs = new Graphs(given, tinyModel, 'cpu');
    expect(graphs.tokenizesAtOnce).toBe(true);
    const image = new Uint8Array(32 * 48 * 3);
    const [, second] = await graphs.tokenizeAll([image, image]);
    expect(second).toEqual({
      globalCodes: Int32Array.of(3, 4),
      patchCodes: new Int32Array(6).fill(5),
      otherCodes: [],
      entropyBits: new Float32Array(6).fill(0.5),
      surprisalBits: new Float32Array(6).fill(0.25),
      expectedCodes: new Float32Array(12).fill(-1),
    });
    for (const run of others) expect(run).not.toHaveBeenCalled();
  });

  it.each([-1, 6])('refuses %i as a code of a codebook of 6', async (code) => {
    const outputs = {
      global_codes: new Tensor('int32', Int32Array.of(0, 5), [1, 2]),
      patch_codes: new Tensor('int32', Int32Array.of(0, 5, 0, code, 0, 0), [1, 6]),
    };
    const graphs = new Graphs(sessions({}, outputs), tinyModel, 'cpu');
    const error = await refusalOf(() => graphs.encodeAll([new Uint8Array(32 * 48 * 3)]));
    expect(error.code).toBe('inference-failed');
    expect(error.message).toBe(
      `The encoder graph gave ${code}, which is no code of its codebook of 6, as patch_codes on the provider cpu.`,
    );
  });

  it('opens the encoder by itself when it is wanted, where one graph does its work', async () => {
    const outputs = {
      global_codes: new Tensor('int32', Int32Array.of(1, 2), [1, 2]),
      patch_codes: new Tensor('int32', new Int32Array(6).fill(5), [1, 6]),
    };
    const { encoder: own, ...others } = sessions({ tokenizer }, outputs);
    const openEncoder = vi.fn(() => Promise.resolve(own));
    const graphs = new Graphs({ ...others, openEncoder, openAttentive: () => Promise.resolve(own) }, tinyModel, 'cpu');
    expect(openEncoder).not.toHaveBeenCalled();
    const codesOf = async () => (await graphs.encodeAll([new Uint8Array(32 * 48 * 3)]))[0];
    expect(await codesOf()).toEqual({
      globalCodes: Int32Array.of(1, 2),
      patchCodes: new Int32Array(6).fill(5),
      otherCodes: [],
    });
    await codesOf();
    expect(openEncoder).toHaveBeenCalledOnce();
  });

  it('opens the encoder that returns attention once, when attention is first wanted, and releases it', async () => {
    const maps = new Float32Array(2 * 2 * 2 * 6).fill(0.5);
    const attentive = sessions({}, { global_attention: new Tensor('float32', maps, [1, 2, 2, 2, 6]) }).encoder;
    const openAttentive = vi.fn(() => Promise.resolve(attentive));
    const release = vi.spyOn(attentive, 'release');
    const lacking = sessions({ encoder: { ...encoder, outputs: codes } });
    const graphs = new Graphs({ ...lacking, openAttentive }, tinyModel, 'cpu');
    expect(openAttentive).not.toHaveBeenCalled();
    expect(await graphs.attend(new Uint8Array(32 * 48 * 3))).toEqual(maps);
    await graphs.attend(new Uint8Array(32 * 48 * 3));
    expect(openAttentive).toHaveBeenCalledOnce();
    await graphs.release();
    expect(release).toHaveBeenCalledOnce();
  });

  it('says that attention failed, and tries again, when its encoder cannot be opened', async () => {
    const openAttentive = vi.fn(() => Promise.reject(new Error('out of memory')));
    const graphs = new Graphs({ ...sessions(), openAttentive }, tinyModel, 'cpu');
    for (let attempt = 1; attempt <= 2; attempt++) {
      await expect(graphs.attend(new Uint8Array(32 * 48 * 3))).rejects.toMatchObject({
        code: 'inference-failed',
        message: 'The encoder graph could not be run: out of memory.',
      });
      expect(openAttentive).toHaveBeenCalledTimes(attempt);
    }
    await graphs.release();
  });

  it('says which graph could not run', async () => {
    const failing = sessions();
    failing.entropy.run = () => Promise.reject(new Error('out of memory\nat somewhere'));
    const graphs = new Graphs(failing, tinyModel, 'cpu');
    const estimate = graphs.estimateEntropy(
      { globalCodes: new Int32Array(2), patchCodes: new Int32Array(6), otherCodes: [] },
      new Uint8Array(6),
    );
    await expect(estimate).rejects.toMatchObject({
      code: 'inference-failed',
      message: 'The entropy graph could not be run: out of memory.',
    });
  });
});
