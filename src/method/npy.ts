/**
 * NumPy's array format, version 1.0 (numpy.lib.format): magic, version, length of the header, header, data in C order.
 */

/** An array as NumPy sees it. Booleans are one byte, text an array without dimensions. */
export type NpyArray =
  | { readonly kind: 'int32'; readonly shape: readonly number[]; readonly values: ArrayLike<number> }
  | { readonly kind: 'int64'; readonly shape: readonly number[]; readonly values: ArrayLike<bigint> }
  | { readonly kind: 'float32'; readonly shape: readonly number[]; readonly values: ArrayLike<number> }
  | { readonly kind: 'float64'; readonly shape: readonly number[]; readonly values: ArrayLike<number> }
  | { readonly kind: 'bool'; readonly shape: readonly number[]; readonly values: ArrayLike<number> }
  | { readonly kind: 'text'; readonly text: string };

/** Data start at a multiple of this, so that they can be mapped into memory. */
const alignment = 64;
const magic = [0x93, ...ascii('NUMPY'), 1, 0];

/** Bytes of a `.npy` file, little-endian whatever the machine. @throws RangeError when values do not fill the shape. */
export function npy(array: NpyArray): Uint8Array {
  const { descr, shape, data } = encode(array);
  // Python's tuple of one element ends with a comma.
  const tuple = shape.length === 1 ? `(${String(shape[0])},)` : `(${shape.join(', ')})`;
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const preamble = magic.length + 2;
  const length = Math.ceil((preamble + dictionary.length + 1) / alignment) * alignment - preamble;
  const header = `${dictionary.padEnd(length - 1)}\n`;
  const bytes = new Uint8Array(preamble + length + data.length);
  bytes.set(magic);
  new DataView(bytes.buffer).setUint16(magic.length, length, true);
  bytes.set(ascii(header), preamble);
  bytes.set(data, preamble + length);
  return bytes;
}

interface Encoded {
  readonly descr: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

function encode(array: NpyArray): Encoded {
  if (array.kind === 'text') {
    const points = Array.from(array.text, (character) => character.codePointAt(0) ?? 0);
    const data = numbers(points, 4, (view, offset, point) => view.setUint32(offset, point, true));
    return { descr: `<U${points.length}`, shape: [], data };
  }
  const { kind, shape, values } = array;
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (size !== values.length) throw new RangeError(`${values.length} values do not fill [${shape.join(', ')}]`);
  switch (kind) {
    case 'int32':
      return { descr: '<i4', shape, data: numbers(values, 4, (view, at, value) => view.setInt32(at, value, true)) };
    case 'int64':
      return { descr: '<i8', shape, data: numbers(values, 8, (view, at, value) => view.setBigInt64(at, value, true)) };
    case 'float32':
      return { descr: '<f4', shape, data: numbers(values, 4, (view, at, value) => view.setFloat32(at, value, true)) };
    case 'float64':
      return { descr: '<f8', shape, data: numbers(values, 8, (view, at, value) => view.setFloat64(at, value, true)) };
    case 'bool':
      return { descr: '|b1', shape, data: numbers(values, 1, (view, at, value) => view.setUint8(at, value)) };
  }
}

function numbers<Value>(
  values: ArrayLike<Value>,
  bytesEach: number,
  write: (view: DataView, offset: number, value: Value) => void,
): Uint8Array {
  const data = new Uint8Array(values.length * bytesEach);
  const view = new DataView(data.buffer);
  Array.from(values).forEach((value, i) => write(view, i * bytesEach, value));
  return data;
}

/** Values of a `.npy` file; those of text are its one string. */
export interface ReadArray {
  readonly shape: readonly number[];
  readonly values: readonly number[] | string;
}

/** Readers of a value by NumPy's names of types: all that a token file may have. */
const readers: Readonly<Record<string, readonly [bytes: number, read: (view: DataView, at: number) => number]>> = {
  b1: [1, (view, at) => view.getUint8(at)],
  i1: [1, (view, at) => view.getInt8(at)],
  u1: [1, (view, at) => view.getUint8(at)],
  i2: [2, (view, at) => view.getInt16(at, true)],
  u2: [2, (view, at) => view.getUint16(at, true)],
  i4: [4, (view, at) => view.getInt32(at, true)],
  u4: [4, (view, at) => view.getUint32(at, true)],
  i8: [8, (view, at) => Number(view.getBigInt64(at, true))],
  f4: [4, (view, at) => view.getFloat32(at, true)],
  f8: [8, (view, at) => view.getFloat64(at, true)],
};

/** Reads an array of little-endian numbers in C order, or one string. @throws RangeError of anything else, in a few words. */
export function readNpy(bytes: Uint8Array): ReadArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || !magic.slice(0, 6).every((byte, i) => bytes[i] === byte))
    throw new RangeError('it is no .npy');
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder('latin1').decode(bytes.subarray(start, start + length));
  const descr = /'descr': '([<|])([a-zA-Z])(\d+)'/.exec(header);
  const dimensions = /'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (descr === null || dimensions === undefined) throw new RangeError('its type is not read');
  const shape = dimensions.split(',').flatMap((extent) => (extent.trim() === '' ? [] : [Number(extent)]));
  const count = shape.reduce((product, extent) => product * extent, 1);
  // Of one dimension at most, both orders are the same.
  if (header.includes("'fortran_order': True") && shape.length > 1) throw new RangeError('it is in Fortran order');
  const [, , letter = '', size = ''] = descr;
  const from = start + length;
  if (letter === 'U' && shape.length === 0) {
    const points = Array.from({ length: Number(size) }, (_, i) => view.getUint32(from + 4 * i, true));
    return { shape, values: String.fromCodePoint(...points).replace(/\0+$/, '') };
  }
  const [each, read] = readers[letter + size] ?? [];
  if (each === undefined || read === undefined) throw new RangeError(`its type ${letter}${size} is not read`);
  if (count * each !== bytes.length - from) throw new RangeError('its values do not fill its shape');
  return { shape, values: Array.from({ length: count }, (_, i) => read(view, from + each * i)) };
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}
