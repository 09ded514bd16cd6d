import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { fixedGlobalsTokenization, fixedPatchesTokenization, tinyTokenization } from './tokenization';
import { npy } from '../../../src/method/npy';
import { tokenizationNpz } from '../../../src/export/npz';
import type { ExportedTokenization } from '../../../src/export/tokens';

/** models/training/tests/test_npz.py reads the same file with NumPy itself. */
const fixture = join(import.meta.dirname, '../../fixtures/export/tiny.npz');

/** Header and data, read by the letter of the format and not by what wrote them. */
function parse(file: Uint8Array): { readonly header: string; readonly data: DataView } {
  expect([...file.subarray(0, 8)]).toEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  const length = (file[8] ?? 0) + 256 * (file[9] ?? 0);
  expect((10 + length) % 64).toBe(0);
  const header = Buffer.from(file.subarray(10, 10 + length)).toString('latin1');
  expect(header.endsWith('\n')).toBe(true);
  return { header: header.trimEnd(), data: new DataView(file.buffer, file.byteOffset + 10 + length) };
}

describe('.npy', () => {
  it('is a header as Python writes it, and little-endian values in C order', () => {
    const { header, data } = parse(npy({ kind: 'int32', shape: [2, 2], values: [1, -2, 300, 2 ** 31 - 1] }));
    expect(header).toBe("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }");
    expect(Array.from({ length: 4 }, (_, i) => data.getInt32(4 * i, true))).toEqual([1, -2, 300, 2 ** 31 - 1]);
    expect(data.byteLength).toBe(16);
  });

  it('marks a shape of one dimension as a tuple, and none as an empty one', () => {
    expect(parse(npy({ kind: 'float32', shape: [3], values: [1, 2, 3] })).header).toContain("'shape': (3,)");
    const text = parse(npy({ kind: 'text', text: 'ε🙂' }));
    expect(text.header).toBe("{'descr': '<U2', 'fortran_order': False, 'shape': (), }");
    expect([text.data.getUint32(0, true), text.data.getUint32(4, true)]).toEqual([0x3b5, 0x1f642]);
  });

  it('keeps booleans in a byte and an empty array empty', () => {
    const { header, data } = parse(npy({ kind: 'bool', shape: [2], values: [0, 1] }));
    expect(header).toContain("'|b1'");
    expect([data.getUint8(0), data.getUint8(1)]).toEqual([0, 1]);
    expect(parse(npy({ kind: 'int32', shape: [0], values: [] })).data.byteLength).toBe(0);
  });

  it('refuses values that do not fill the shape', () => {
    expect(() => npy({ kind: 'int32', shape: [2, 2], values: [1] })).toThrow(RangeError);
  });
});

describe('.npz', () => {
  it('holds every array of a tokenization', () => {
    const files = unzipSync(tokenizationNpz('cat.png', tinyTokenization));
    const headers = Object.entries(files).map(([name, file]) => [name, parse(file).header]);
    expect(Object.fromEntries(headers)).toMatchObject({
      'global_codes.npy': "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }",
      'patch_codes.npy': "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }",
      'entropy_bits.npy': "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
      'surprisal_bits.npy': "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
      'keep.npy': "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }",
      'expected_codes.npy': "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 2), }",
      'levels.npy': "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }",
    });
    const settings = files['settings.npy'];
    if (settings === undefined) throw new Error('no settings');
    const { data } = parse(settings);
    const text = Array.from({ length: data.byteLength / 4 }, (_, i) =>
      String.fromCodePoint(data.getUint32(4 * i, true)),
    ).join('');
    expect(JSON.parse(text)).toMatchObject({ image: 'cat.png', settings: { lossRate: 0.4 } });
  });

  it('has no arrays of what the model does not have', () => {
    const names = (tokenization: ExportedTokenization) =>
      Object.keys(unzipSync(tokenizationNpz('cat.png', tokenization)));
    expect(names(fixedPatchesTokenization)).toEqual(['patch_codes.npy', 'levels.npy', 'settings.npy']);
    expect(names(fixedGlobalsTokenization)).toEqual(['global_codes.npy', 'levels.npy', 'settings.npy']);
  });

  it('is the file that NumPy is known to read', async () => {
    const bytes = tokenizationNpz('cat.png', tinyTokenization);
    // `TATOK_UPDATE=1` writes it anew after a deliberate change.
    if (process.env['TATOK_UPDATE'] !== undefined) await writeFile(fixture, bytes);
    expect(Buffer.from(bytes).equals(await readFile(fixture))).toBe(true);
  });
});
