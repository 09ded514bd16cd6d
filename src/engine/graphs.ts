/**
 * The ONNX graphs of a bundle as typed functions. Images cross as bytes, codes as int32. Graphs neither take nor give what is of
 * tokens that the model does not have; here such arrays are empty.
 */
import { Tensor, type InferenceSession } from 'onnxruntime-node';
import { isDeepStrictEqual } from 'node:util';
import { TatokError } from '../method/errors';
import { LazySession } from './lazySession';
import { describeParts } from '../method/parts';
import { sentence } from './providers';
import { Scratch } from './scratch';
import type { GraphSession } from './thread/graphSession';
import type { ModelDescription, ProviderName, Tokens } from '../method/types';

export const graphNames = ['encoder', 'entropy', 'decoder', 'tokenizer'] as const;
export type GraphName = (typeof graphNames)[number];

export interface Sessions {
  /** Absent where `openEncoder` stands for it. */
  readonly encoder?: GraphSession;
  /** Opens the encoder where `tokenizer` does its work. */
  readonly openEncoder?: () => Promise<GraphSession>;
  /** Absent where no token can be dropped. */
  readonly entropy?: GraphSession;
  readonly decoder: GraphSession;
  /** Encoder, and then the entropy model with no patch visible, in one; graphs for one provider may have it. */
  readonly tokenizer?: GraphSession;
  /** Opens an encoder that also returns attention, where the other does not: graphs for one provider leave it out. */
  readonly openAttentive?: () => Promise<GraphSession>;
  /** Opens a decoder that runs beside the other graphs, in another thread. Single images do not wait for the way there and back. */
  readonly openBatchDecoder?: () => Promise<GraphSession>;
}

/** K global and N patch codes. */
export type Codes = Pick<Tokens, 'globalCodes' | 'patchCodes'>;

/** The entropy model's estimates for the patches given G and Z_S; 0 bits for visible ones. */
export type EntropyEstimate = Pick<Tokens, 'entropyBits' | 'surprisalBits' | 'expectedCodes'>;

/** One image for the entropy model: its codes, and 1 for every patch that is visible (N values). */
export interface EntropyInput {
  readonly codes: Codes;
  readonly visible: Uint8Array;
}

/**
 * One image for the decoder: its codes, what stands in for dropped ones (N×D), and 1 for every kept patch (N values). Both are
 * not used where no token can be dropped.
 */
export interface DecoderInput {
  readonly codes: Codes;
  readonly expectedCodes: Float32Array;
  readonly keep: Uint8Array;
}

/** Estimates of a model without an entropy graph. */
export const nothingEstimated: EntropyEstimate = {
  entropyBits: new Float32Array(),
  surprisalBits: new Float32Array(),
  expectedCodes: new Float32Array(),
};

export class Graphs {
  private readonly patches: number;
  private readonly codeDimensions: number;
  private readonly imageMemory = new Scratch();
  private readonly encoder: LazySession | undefined;
  private readonly attentive: LazySession | undefined;
  private readonly batchDecoder: LazySession | undefined;

  /**
   * @param provider that the sessions run on, for messages.
   * @throws TatokError model-incompatible when a graph's inputs or outputs are not what the manifest promises.
   */
  constructor(
    private readonly sessions: Sessions,
    private readonly model: ModelDescription,
    private readonly provider: ProviderName,
  ) {
    this.patches = model.patchTokens;
    this.codeDimensions = model.levels.length;
    const promised = signatures(model);
    for (const graph of graphNames) {
      const session = sessions[graph];
      if (session !== undefined) checkGraph(graph, session, promised[graph]);
    }
    const { encoder, openEncoder, openAttentive, openBatchDecoder } = sessions;
    if (openAttentive === undefined && encoder !== undefined) checkGraph('encoder', encoder, promised.attentive);
    const lazily = (open: (() => Promise<GraphSession>) | undefined, graph: GraphName, signature: Signature) =>
      open && new LazySession(open, (session) => checkGraph(graph, session, signature));
    this.encoder = lazily(openEncoder, 'encoder', promised.encoder);
    this.attentive = lazily(openAttentive, 'encoder', promised.attentive);
    this.batchDecoder = lazily(openBatchDecoder, 'decoder', promised.decoder);
  }

  /** Codes of several images in one run of the graph. @param batch size·size·3 sRGB bytes each. */
  async encodeAll(batch: readonly Uint8Array[]): Promise<Codes[]> {
    const names = Object.keys(signatures(this.model).encoder.outputs);
    return codesIn(await this.runOnImages('encoder', batch, names, this.encoder?.get()), names, batch.length);
  }

  /** True if {@link tokenizeAll} is one graph rather than two. */
  get tokenizesAtOnce(): boolean {
    return this.sessions.tokenizer !== undefined;
  }

  /** {@link encodeAll}, and the entropy model's estimates given G alone. */
  async tokenizeAll(batch: readonly Uint8Array[]): Promise<(Codes & EntropyEstimate)[]> {
    if (!this.tokenizesAtOnce) {
      const codes = await this.encodeAll(batch);
      const visible = new Uint8Array(this.patches);
      const estimates = await this.estimateEntropies(codes.map((each) => ({ codes: each, visible })));
      return codes.map((each, i) => ({ ...each, ...at(estimates, i) }));
    }
    const names = Object.keys(signatures(this.model).tokenizer.outputs);
    const output = await this.runOnImages('tokenizer', batch, names);
    const estimates = estimatesIn(output, batch.length);
    return codesIn(output, names, batch.length).map((codes, i) => ({ ...codes, ...at(estimates, i) }));
  }

  /**
   * Softmax rows of the global queries over the patches, [L, H, K, N], flat.
   *
   * @throws TatokError bad-settings for a model without global tokens.
   */
  async attend(rgb: Uint8Array): Promise<Float32Array> {
    if (this.model.globalTokens === 0) {
      throw new TatokError('bad-settings', `Attention is that of global tokens: ${describeParts(this.model)}.`);
    }
    const output = await this.run(
      'encoder',
      { image: this.imageTensor(rgb, 1) },
      ['global_attention'],
      this.attentive?.get(),
    );
    return float32(output, 'global_attention').slice();
  }

  /** ĥ, surprisal and E_q[z] given G and the patches marked 1 in `visible` (N values). */
  async estimateEntropy(codes: Codes, visible: Uint8Array): Promise<EntropyEstimate> {
    return first(await this.estimateEntropies([{ codes, visible }]));
  }

  /** {@link estimateEntropy} of several images in one run of the graph. */
  async estimateEntropies(batch: readonly EntropyInput[]): Promise<EntropyEstimate[]> {
    if (!this.model.filters) return batch.map(() => nothingEstimated);
    const feeds = {
      ...this.codeTensors(batch.map(({ codes }) => codes)),
      visible: this.maskTensor(batch.map(({ visible }) => visible)),
    };
    return estimatesIn(await this.run('entropy', feeds, estimateNames), batch.length);
  }

  /** Pixels from G and the patches marked 1 in `keep` (N values); the others become their expected codes (N×D). */
  async decode(codes: Codes, expectedCodes: Float32Array, keep: Uint8Array): Promise<Uint8Array> {
    return first(await this.decodeAll([{ codes, expectedCodes, keep }]));
  }

  /** True if {@link decodeAll} of several images leaves this thread to others while it runs. */
  get decodesBatchesAside(): boolean {
    return this.batchDecoder !== undefined;
  }

  /** {@link decode} of several images in one run of the graph; they lie in one piece of memory. */
  async decodeAll(batch: readonly DecoderInput[]): Promise<Uint8Array[]> {
    const expected = concatenated(
      Float32Array,
      batch.map(({ expectedCodes }) => expectedCodes),
    );
    const feeds = {
      ...this.codeTensors(batch.map(({ codes }) => codes)),
      ...(this.model.filters && {
        expected_code: new Tensor('float32', expected, [batch.length, this.patches, this.codeDimensions]),
        keep: this.maskTensor(batch.map(({ keep }) => keep)),
      }),
    };
    const decoder = batch.length > 1 ? this.batchDecoder?.get() : undefined;
    const { data } = found(await this.run('decoder', feeds, ['image'], decoder), 'image');
    if (!(data instanceof Uint8Array)) throw wrongType('image');
    // onnxruntime-node copies outputs into memory of their own, also those that it was given memory for.
    const length = data.length / batch.length;
    return batch.map((_, i) => data.subarray(i * length, (i + 1) * length));
  }

  async release(): Promise<void> {
    const lazy = [this.encoder, this.attentive, this.batchDecoder];
    const sessions = [...graphNames.map((graph) => this.sessions[graph]), ...lazy];
    await Promise.all(sessions.flatMap((session) => session?.release() ?? []));
  }

  private async run(
    graph: GraphName,
    feeds: Record<string, Tensor>,
    fetches: readonly string[],
    session: GraphSession | Promise<GraphSession> | undefined = this.sessions[graph],
  ): Promise<Outputs> {
    if (session === undefined) throw new RangeError(`the model has no ${graph} graph`);
    try {
      const outputs = await (await session).run(feeds, fetches);
      this.requireNumbers(graph, outputs, Object.values(feeds)[0]?.dims[0] ?? 0);
      return outputs;
    } catch (error) {
      if (error instanceof TatokError) throw error;
      throw new TatokError('inference-failed', `The ${graph} graph could not be run: ${sentence(error)}`, undefined, {
        cause: error,
      });
    }
  }

  /**
   * Checks what only a run can tell. Nothing after the graphs asks: a single NaN among the entropies would leave every patch unranked.
   *
   * @param count images that went through the graph.
   * @throws TatokError model-incompatible for an output of another shape; inference-failed for numbers that are none and codes that
   *   are not in the codebook, which another provider may do better.
   */
  private requireNumbers(graph: GraphName, outputs: Outputs, count: number): void {
    const promised = signatures(this.model);
    const values = { ...promised[graph].outputs, ...(graph === 'encoder' && promised.attentive.outputs) };
    for (const [name, { type, shape }] of Object.entries(values)) {
      const tensor = outputs[name];
      if (!(tensor instanceof Tensor)) continue;
      const wanted = [count, ...shape];
      if (!isDeepStrictEqual([...tensor.dims], wanted)) {
        const [gave, instead] = [describe(tensor.type, tensor.dims), describe(type, wanted)];
        throw mismatch(graph, `it gave ${name} as ${gave} instead of ${instead}`);
      }
      const what = wrongNumber(tensor.data, this.model.codebookSize);
      if (what === undefined) continue;
      throw new TatokError(
        'inference-failed',
        `The ${graph} graph gave ${what} as ${name} on the provider ${this.provider}.`,
        'If no other execution provider does better, the model is at fault: export it again.',
      );
    }
  }

  /** Several images are put together in memory that is lent. */
  private runOnImages(
    graph: GraphName,
    batch: readonly Uint8Array[],
    names: readonly string[],
    session?: Promise<GraphSession>,
  ): Promise<Outputs> {
    const run = (bytes: Uint8Array) =>
      this.run(graph, { image: this.imageTensor(bytes, batch.length) }, names, session);
    return batch.length === 1
      ? run(first(batch))
      : this.imageMemory.lend(lengthOf(batch), (memory) => run(writeAll<Uint8Array>(memory, batch)));
  }

  private imageTensor(bytes: Uint8Array, count: number): Tensor {
    const { imageSize } = this.model;
    return new Tensor('uint8', bytes, [count, imageSize, imageSize, 3]);
  }

  private codeTensors(batch: readonly Codes[]): Record<string, Tensor> {
    const tensor = (codes: readonly Int32Array[], tokens: number) =>
      new Tensor('int32', concatenated(Int32Array, codes), [batch.length, tokens]);
    const { globalTokens, patchTokens } = this.model;
    return {
      ...(globalTokens > 0 && {
        global_codes: tensor(
          batch.map(({ globalCodes }) => globalCodes),
          globalTokens,
        ),
      }),
      ...(patchTokens > 0 && {
        patch_codes: tensor(
          batch.map(({ patchCodes }) => patchCodes),
          patchTokens,
        ),
      }),
    };
  }

  private maskTensor(batch: readonly Uint8Array[]): Tensor {
    return new Tensor('bool', concatenated(Uint8Array, batch), [batch.length, this.patches]);
  }
}

/** What is no number, or no code of a codebook of `codes`; undefined where all are. */
function wrongNumber(data: Tensor['data'], codes: number): string | undefined {
  if (data instanceof Int32Array) {
    const code = data.find((value) => value < 0 || value >= codes);
    return code === undefined ? undefined : `${code}, which is no code of its codebook of ${codes},`;
  }
  if (!(data instanceof Float32Array)) return undefined;
  const number = data.find((value) => !Number.isFinite(value));
  if (number === undefined) return undefined;
  return Number.isNaN(number) ? 'NaN' : 'an infinite number';
}

type NumberArray = Uint8Array | Int32Array | Float32Array;

/** The arrays one after another; a single one is not copied. */
function concatenated<T extends NumberArray>(type: new (length: number) => T, arrays: readonly T[]): T {
  const [only] = arrays;
  if (only !== undefined && arrays.length === 1) return only;
  return writeAll(new type(lengthOf(arrays)), arrays);
}

function writeAll<T extends NumberArray>(into: T, arrays: readonly T[]): T {
  let offset = 0;
  for (const array of arrays) {
    into.set(array, offset);
    offset += array.length;
  }
  return into;
}

function lengthOf(arrays: readonly NumberArray[]): number {
  return arrays.reduce((length, array) => length + array.length, 0);
}

/** A copy of every item of a batch, so that one that is kept does not keep the others. */
function rows<T extends NumberArray>(batch: T, count: number): T[] {
  const length = batch.length / count;
  return Array.from({ length: count }, (_, i) => batch.slice(i * length, (i + 1) * length) as T);
}

function first<T>(batch: readonly T[]): T {
  return at(batch, 0);
}

function at<T>(batch: readonly T[] | undefined, index: number): T {
  const item = batch?.[index];
  if (item === undefined) throw new RangeError(`item ${index} outside a batch of ${batch?.length ?? 0}`);
  return item;
}

type Outputs = InferenceSession.OnnxValueMapType;

function found(outputs: Outputs, name: string): Tensor {
  const tensor = outputs[name];
  if (tensor instanceof Tensor) return tensor;
  throw wrongType(name);
}

function int32(outputs: Outputs, name: string): Int32Array {
  const { data } = found(outputs, name);
  if (data instanceof Int32Array) return data;
  throw wrongType(name);
}

function float32(outputs: Outputs, name: string): Float32Array {
  const { data } = found(outputs, name);
  if (data instanceof Float32Array) return data;
  throw wrongType(name);
}

const estimateNames = ['entropy', 'surprisal', 'expected_code'] as const;

/** @param names of the outputs that the graph has. */
function codesIn(output: Outputs, names: readonly string[], count: number): Codes[] {
  const [globals, patches] = ['global_codes', 'patch_codes'].map((name) =>
    rows(names.includes(name) ? int32(output, name) : new Int32Array(), count),
  );
  return Array.from({ length: count }, (_, i) => ({ globalCodes: at(globals, i), patchCodes: at(patches, i) }));
}

function estimatesIn(output: Outputs, count: number): EntropyEstimate[] {
  const [entropy, surprisal, expected] = estimateNames.map((name) => rows(float32(output, name), count));
  return Array.from({ length: count }, (_, i) => ({
    entropyBits: at(entropy, i),
    surprisalBits: at(surprisal, i),
    expectedCodes: at(expected, i),
  }));
}

function wrongType(name: string): TatokError {
  return new TatokError('model-incompatible', `The model’s output ${name} is missing or of another type.`);
}

interface Value {
  readonly type: string;
  /** Without the batch dimension, which comes first. */
  readonly shape: readonly number[];
}

interface Signature {
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
}

/** Outputs that the bundle contract demands of every graph, and of the one that returns attention. */
function signatures(model: ModelDescription): Record<GraphName | 'attentive', Signature> {
  const { imageSize, grid, globalTokens, patchTokens, filters } = model;
  const image = { type: 'uint8', shape: [imageSize, imageSize, 3] };
  const codes = {
    ...(globalTokens > 0 && { global_codes: { type: 'int32', shape: [globalTokens] } }),
    ...(patchTokens > 0 && { patch_codes: { type: 'int32', shape: [patchTokens] } }),
  };
  const mask = { type: 'bool', shape: [patchTokens] };
  const bits = { type: 'float32', shape: [patchTokens] };
  const expected = { type: 'float32', shape: [patchTokens, model.levels.length] };
  const estimate = { entropy: bits, surprisal: bits, expected_code: expected };
  const attention = [model.attentionLayers, model.attentionHeads, globalTokens, grid.rows * grid.columns];
  return {
    encoder: { inputs: { image }, outputs: codes },
    attentive: {
      inputs: { image },
      outputs: { ...(globalTokens > 0 && { global_attention: { type: 'float32', shape: attention } }) },
    },
    entropy: { inputs: { ...codes, visible: mask }, outputs: estimate },
    decoder: {
      inputs: { ...codes, ...(filters && { expected_code: expected, keep: mask }) },
      outputs: { image },
    },
    tokenizer: { inputs: { image }, outputs: { ...codes, ...estimate } },
  };
}

function checkGraph(graph: GraphName, session: GraphSession, signature: Signature): void {
  for (const [kind, metadata, expected] of [
    ['input', session.inputMetadata, signature.inputs],
    ['output', session.outputMetadata, signature.outputs],
  ] as const) {
    const byName = new Map(metadata.map((value) => [value.name, value]));
    for (const [name, value] of Object.entries(expected)) {
      const actual = byName.get(name);
      const wanted = describe(value.type, ['batch', ...value.shape]);
      if (actual === undefined) throw mismatch(graph, `it has no ${kind} ${name}, ${wanted}`);
      if (!actual.isTensor) throw mismatch(graph, `its ${kind} ${name} is no tensor`);
      // Named dimensions are dynamic; what they are is known when the graph runs.
      const fits =
        actual.type === value.type &&
        actual.shape.length === value.shape.length + 1 &&
        value.shape.every((size, d) => typeof actual.shape[d + 1] === 'string' || actual.shape[d + 1] === size);
      if (!fits)
        throw mismatch(graph, `its ${kind} ${name} is ${describe(actual.type, actual.shape)} instead of ${wanted}`);
      byName.delete(name);
    }
    const [extra] = byName.keys();
    if (kind === 'input' && extra !== undefined) throw mismatch(graph, `it wants an unknown input ${extra}`);
  }
}

function mismatch(graph: GraphName, reason: string): TatokError {
  return new TatokError(
    'model-incompatible',
    `The ${graph} graph does not match the model’s manifest: ${reason}.`,
    'Export the model again to the bundle contract.',
  );
}

function describe(type: string, shape: readonly (number | string)[]): string {
  return `${type}[${shape.join(', ')}]`;
}
