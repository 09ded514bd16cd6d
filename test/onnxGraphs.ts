/** Small ONNX graphs and bundles, written field by field (onnx.proto), for models that an exporter would never write. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PbfWriter } from 'pbf';

/** Element types of tensors by the number that ONNX gives them. */
const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9 } as const;

export interface TensorOf {
  readonly type: keyof typeof elementTypes;
  readonly shape: readonly (number | string)[];
}

export interface Constant extends TensorOf {
  readonly shape: readonly number[];
  /** Little-endian; absent where the data is in another file. */
  readonly data?: Uint8Array | undefined;
  /** Keys and values that say where the data is. */
  readonly external?: Readonly<Record<string, string>> | undefined;
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, number | Graph | Constant>>;
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly constants?: Readonly<Record<string, Constant>>;
  readonly inputs: Readonly<Record<string, TensorOf>>;
  readonly outputs: Readonly<Record<string, TensorOf>>;
}

/** A model of one graph, for opset 17. */
export function onnxModel(graph: Graph): Uint8Array {
  const writer = new PbfWriter();
  writer.writeVarintField(1, 8);
  writer.writeMessage(7, writeGraph, graph);
  writer.writeMessage(8, (opset: number, pbf) => pbf.writeVarintField(2, opset), 17);
  return writer.finish().slice();
}

function writeGraph({ nodes, constants = {}, inputs, outputs }: Graph, pbf: PbfWriter): void {
  for (const node of nodes) pbf.writeMessage(1, writeNode, node);
  pbf.writeStringField(2, 'graph');
  for (const [name, constant] of Object.entries(constants)) pbf.writeMessage(5, writeTensor, { name, ...constant });
  for (const [name, value] of Object.entries(inputs)) pbf.writeMessage(11, writeValue, { name, ...value });
  for (const [name, value] of Object.entries(outputs)) pbf.writeMessage(12, writeValue, { name, ...value });
}

function writeNode({ op, inputs, outputs, attributes = {} }: Node, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  for (const output of outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(4, op);
  for (const [name, value] of Object.entries(attributes)) {
    pbf.writeMessage(
      5,
      (_: undefined, attribute) => {
        attribute.writeStringField(1, name);
        const [int, tensor, graph] = [2, 4, 5];
        if (typeof value === 'number') attribute.writeVarintField(3, value);
        else if ('nodes' in value) attribute.writeMessage(6, writeGraph, value);
        else attribute.writeMessage(5, writeTensor, { name: '', ...value });
        attribute.writeVarintField(20, typeof value === 'number' ? int : 'nodes' in value ? graph : tensor);
      },
      undefined,
    );
  }
}

function writeTensor({ name, type, shape, data, external }: Constant & { name: string }, pbf: PbfWriter): void {
  for (const size of shape) pbf.writeVarintField(1, size);
  pbf.writeVarintField(2, elementTypes[type]);
  pbf.writeStringField(8, name);
  if (data !== undefined) pbf.writeBytesField(9, data);
  for (const [key, value] of Object.entries(external ?? {})) {
    pbf.writeMessage(
      13,
      (_: undefined, entry) => {
        entry.writeStringField(1, key);
        entry.writeStringField(2, value);
      },
      undefined,
    );
  }
  if (external !== undefined) pbf.writeVarintField(14, 1);
}

function writeValue({ name, type, shape }: TensorOf & { name: string }, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  const writeDimension = (size: number | string, dimension: PbfWriter): void => {
    if (typeof size === 'number') dimension.writeVarintField(1, size);
    else dimension.writeStringField(2, size);
  };
  const writeShape = (_: undefined, written: PbfWriter): void => {
    for (const size of shape) written.writeMessage(1, writeDimension, size);
  };
  const writeTensorType = (_: undefined, tensorType: PbfWriter): void => {
    tensorType.writeVarintField(1, elementTypes[type]);
    tensorType.writeMessage(2, writeShape, undefined);
  };
  pbf.writeMessage(2, (_: undefined, valueType) => valueType.writeMessage(1, writeTensorType, undefined), undefined);
}

/** A constant of these numbers. */
export function constant(type: TensorOf['type'], shape: readonly number[], numbers: readonly number[]): Constant {
  const typed = {
    float32: () => Float32Array.from(numbers),
    uint8: () => Uint8Array.from(numbers),
    bool: () => Uint8Array.from(numbers),
    int32: () => Int32Array.from(numbers),
    int64: () => BigInt64Array.from(numbers, BigInt),
  }[type]();
  return { type, shape, data: new Uint8Array(typed.buffer) };
}

/** The toy model: 16×16 pixels, 2×2 patches of codes of one bit, a global token, one layer of one head. */
const size = 16;
const grid = { rows: 2, columns: 2 };
const patches = grid.rows * grid.columns;
const codes = {
  global_codes: { type: 'int32', shape: [1] },
  patch_codes: { type: 'int32', shape: [patches] },
} as const;
const mask = { type: 'bool', shape: [patches] } as const;
const image = { type: 'uint8', shape: [size, size, 3] } as const;
const bits = { type: 'float32', shape: [patches] } as const;
const expectedCode = { type: 'float32', shape: [patches, 1] } as const;

type Values = Readonly<Record<string, { readonly type: TensorOf['type']; readonly shape: readonly number[] }>>;

const estimate = { entropy: bits, surprisal: bits, expected_code: expectedCode } satisfies Values;
const attention = { global_attention: { type: 'float32', shape: [1, 1, 1, patches] } } as const satisfies Values;

export type ToyGraph = 'encoder' | 'entropy' | 'decoder' | 'tokenizer';

const signatures: Readonly<Record<ToyGraph, { readonly inputs: Values; readonly outputs: Values }>> = {
  encoder: { inputs: { image }, outputs: { ...codes, ...attention } },
  entropy: { inputs: { ...codes, visible: mask }, outputs: estimate },
  decoder: { inputs: { ...codes, expected_code: expectedCode, keep: mask }, outputs: { image } },
  tokenizer: { inputs: { image }, outputs: { ...codes, ...estimate } },
};

export interface ToyOptions {
  /** A value of the last element of some output; all others are 0.25, or 0 where they are whole numbers. */
  readonly value?: { readonly output: string; readonly value: number };
  /** True if running the graph never ends. */
  readonly endless?: boolean;
  /** Bytes that it takes, and holds while it runs; with `endless` it never gives them back. */
  readonly hungry?: number;
  /** An output of another shape than its metadata promise. */
  readonly gives?: { readonly output: string; readonly shape: readonly number[] };
  /** Where the constant of the first output is kept, instead of in the graph. */
  readonly external?: Readonly<Record<string, string>>;
}

/** A graph that gives the same for every image of a batch, whatever it is given. */
export function toyGraph(
  name: ToyGraph,
  { value, endless = false, hungry, gives, external }: ToyOptions = {},
): Uint8Array {
  const { inputs, outputs } = signatures[name];
  const batched = (values: Values): Record<string, TensorOf> =>
    Object.fromEntries(
      Object.entries(values).map(([key, { type, shape }]) => [key, { type, shape: ['batch', ...shape] }]),
    );
  const constants: Record<string, Constant> = { zero: constant('int64', [1], [0]) };
  const nodes: Node[] = [{ op: 'Shape', inputs: [Object.keys(inputs)[0] ?? ''], outputs: ['input shape'] }];
  let index = 'zero';
  if (hungry !== undefined) {
    constants['many'] = constant('int64', [1], [hungry / 8]);
    nodes.push(
      // How many is known only when the graph runs.
      { op: 'Gather', inputs: ['input shape', 'zero'], outputs: ['images'] },
      { op: 'Mul', inputs: ['images', 'many'], outputs: ['length'] },
      {
        op: 'ConstantOfShape',
        inputs: ['length'],
        outputs: ['heap'],
        attributes: { value: constant('int64', [1], [0]) },
      },
      { op: 'Gather', inputs: ['heap', index], outputs: ['first of heap'] },
    );
    index = 'first of heap';
  }
  if (endless) {
    Object.assign(constants, { always: constant('bool', [], [1]), step: constant('int64', [1], [0]) });
    nodes.push({ op: 'Loop', inputs: ['', 'always', index], outputs: ['index'], attributes: { body: endlessBody } });
    index = 'index';
  }
  if (hungry !== undefined) {
    // It is needed until the end.
    nodes.push({ op: 'Gather', inputs: ['heap', index], outputs: ['last of heap'] });
    index = 'last of heap';
  }
  nodes.push({ op: 'Gather', inputs: ['input shape', index], outputs: ['batch size'] });
  for (const [index, [output, { type, shape: promised }]] of Object.entries(outputs).entries()) {
    const shape = gives?.output === output ? gives.shape.slice(1) : promised;
    // One number that is spread over all: of more, their shape would be known before the run.
    const kept = gives?.output === output ? shape.map(() => 1) : shape;
    const numbers = new Array<number>(kept.reduce((all, length) => all * length, 1)).fill(
      type === 'float32' ? 0.25 : 0,
    );
    if (value?.output === output) numbers[numbers.length - 1] = value.value;
    constants[`${output} of one`] = {
      ...constant(type, [1, ...kept], numbers),
      ...(index === 0 && external !== undefined && { data: undefined, external }),
    };
    constants[`${output} shape`] = constant('int64', [shape.length], shape);
    if (gives?.output === output) {
      // Nothing is added, but only the run tells.
      nodes.push(
        { op: 'Mul', inputs: ['batch size', 'zero'], outputs: [`${output} nothing`] },
        { op: 'Add', inputs: [`${output} shape`, `${output} nothing`], outputs: [`${output} told`] },
      );
    }
    const told = gives?.output === output ? `${output} told` : `${output} shape`;
    nodes.push(
      { op: 'Concat', inputs: ['batch size', told], outputs: [`${output} full`], attributes: { axis: 0 } },
      { op: 'Expand', inputs: [`${output} of one`, `${output} full`], outputs: [output] },
    );
  }
  const described = Object.entries(batched(outputs)).map(([output, { type, shape }]) => {
    // A size with a name is one that is known only when the graph runs.
    const named = shape.map((_, i) => `size ${i}`);
    return [output, { type, shape: gives?.output === output ? named : shape }] as const;
  });
  return onnxModel({ nodes, constants, inputs: batched(inputs), outputs: Object.fromEntries(described) });
}

/** Adds nothing to a number, for ever. */
const endlessBody: Graph = {
  inputs: {
    round: { type: 'int64', shape: [] },
    'go on': { type: 'bool', shape: [] },
    before: { type: 'int64', shape: [1] },
  },
  nodes: [
    { op: 'Identity', inputs: ['go on'], outputs: ['go on again'] },
    { op: 'Add', inputs: ['before', 'step'], outputs: ['after'] },
  ],
  outputs: { 'go on again': { type: 'bool', shape: [] }, after: { type: 'int64', shape: [1] } },
};

export interface ToyBundle {
  /** Graphs that are not plain. */
  readonly graphs?: Partial<Record<ToyGraph, ToyOptions>>;
  /** Files besides the graphs, as the manifest lists them. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** True if the CPU has an encoder and entropy model in one. */
  readonly tokenizer?: boolean;
  /** Keys of the manifest that are others. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

/** Writes a bundle of {@link toyGraph}s into a folder, and returns it. */
export async function writeToyBundle(
  folder: string,
  { graphs = {}, files = {}, tokenizer = false, manifest = {} }: ToyBundle = {},
): Promise<string> {
  const names = (['encoder', 'entropy', 'decoder', ...(tokenizer ? (['tokenizer'] as const) : [])] as const).slice();
  const contents: Record<string, Uint8Array> = { ...files };
  for (const name of names) contents[`${name}.onnx`] = toyGraph(name, graphs[name]);
  const plain = { encoder: 'encoder.onnx', entropy: 'entropy.onnx', decoder: 'decoder.onnx' };
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(contents)) await writeFile(join(folder, name), content);
  const text = JSON.stringify({
    format: 'tatok-bundle',
    formatVersion: 1,
    name: 'toy',
    version: '0.0.1',
    image: { size, patch: size / grid.rows },
    grid,
    globalTokens: 1,
    codebook: { size: 2, levels: [2] },
    attention: { layers: 1, heads: 1 },
    defaults: { lossRate: 0.5, edgePriority: 0, budget: 'image', conditioning: 'global' },
    referenceBudgetBits: 1,
    graphs: plain,
    ...(tokenizer && { variants: { cpu: { ...plain, tokenizer: 'tokenizer.onnx' } } }),
    files: Object.entries(contents).map(([path, content]) => listed(path, content)),
    ...manifest,
  });
  await writeFile(join(folder, 'manifest.json'), text);
  return folder;
}

/** An entry of a manifest's files. */
export function listed(path: string, content: Uint8Array): { path: string; bytes: number; sha256: string } {
  return { path, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}
