/**
 * NumPy's array format, version 1.0 (numpy.lib.format): magic, version, length of the header, header, data in C order.
 */

/** An array as NumPy sees it. Integers are 32-bit, booleans one byte, text an array without dimensions. */
export type NpyArray =
  | { readonly kind: 'int32'; readonly shape: readonly number[]; readonly values: ArrayLike<number> }
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
    case 'float32':
      return { descr: '<f4', shape, data: numbers(values, 4, (view, at, value) => view.setFloat32(at, value, true)) };
    case 'float64':
      return { descr: '<f8', shape, data: numbers(values, 8, (view, at, value) => view.setFloat64(at, value, true)) };
    case 'bool':
      return { descr: '|b1', shape, data: numbers(values, 1, (view, at, value) => view.setUint8(at, value)) };
  }
}

function numbers(
  values: ArrayLike<number>,
  bytesEach: number,
  write: (view: DataView, offset: number, value: number) => void,
): Uint8Array {
  const data = new Uint8Array(values.length * bytesEach);
  const view = new DataView(data.buffer);
  for (let i = 0; i < values.length; i++) write(view, i * bytesEach, values[i] ?? 0);
  return data;
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}
