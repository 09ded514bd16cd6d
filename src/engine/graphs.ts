/**
 * The ONNX graphs of a bundle as typed functions. Images cross as bytes, codes as integers of either size, continuous latents as float32.
 * Graphs neither take nor give what is of tokens that the model does not have; here such arrays are empty.
 */
import { Tensor, type InferenceSession } from 'onnxruntime-node';
import { isDeepStrictEqual } from 'node:util';
import { TatokError } from '../method/errors';
import { LazySession } from './lazySession';
import { codebookSize, codeWidth, isWide } from '../method/codebook';
import { describeParts, hasPart } from '../method/parts';
import { depthOf, mainStream, prefixMasks, streamOf, tokensOf } from '../method/streams';
import { sentence } from './providers';
import { Scratch } from './scratch';
import type { GraphSession } from './thread/graphSession';
import type { Code, Codebook, CodeArray, ModelDescription, ProviderName, Stream, Tokens } from '../method/types';

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

/** Codes of all streams. */
export type Codes = Pick<Tokens, 'globalCodes' | 'patchCodes' | 'otherCodes'>;

/** The entropy model's estimates for the patches, or a sequence's tokens, given the others and Z_S; 0 bits for visible ones. */
export type EntropyEstimate = Pick<Tokens, 'entropyBits' | 'surprisalBits' | 'expectedCodes'>;

/** One image for the entropy model: its codes, and 1 for every token that is visible (N values). */
export interface EntropyInput {
  readonly codes: Codes;
  readonly visible: Uint8Array;
}

/**
 * One image for the decoder: its codes, what stands in for dropped ones (N×D), and 1 for every kept token (N values). Both are
 * not used where no token can be dropped.
 */
export interface DecoderInput {
  readonly codes: Codes;
  readonly expectedCodes: Float32Array;
  readonly keep: Uint8Array;
  /** Leading steps that are kept, of the model's; absent: all. */
  readonly length?: number;
}

/** Estimates of a model without an entropy graph. */
export const nothingEstimated: EntropyEstimate = {
  entropyBits: new Float32Array(),
  surprisalBits: new Float32Array(),
  expectedCodes: new Float32Array(),
};

/** N: the tokens of a model image that an entropy model estimates; of a patch its residual codes count as one. */
export function estimatedTokens(model: ModelDescription): number {
  const stream = mainStream(model);
  return tokensOf(stream) / depthOf(stream);
}

/** D: the numbers that stand in for one of them. */
export function expectedWidth(model: ModelDescription): number {
  return depthOf(mainStream(model)) * model.expectedDimensions;
}

/** Zeros for codes of a stream. @param tokens those of a model image unless given. */
export function newCodes(stream: Stream, tokens = tokensOf(stream)): CodeArray {
  const length = tokens * codeWidth(stream.codebook);
  if (stream.codebook.kind === 'continuous') return new Float32Array(length);
  return isWide(stream.codebook) ? new BigInt64Array(length) : new Int32Array(length);
}

export class Graphs {
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

  /** Codes of several images in one run of the graph. @param batch width·height·3 sRGB bytes each. */
  async encodeAll(batch: readonly Uint8Array[]): Promise<Codes[]> {
    const names = Object.keys(signatures(this.model).encoder.outputs);
    const output = await this.runOnImages('encoder', batch, names, this.encoder?.get());
    return this.codesIn(output, batch.length);
  }

  /** True if {@link tokenizeAll} is one graph rather than two. */
  get tokenizesAtOnce(): boolean {
    return this.sessions.tokenizer !== undefined;
  }

  /** {@link encodeAll}, and the entropy model's estimates given G alone. */
  async tokenizeAll(batch: readonly Uint8Array[]): Promise<(Codes & EntropyEstimate)[]> {
    if (!this.tokenizesAtOnce) {
      const codes = await this.encodeAll(batch);
      const visible = new Uint8Array(estimatedTokens(this.model));
      const estimates = await this.estimateEntropies(codes.map((each) => ({ codes: each, visible })));
      return codes.map((each, i) => ({ ...each, ...at(estimates, i) }));
    }
    const names = Object.keys(signatures(this.model).tokenizer.outputs);
    const output = await this.runOnImages('tokenizer', batch, names);
    const estimates = this.estimatesIn(output, batch.length);
    return this.codesIn(output, batch.length).map((codes, i) => ({ ...codes, ...at(estimates, i) }));
  }

  /**
   * Softmax rows of the global queries over the patches, [L, H, K, N], flat.
   *
   * @throws TatokError bad-settings for a model without global tokens, or an encoder that gives no attention.
   */
  async attend(rgb: Uint8Array): Promise<Float32Array> {
    if (!hasPart(this.model, 'attention')) {
      const reason = this.model.globalTokens === 0 ? '' : ', and its encoder gives none';
      throw new TatokError(
        'bad-settings',
        `Attention is that of global tokens: ${describeParts(this.model)}${reason}.`,
      );
    }
    const names = Object.keys(signatures(this.model).attentive.outputs);
    const output = await this.run('encoder', () => ({ image: this.imageTensor(rgb, 1) }), names, this.attentive?.get());
    return float32(output, first(names)).slice();
  }

  /** ĥ, surprisal and E_q[z] given the other tokens and those marked 1 in `visible` (N values). */
  async estimateEntropy(codes: Codes, visible: Uint8Array): Promise<EntropyEstimate> {
    return first(await this.estimateEntropies([{ codes, visible }]));
  }

  /** {@link estimateEntropy} of several images in one run of the graph. */
  async estimateEntropies(batch: readonly EntropyInput[]): Promise<EntropyEstimate[]> {
    if (!this.model.filters) return batch.map(() => nothingEstimated);
    const feeds = (session: GraphSession) => ({
      ...this.codeTensors(batch, session),
      visible: this.maskTensor(batch.map(({ visible }) => visible)),
    });
    return this.estimatesIn(await this.run('entropy', feeds, estimateNames), batch.length);
  }

  /** Pixels from the tokens marked 1 in `keep` (N values); the others become their expected codes (N×D). */
  async decode(codes: Codes, expectedCodes: Float32Array, keep: Uint8Array): Promise<Uint8Array> {
    return first(await this.decodeAll([{ codes, expectedCodes, keep }]));
  }

  /** True if {@link decodeAll} of several images leaves this thread to others while it runs. */
  get decodesBatchesAside(): boolean {
    return this.batchDecoder !== undefined;
  }

  /** {@link decode} of several images in one run of the graph; they lie in one piece of memory. */
  async decodeAll(batch: readonly DecoderInput[]): Promise<Uint8Array[]> {
    const { filters, expectedDimensions } = this.model;
    const expected = concatenated(
      Float32Array,
      batch.map(({ expectedCodes }) => expectedCodes),
    );
    const feeds = (session: GraphSession) => ({
      ...this.codeTensors(batch, session),
      ...this.prefixTensors(batch),
      ...(filters && {
        expected_code: new Tensor('float32', expected, [
          batch.length,
          ...mainStream(this.model).shape,
          expectedDimensions,
        ]),
        keep: this.maskTensor(batch.map(({ keep }) => keep)),
      }),
    });
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
    feedsOf: (session: GraphSession) => Record<string, Tensor>,
    fetches: readonly string[],
    session: GraphSession | Promise<GraphSession> | undefined = this.sessions[graph],
  ): Promise<Outputs> {
    if (session === undefined) throw new RangeError(`the model has no ${graph} graph`);
    try {
      const opened = await session;
      const feeds = feedsOf(opened);
      const outputs = await opened.run(feeds, fetches);
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
    for (const [name, { types, shape }] of Object.entries(values)) {
      const tensor = outputs[name];
      if (!(tensor instanceof Tensor)) continue;
      const wanted = [count, ...shape];
      if (!isDeepStrictEqual([...tensor.dims], wanted)) {
        throw mismatch(graph, `it gave ${name} as ${difference(tensor.type, tensor.dims, types, wanted)}`);
      }
      const what = wrongNumber(tensor.data, this.model.streams.find((stream) => stream.name === name)?.codebook);
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
      this.run(graph, () => ({ image: this.imageTensor(bytes, batch.length) }), names, session);
    return batch.length === 1
      ? run(first(batch))
      : this.imageMemory.lend(lengthOf(batch), (memory) => run(writeAll<Uint8Array>(memory, batch)));
  }

  private imageTensor(bytes: Uint8Array, count: number): Tensor {
    const { width, height } = this.model.imageSize;
    return new Tensor('uint8', bytes, [count, height, width, 3]);
  }

  /** Codes as a graph takes them: integers of the size of its inputs. */
  private codeTensors(batch: readonly { readonly codes: Codes }[], session: GraphSession): Record<string, Tensor> {
    const types = new Map(session.inputMetadata.map((input) => [input.name, input.isTensor ? input.type : undefined]));
    const byStream = batch.map(({ codes }) => this.streamsOf(codes));
    return Object.fromEntries(
      this.model.streams.map((stream, i) => {
        const arrays = byStream.map((codes) => at(codes, i));
        return [stream.name, codeTensor(stream, arrays, types.get(stream.name) === 'int64')];
      }),
    );
  }

  /** Codes in the order of the model's streams. */
  private streamsOf({ globalCodes, patchCodes, otherCodes }: Codes): CodeArray[] {
    let others = 0;
    return this.model.streams.map(({ role }) => {
      if (role === 'other') return at(otherCodes, others++);
      return role === 'global' ? globalCodes : patchCodes;
    });
  }

  private codesIn(output: Outputs, count: number): Codes[] {
    const { streams } = this.model;
    const arrays = streams.map((stream) => rows(codesOf(stream, found(output, stream.name)), count));
    const none: CodeArray = new Int32Array();
    const ofRole = (role: Stream['role'], image: number) =>
      streams.flatMap((stream, i) => (stream.role === role ? [at(arrays[i], image)] : []));
    return Array.from({ length: count }, (_, image) => ({
      globalCodes: ofRole('global', image)[0] ?? none,
      patchCodes: ofRole('patch', image)[0] ?? none,
      otherCodes: ofRole('other', image),
    }));
  }

  private estimatesIn(output: Outputs, count: number): EntropyEstimate[] {
    const depth = depthOf(mainStream(this.model));
    const [entropy, surprisal, expected] = estimateNames.map((name) => rows(float32(output, name), count));
    return Array.from({ length: count }, (_, i) => ({
      entropyBits: sums(at(entropy, i), depth),
      surprisalBits: sums(at(surprisal, i), depth),
      expectedCodes: at(expected, i),
    }));
  }

  /** Masks of tokens that are visible or kept; residual codes of a patch are so together. */
  private maskTensor(batch: readonly Uint8Array[]): Tensor {
    const { shape } = mainStream(this.model);
    const depth = shape[1] ?? 1;
    const mask = concatenated(Uint8Array, batch);
    const each =
      depth === 1 ? mask : Uint8Array.from({ length: depth * mask.length }, (_, i) => at(mask, Math.floor(i / depth)));
    return new Tensor('bool', each, [batch.length, ...shape]);
  }

  private prefixTensors(batch: readonly DecoderInput[]): Record<string, Tensor> {
    const masks = batch.map(({ length }) => prefixMasks(this.model, length ?? this.model.steps.length));
    return Object.fromEntries(
      [...(masks[0] ?? [])].map(([stream, { length: steps }]) => {
        const each = masks.map((mask) => mask.get(stream) ?? new Uint8Array(steps));
        return [prefixName(stream), new Tensor('bool', concatenated(Uint8Array, each), [batch.length, steps])];
      }),
    );
  }
}

/** @param wide true if the graph takes integers of 64 bits. */
function codeTensor({ shape, codebook }: Stream, arrays: readonly CodeArray[], wide: boolean): Tensor {
  const dims = [arrays.length, ...shape];
  if (codebook.kind === 'continuous') {
    return new Tensor('float32', concatenated(Float32Array, arrays as Float32Array[]), [...dims, codebook.dimensions]);
  }
  if (isWide(codebook)) return new Tensor('int64', concatenated(BigInt64Array, arrays as BigInt64Array[]), dims);
  const codes = concatenated(Int32Array, arrays as Int32Array[]);
  return wide ? new Tensor('int64', BigInt64Array.from(codes, BigInt), dims) : new Tensor('int32', codes, dims);
}

/** What is no number, or no code of a stream's codebook; undefined where all are. */
function wrongNumber(data: Tensor['data'], codebook: Codebook | undefined): string | undefined {
  if (codebook !== undefined && (data instanceof Int32Array || data instanceof BigInt64Array)) {
    const size = codebookSize(codebook);
    for (const code of data as Iterable<Code>) {
      if (code < 0 || code >= size) return `${code}, which is no code of its codebook of ${size},`;
    }
  }
  if (!(data instanceof Float32Array)) return undefined;
  const number = data.find((value) => !Number.isFinite(value));
  if (number === undefined) return undefined;
  return Number.isNaN(number) ? 'NaN' : 'an infinite number';
}

/** Codes of a batch, in numbers of 32 bits where these can hold them. */
function codesOf({ name, codebook }: Stream, { data }: Tensor): CodeArray {
  if (codebook.kind === 'continuous') {
    if (data instanceof Float32Array) return data;
    throw wrongType(name);
  }
  if (!(data instanceof Int32Array) && !(data instanceof BigInt64Array)) throw wrongType(name);
  return data instanceof BigInt64Array && !isWide(codebook) ? Int32Array.from(data, Number) : data;
}

/** Sums of so many values that lie side by side. */
function sums(values: Float32Array, count: number): Float32Array {
  if (count === 1) return values;
  const result = new Float32Array(values.length / count);
  values.forEach((value, i) => {
    const to = Math.floor(i / count);
    result[to] = (result[to] ?? 0) + value;
  });
  return result;
}

type NumberArray = Uint8Array | CodeArray;

/** The arrays one after another; a single one is not copied. */
function concatenated<T extends NumberArray>(type: new (length: number) => T, arrays: readonly T[]): T {
  const [only] = arrays;
  if (only !== undefined && arrays.length === 1) return only;
  return writeAll(new type(lengthOf(arrays)), arrays);
}

function writeAll<T extends NumberArray>(into: T, arrays: readonly T[]): T {
  let offset = 0;
  for (const array of arrays) {
    // Arrays of one type, whichever it is.
    (into as Uint8Array).set(array as Uint8Array, offset);
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

function at<T>(batch: { readonly length: number; readonly [index: number]: T } | undefined, index: number): T {
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

function float32(outputs: Outputs, name: string): Float32Array {
  const { data } = found(outputs, name);
  if (data instanceof Float32Array) return data;
  throw wrongType(name);
}

const estimateNames = ['entropy', 'surprisal', 'expected_code'] as const;

function wrongType(name: string): TatokError {
  return new TatokError('model-incompatible', `The model’s output ${name} is missing or of another type.`);
}

interface Value {
  /** Any of these. */
  readonly types: readonly string[];
  /** Without the batch dimension, which comes first. */
  readonly shape: readonly number[];
}

interface Signature {
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
}

/** `global` of `global_codes`: what belongs to a stream is named after it. */
function stem(stream: string): string {
  return stream.replace(/_codes$/, '');
}

function prefixName(stream: string): string {
  return `keep_${stem(stream)}`;
}

/** Inputs and outputs that the bundle contract demands of every graph; those of `attentive` are the encoder's that returns attention. */
function signatures(model: ModelDescription): Record<GraphName | 'attentive', Signature> {
  const { imageSize, grid, streams, filters } = model;
  const image = { types: ['uint8'], shape: [imageSize.height, imageSize.width, 3] };
  const codes = Object.fromEntries(streams.map((stream) => [stream.name, codeValue(stream)]));
  const { shape } = mainStream(model);
  const mask = { types: ['bool'], shape };
  const bits = { types: ['float32'], shape };
  const expected = { types: ['float32'], shape: [...shape, model.expectedDimensions] };
  const estimate = { entropy: bits, surprisal: bits, expected_code: expected };
  const prefixes = streams.filter(({ prefixSteps }) => prefixSteps > 0);
  const globals = streamOf(model, 'global');
  const attention = [model.attentionLayers, model.attentionHeads, model.globalTokens, grid.rows * grid.columns];
  return {
    encoder: { inputs: { image }, outputs: codes },
    attentive: {
      inputs: { image },
      outputs: {
        ...(globals !== undefined &&
          hasPart(model, 'attention') && {
            [`${stem(globals.name)}_attention`]: { types: ['float32'], shape: attention },
          }),
      },
    },
    entropy: { inputs: { ...codes, visible: mask }, outputs: estimate },
    decoder: {
      inputs: {
        ...codes,
        ...Object.fromEntries(
          prefixes.map(({ name, prefixSteps }) => [prefixName(name), { types: ['bool'], shape: [prefixSteps] }]),
        ),
        ...(filters && { expected_code: expected, keep: mask }),
      },
      outputs: { image },
    },
    tokenizer: { inputs: { image }, outputs: { ...codes, ...estimate } },
  };
}

function codeValue({ shape, codebook }: Stream): Value {
  if (codebook.kind === 'continuous') return { types: ['float32'], shape: [...shape, codebook.dimensions] };
  return { types: isWide(codebook) ? ['int64'] : ['int32', 'int64'], shape };
}

function checkGraph(graph: GraphName, session: GraphSession, signature: Signature): void {
  for (const [kind, metadata, expected] of [
    ['input', session.inputMetadata, signature.inputs],
    ['output', session.outputMetadata, signature.outputs],
  ] as const) {
    const byName = new Map(metadata.map((value) => [value.name, value]));
    for (const [name, value] of Object.entries(expected)) {
      const actual = byName.get(name);
      const wanted = ['batch', ...value.shape];
      if (actual === undefined) throw mismatch(graph, `it has no ${kind} ${name}, ${describe(value.types, wanted)}`);
      if (!actual.isTensor) throw mismatch(graph, `its ${kind} ${name} is no tensor`);
      // Named dimensions are dynamic; what they are is known when the graph runs.
      const fits =
        value.types.includes(actual.type) &&
        actual.shape.length === value.shape.length + 1 &&
        value.shape.every((size, d) => typeof actual.shape[d + 1] === 'string' || actual.shape[d + 1] === size);
      if (!fits)
        throw mismatch(graph, `its ${kind} ${name} is ${difference(actual.type, actual.shape, value.types, wanted)}`);
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

type Shape = readonly (number | string)[];

/** A tensor and the promised one. Where its type is one of those promised, it is not the type that is wrong. */
function difference(type: string, shape: Shape, types: readonly string[], wanted: Shape): string {
  return `${describe([type], shape)} instead of ${describe(types.includes(type) ? [type] : types, wanted)}`;
}

function describe(types: readonly string[], shape: Shape): string {
  return `${types.join(' or ')}[${shape.join(', ')}]`;
}
