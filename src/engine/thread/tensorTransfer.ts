/** Tensors across the border of a thread: their typed arrays can be handed over without a copy, they themselves cannot cross. */
import { Tensor, type InferenceSession } from 'onnxruntime-node';

type Numbers = Exclude<Tensor.DataTypeMap[Tensor.Type], string[]>;

export interface PlainTensor {
  readonly type: Tensor.Type;
  readonly data: Numbers;
  readonly dims: readonly number[];
}

export type PlainTensors = Readonly<Record<string, PlainTensor>>;

/** @throws TypeError unless it is a tensor of numbers in memory. */
export function toPlain(values: InferenceSession.OnnxValueMapType): PlainTensors {
  return mapped(values, (value, name) => {
    if (!(value instanceof Tensor) || Array.isArray(value.data)) throw new TypeError(`${name} is no tensor of numbers`);
    return { type: value.type, data: value.data, dims: value.dims };
  });
}

/** Tensors of these arrays, which are not copied. */
export function fromPlain(tensors: PlainTensors): Record<string, Tensor> {
  return mapped(tensors, ({ type, data, dims }) => new Tensor(type, data, dims));
}

/** The same tensors in memory of their own, and of nothing else: an array that is cloned takes all of its buffer with it. */
export function copied(tensors: PlainTensors): PlainTensors {
  return mapped(tensors, (tensor) => ({ ...tensor, data: tensor.data.slice() }));
}

/** Memory to be handed over with them. */
export function memoryOf(tensors: PlainTensors): ArrayBuffer[] {
  return Object.values(tensors).flatMap(({ data: { buffer } }) => (buffer instanceof ArrayBuffer ? [buffer] : []));
}

function mapped<A, B>(record: Readonly<Record<string, A>>, map: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));
}
