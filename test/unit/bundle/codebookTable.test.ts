import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodebookTable, readTable } from '../../../src/bundle/codebookTable';
import type { Manifest } from '../../../src/bundle/formatTwo';
import { npy, type NpyArray } from '../../../src/method/npy';

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tatok-table-'))));
afterEach(() => rm(folder, { recursive: true }));

const streams: Manifest['streams'] = [
  { name: 'patch_codes', kind: 'grid', rows: 2, columns: 2, codebook: 'b', depth: 1, prefix: false },
];

/** Reads a table that the manifest promises as 3 vectors of 2 numbers. */
async function read(array: NpyArray | Uint8Array, change = {}): Promise<CodebookTable | undefined> {
  const bytes = array instanceof Uint8Array ? array : npy(array);
  await writeFile(join(folder, 'b.npy'), bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const files = [{ path: 'b.npy', bytes: bytes.length, sha256, ...change }];
  const codebooks: Manifest['codebooks'] = { b: { kind: 'vq', size: 3, dimensions: 2, file: 'b.npy' } };
  return readTable(folder, { streams, codebooks, files }, 'patch_codes');
}

describe('the table of a codebook', () => {
  it('has the entries next to one, by their Euclidean distance', async () => {
    const table = await read({ kind: 'float32', shape: [3, 2], values: [0, 0, 3, 4, 1, 0] });
    expect(table?.nearest(0, 5)).toEqual([
      { code: 2, distance: 1 },
      { code: 1, distance: 5 },
    ]);
    expect(table?.nearest(1, 1)).toEqual([{ code: 2, distance: Math.sqrt(20) }]);
  });

  it('names equal entries in their order', () => {
    const table = new CodebookTable(Float32Array.of(1, 1, 1, 1), 1);
    expect(table.nearest(2, 2).map(({ code }) => code)).toEqual([0, 1]);
  });

  it.each<Manifest['codebooks'][string]>([
    { kind: 'vq', size: 3, dimensions: undefined, file: undefined },
    { kind: 'fsq', levels: [3] },
  ])('is none of a codebook of $kind without one', async (codebook) => {
    expect(await readTable(folder, { streams, codebooks: { b: codebook }, files: [] }, 'patch_codes')).toBeUndefined();
  });

  it('is refused in another shape, of text, and of bytes that are no array', async () => {
    const message = 'b.npy is not the table of 3 vectors of 2 numbers: ';
    const other = read({ kind: 'float32', shape: [2, 3], values: [0, 0, 3, 4, 1, 0] });
    await expect(other).rejects.toMatchObject({ code: 'model-invalid', message: `${message}its shape is [2, 3].` });
    await expect(read(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({ message: `${message}it is no .npy.` });
    await expect(read({ kind: 'text', text: 'abc' })).rejects.toMatchObject({ code: 'model-invalid' });
  });

  it('is read from the file that the manifest lists alone', async () => {
    const damaged = read({ kind: 'float32', shape: [3, 2], values: [0, 0, 3, 4, 1, 0] }, { sha256: '0'.repeat(64) });
    await expect(damaged).rejects.toMatchObject({ code: 'model-file-corrupt' });
  });
});
