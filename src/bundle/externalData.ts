/**
 * Where an ONNX graph keeps weights outside of its own file: every tensor of the model's protocol buffer whose data is external, in
 * initializers, attributes, subgraphs, functions and training graphs (onnx.proto of ONNX 1.20).
 */
import { PbfReader } from 'pbf';

/** A part of another file, as one tensor names it. */
export interface ExternalData {
  /** As it stands in the graph; ONNX means a path relative to the graph's folder. */
  readonly location: string;
  /** Where the tensor begins. */
  readonly offset: number;
  /** Bytes of the tensor; undefined: up to the end of the file. */
  readonly length: number | undefined;
}

/** Message fields by number, and what they hold; fields that are not named here hold no tensor. */
interface Message {
  readonly fields: Readonly<Record<number, () => Message>>;
  /** True if this is a tensor, whose field 13 says where its data is. */
  readonly isTensor?: boolean;
}

const tensor: Message = { fields: {}, isTensor: true };
const sparseTensor: Message = { fields: { 1: () => tensor, 2: () => tensor } };
const attribute: Message = {
  fields: {
    5: () => tensor,
    6: () => graph,
    10: () => tensor,
    11: () => graph,
    22: () => sparseTensor,
    23: () => sparseTensor,
  },
};
const node: Message = { fields: { 5: () => attribute } };
const graph: Message = { fields: { 1: () => node, 5: () => tensor, 15: () => sparseTensor } };
const functionBody: Message = { fields: { 7: () => node, 11: () => attribute } };
const training: Message = { fields: { 1: () => graph, 2: () => graph } };
const model: Message = { fields: { 7: () => graph, 20: () => training, 25: () => functionBody } };

const externalDataField = 13;
/** Wire type of messages and strings. */
const lengthDelimited = 2;

/**
 * All tensors of a graph that are kept elsewhere.
 *
 * @param bytes of the graph's file.
 * @throws Error when they are no ONNX model.
 */
export function externalDataOf(bytes: Uint8Array): ExternalData[] {
  const found: ExternalData[] = [];
  visit(new PbfReader(bytes), model, bytes.length, found);
  return found;
}

function visit(reader: PbfReader, { fields, isTensor }: Message, end: number, found: ExternalData[]): void {
  const entries = new Map<string, string>();
  if (end > reader.length) throw new Error('it is cut short');
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    // A field of another type than it should be is one that ONNX Runtime does not know, and skips.
    if (reader.type !== lengthDelimited) continue;
    const inner = fields[field]?.();
    if (inner !== undefined) {
      const length = reader.readVarint();
      visit(reader, inner, reader.pos + length, found);
    } else if (isTensor === true && field === externalDataField) {
      const { key, value } = reader.readMessage(readEntry, { key: '', value: '' });
      entries.set(key, value);
    }
  }
  if (reader.pos !== end) throw new Error('it is no ONNX model');
  if (entries.size === 0) return;
  found.push({
    location: entries.get('location') ?? '',
    offset: numberIn(entries.get('offset')) ?? 0,
    length: numberIn(entries.get('length')),
  });
}

function readEntry(field: number, entry: { key: string; value: string }, reader: PbfReader): void {
  if (reader.type !== lengthDelimited) return;
  if (field === 1) entry.key = reader.readString();
  if (field === 2) entry.value = reader.readString();
}

function numberIn(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Error('it names a place in a file that is no number');
  return Number(text);
}
