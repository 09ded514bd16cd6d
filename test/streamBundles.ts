/**
 * Tiny bundles of format 2 with any streams, whose graphs do what the contract says and can be reckoned by hand: an encoder gives the same
 * codes for every picture, an entropy model bits that grow from token to token, and a decoder the sum of the codes that are kept as a grey.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constant, listed, onnxModel, type Constant, type Node, type TensorOf } from './onnxGraphs';

export interface TestStream {
  readonly name: string;
  readonly kind: 'sequence' | 'grid';
  readonly tokens?: number;
  readonly rows?: number;
  readonly columns?: number;
  readonly depth?: number;
  readonly prefix?: boolean;
}

export type TestCodebook = Readonly<Record<string, unknown>> & { readonly kind: 'fsq' | 'vq' | 'bits' | 'continuous' };

export interface TestBundle {
  readonly name: string;
  readonly image: {
    readonly width: number;
    readonly height: number;
    readonly patch: number;
    readonly resample?: string;
  };
  readonly streams: readonly TestStream[];
  /** Of all streams. */
  readonly codebook: TestCodebook;
  /** Of codes in the graphs; absent: int32. */
  readonly integers?: 'int32' | 'int64';
  readonly attention?: { readonly layers: number; readonly heads: number };
  /** Width of the expectation of an entropy model; absent: there is none. */
  readonly expected?: number;
  /** Added to every code that the encoder gives. */
  readonly offset?: number;
  /** Inputs of the decoder that are missing from the graph. */
  readonly without?: readonly string[];
}

/** Tokens of an image in the graphs, without the batch. */
export function shapeOf({ tokens = 0, rows = 0, columns = 0, depth = 1, kind }: TestStream): readonly number[] {
  if (kind === 'sequence') return [tokens];
  return depth === 1 ? [rows * columns] : [rows * columns, depth];
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((all, length) => all * length, 1);
}

/** The numbers of a stream that the encoder gives for every picture: 0, 1, 2, 0, 1, 2 and so on. */
export function codesOf(
  stream: TestStream,
  { codebook, offset = 0 }: Pick<TestBundle, 'codebook' | 'offset'>,
): number[] {
  const width = codebook.kind === 'continuous' ? (codebook['dimensions'] as number) : 1;
  return Array.from({ length: width * sizeOf(shapeOf(stream)) }, (_, i) => offset + (i % 3));
}

/** Bits that the entropy model gives for a hidden token. */
export function bitsOf(token: number): number {
  return 0.25 * (token + 1);
}

/** A graph that is put together value by value. */
class Builder {
  readonly nodes: Node[] = [];
  readonly constants: Record<string, Constant> = {};

  constructor(
    readonly inputs: Readonly<Record<string, TensorOf>>,
    readonly outputs: Readonly<Record<string, TensorOf>>,
  ) {
    this.constants['zero'] = constant('int64', [1], [0]);
    this.add('Shape', [Object.keys(inputs)[0] ?? ''], 'shape of input');
    this.add('Gather', ['shape of input', 'zero'], 'batch');
  }

  add(op: string, inputs: readonly string[], output: string, attributes: Node['attributes'] = {}): string {
    this.nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  }

  constant(name: string, value: Constant): string {
    this.constants[name] = value;
    return name;
  }

  /** The same for every image of the batch. */
  repeated(value: string, shape: readonly number[], output: string): string {
    const rest = this.constant(`${output} rest`, constant('int64', [shape.length], shape));
    this.add('Concat', ['batch', rest], `${output} full`, { axis: 0 });
    return this.add('Expand', [value, `${output} full`], output);
  }

  /** A number for each image, [B, 1]. */
  sum(value: string): string {
    this.add('Flatten', [value], `${value} flat`, { axis: 1 });
    const axis = this.constant('axis 1', constant('int64', [1], [1]));
    return this.add('ReduceSum', [`${value} flat`, axis], `${value} sum`);
  }

  bytes(): Uint8Array {
    return onnxModel(this);
  }
}

const float = 1;
const uint8 = 2;

/** Graphs by the names of their files. */
function graphsOf(bundle: TestBundle): Record<string, Uint8Array> {
  const { image, streams, codebook, integers = 'int32', attention, expected } = bundle;
  const width = codebook.kind === 'continuous' ? [codebook['dimensions'] as number] : [];
  const type = codebook.kind === 'continuous' ? 'float32' : integers;
  const batched = (of: TensorOf['type'], shape: readonly number[]): TensorOf => ({
    type: of,
    shape: ['batch', ...shape],
  });
  const pixels = batched('uint8', [image.height, image.width, 3]);
  const codes = Object.fromEntries(
    streams.map((stream) => [stream.name, batched(type, [...shapeOf(stream), ...width])]),
  );
  const estimated = streams.findLast(({ kind }) => kind === 'grid') ?? streams.at(-1);
  if (estimated === undefined) throw new RangeError('no stream');
  const tokens = shapeOf(estimated);
  const first = streams.find(({ kind }) => kind === 'sequence');
  const cells = (image.width / image.patch) * (image.height / image.patch);
  const maps = attention && first && [attention.layers, attention.heads, first.tokens ?? 0, cells];
  const stem = (name: string) => name.replace('_codes', '');

  const encoder = new Builder(
    { image: pixels },
    { ...codes, ...(maps && { [`${stem(first.name)}_attention`]: batched('float32', maps) }) },
  );
  for (const stream of streams) {
    const shape = [...shapeOf(stream), ...width];
    const one = encoder.constant(`${stream.name} one`, constant(type, [1, ...shape], codesOf(stream, bundle)));
    encoder.repeated(one, shape, stream.name);
  }
  if (maps) {
    const even = encoder.constant('even', constant('float32', [1, 1, 1, 1, 1], [1 / cells]));
    encoder.repeated(even, maps, `${stem(first.name)}_attention`);
  }

  const masked =
    expected === undefined
      ? {}
      : { expected_code: batched('float32', [...tokens, expected]), keep: batched('bool', tokens) };
  const prefixes = streams
    .filter(({ prefix }) => prefix)
    .map((stream) => [`keep_${stem(stream.name)}`, batched('bool', [stream.tokens ?? stream.depth ?? 1])] as const);
  const inputs = Object.entries({ ...codes, ...Object.fromEntries(prefixes), ...masked });
  const decoder = new Builder(Object.fromEntries(inputs.filter(([name]) => bundle.without?.includes(name) !== true)), {
    image: pixels,
  });
  const sums = streams.map((stream) => {
    let value = decoder.add('Cast', [stream.name], `${stream.name} float`, { to: float });
    const mask = `keep_${stem(stream.name)}`;
    if (Object.hasOwn(decoder.inputs, mask)) {
      let kept = decoder.add('Cast', [mask], `${mask} float`, { to: float });
      // [B, D] over [B, cells, D]; one step stands for all cells, and a token of latents for all of its numbers.
      if (stream.kind === 'grid' && (stream.depth ?? 1) > 1) {
        kept = decoder.add(
          'Unsqueeze',
          [kept, decoder.constant('axis one', constant('int64', [1], [1]))],
          `${mask} deep`,
        );
      }
      value = decoder.add('Mul', [value, kept], `${stream.name} kept`);
    }
    if (stream === estimated && Object.hasOwn(decoder.inputs, 'keep')) {
      const kept = decoder.add('Cast', ['keep'], 'keep float', { to: float });
      value = decoder.add('Mul', [value, kept], `${stream.name} visible`);
    }
    return decoder.sum(value);
  });
  const total = sums.reduce((all, sum, i) => (i === 0 ? sum : decoder.add('Add', [all, sum], `sum ${i}`)), '');
  const axes = decoder.constant('axes', constant('int64', [2], [2, 3]));
  const grey = decoder.add('Unsqueeze', [decoder.add('Cast', [total], 'bytes', { to: uint8 }), axes], 'grey');
  decoder.repeated(grey, [image.height, image.width, 3], 'image');

  const graphs = { 'encoder.onnx': encoder.bytes(), 'decoder.onnx': decoder.bytes() };
  if (expected === undefined) return graphs;
  const bits = batched('float32', tokens);
  const entropy = new Builder(
    { ...codes, visible: batched('bool', tokens) },
    { entropy: bits, surprisal: bits, expected_code: batched('float32', [...tokens, expected]) },
  );
  const hidden = Array.from({ length: sizeOf(tokens) }, (_, i) => bitsOf(i));
  entropy.constant('hidden', constant('float32', [1, ...tokens], hidden));
  entropy.constant('none', constant('float32', [], [0]));
  for (const output of ['entropy', 'surprisal']) entropy.add('Where', ['visible', 'none', 'hidden'], output);
  const zeros = entropy.constant('zeros', constant('float32', [1, ...tokens.map(() => 1), 1], [0]));
  entropy.repeated(zeros, [...tokens, expected], 'expected_code');
  return { ...graphs, 'entropy.onnx': entropy.bytes() };
}

/** Writes a bundle into a folder, and returns it. */
export async function writeStreamBundle(folder: string, bundle: TestBundle): Promise<string> {
  const graphs = graphsOf(bundle);
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(graphs)) await writeFile(join(folder, name), content);
  const { expected, attention } = bundle;
  const manifest = {
    format: 'tatok-bundle',
    formatVersion: 2,
    ...{ name: bundle.name, version: '1', licence: 'MIT', image: bundle.image },
    streams: bundle.streams.map((stream) => ({ ...stream, codebook: 'codes' })),
    codebooks: { codes: bundle.codebook },
    ...(attention && { attention }),
    ...(expected !== undefined && {
      expected: { dimensions: expected },
      defaults: { lossRate: 0.5, edgePriority: 0, budget: 'image', conditioning: 'global' },
      referenceBudgetBits: 10,
    }),
    graphs: {
      encoder: 'encoder.onnx',
      decoder: 'decoder.onnx',
      ...(expected !== undefined && { entropy: 'entropy.onnx' }),
    },
    files: Object.entries(graphs).map(([name, content]) => listed(name, content)),
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  return folder;
}
