/** Token files, JSON and NPZ, written and read again; files of earlier versions; files that are none. */
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { npy, readNpy } from '../../../src/method/npy';
import { readTokens, readTokensNpz, tokenizationNpz } from '../../../src/export/npz';
import { patchesCsv } from '../../../src/export/patches';
import { readTokenFile, tokensRecord } from '../../../src/export/tokens';
import { refusalOf } from '../refusal';
import { fixedGlobalsTokenization, fixedPatchesTokenization, tinyTokenization } from './tokenization';

const { model } = tinyTokenization;
const written = () => JSON.parse(JSON.stringify(tokensRecord(tinyTokenization))) as Record<string, unknown>;

const tiny = {
  tokens: {
    width: 24,
    height: 16,
    globalCodes: Int32Array.of(1, 5),
    patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
    keep: Uint8Array.of(0, 0, 0, 0, 1, 1),
    ranking: 'entropy',
  },
  cropMode: 'fit',
  settings: { lossRate: 0.4, edgePriority: 0, budget: 'image', ranking: 'entropy' },
  edits: { forcedKept: [], forcedDropped: [], replaced: [] },
  note: undefined,
};

describe('a token file', () => {
  it('gives its tokens again, from JSON and from NPZ', async () => {
    expect(readTokenFile('cat.tokens.json', written(), model)).toEqual(tiny);
    expect(readTokensNpz('cat.npz', tokenizationNpz('cat.png', tinyTokenization), model)).toEqual(tiny);
  });

  it('keeps every token of a model that can drop none', async () => {
    const patches = fixedPatchesTokenization;
    const record: unknown = JSON.parse(JSON.stringify(tokensRecord(patches)));
    expect(readTokenFile('a', record, patches.model)).toMatchObject({
      tokens: { globalCodes: new Int32Array(), keep: tiny.tokens.keep.map(() => 1) },
    });
    const npz = tokenizationNpz('cat.png', fixedGlobalsTokenization);
    expect(readTokensNpz('a', npz, fixedGlobalsTokenization.model)).toMatchObject({
      tokens: { globalCodes: tiny.tokens.globalCodes, patchCodes: new Int32Array(), keep: new Uint8Array() },
    });
  });

  it('has experiments in its codes and kept set, and beside them what they were', () => {
    const keep = Uint8Array.of(0, 0, 0, 1, 0, 1);
    const edited = {
      ...tinyTokenization,
      edits: {
        forcedKept: [3],
        forcedDropped: [4],
        replaced: [
          { token: 'global', index: 1, code: 0 },
          { token: 'patch', index: 3, code: 1 },
        ],
      },
      reconstruction: { ...tinyTokenization.reconstruction, keep },
    } as const;
    const read = {
      ...tiny,
      tokens: {
        ...tiny.tokens,
        keep,
        globalCodes: Int32Array.of(1, 0),
        patchCodes: Int32Array.of(0, 1, 2, 1, 4, 5),
      },
      edits: {
        forcedKept: [3],
        forcedDropped: [4],
        replaced: [
          { token: 'global', index: 1, original: 5 },
          { token: 'patch', index: 3, original: 3 },
        ],
      },
    };
    expect(readTokenFile('a', JSON.parse(JSON.stringify(tokensRecord(edited))), model)).toEqual(read);
    expect(readTokensNpz('a', tokenizationNpz('cat.png', edited), model)).toEqual(read);
    // The table has them too.
    const [names = '', ...lines] = patchesCsv(edited).trimEnd().split('\n');
    const column = (name: string) => lines.map((line) => line.split(',')[names.split(',').indexOf(name)]);
    expect(column('code')).toEqual(['0', '1', '2', '1', '4', '5']);
    expect(column('original_code')).toEqual(['', '', '', '3', '', '']);
    expect(column('forced')).toEqual(['', '', '', '1', '0', '']);
    expect(column('kept')).toEqual(['0', '0', '0', '1', '0', '1']);
  });

  it('is refused by another model, with both names', async () => {
    const other = { ...model, name: 'large', version: '2', hash: 'b'.repeat(64) };
    expect(await refusalOf(() => readTokenFile('cat.tokens.json', written(), other))).toMatchObject({
      code: 'tokens-of-another-model',
      message: `cat.tokens.json has tokens of the model tiny 0 (${'a'.repeat(12)}…), not of large 2 (${'b'.repeat(12)}…).`,
    });
    // The same name and version do not make the same model.
    expect((await refusalOf(() => readTokenFile('a', written(), { ...model, hash: 'b'.repeat(64) }))).code).toBe(
      'tokens-of-another-model',
    );
  });

  it.each([
    ['no object', 7, 'a is no token file'],
    ['another format', { format: 'x' }, 'a is no token file: format: '],
    ['a later version', { ...written(), version: 2 }, 'a has version 2 of the format; version 1 is read.'],
    ['a code below 0', { ...written(), patchCodes: [-1] }, 'a is no token file: patchCodes.0: '],
    [
      'a code that 32 bits would make another',
      { ...written(), patchCodes: [2 ** 32] },
      'a is no token file: patchCodes.0: ',
    ],
    ['a mask of other numbers', { ...written(), keep: [2] }, 'a is no token file: keep.0: '],
    [
      'a setting that there is not',
      { ...written(), settings: { lossRate: 0.4, edgePriority: 0, budget: 'none', conditioning: 'global' } },
      'a is no token file: settings.budget: The budget must be image or reference.',
    ],
  ])('is refused with a sentence: %s', async (_name, content, says) => {
    const { code, message } = await refusalOf(() => readTokenFile('a', content, model));
    expect([code, message.startsWith(says)]).toEqual(['tokens-invalid', true]);
    expect(message).toMatch(/[^.]\.$/);
  });
});

describe('a file of an earlier version', () => {
  it('opens with a note: JSON without format, hash and settings', async () => {
    const { format: _, version: __, settings: ___, edits: ____, ...rest } = written();
    const earlier = { ...rest, model: { name: 'tiny', version: '0' } };
    const read = readTokenFile('cat.tokens.json', earlier, { ...model, hash: 'c'.repeat(64) });
    expect(read).toEqual({ ...tiny, settings: model.defaults, note: read.note });
    expect(read.note).toBe(
      'cat.tokens.json is of an earlier version: it does not name the hash of its model, nor the ranking, for which the model’s own is taken (entropy). It is decoded by tiny 0.',
    );
    expect(
      (await refusalOf(() => readTokenFile('a', { ...earlier, model: { name: 'tiny', version: '1' } }, model))).code,
    ).toBe('tokens-of-another-model');
  });

  const earlierNpz = (crop: object, rows: number, columns: number) =>
    zipSync({
      'global_codes.npy': npy({ kind: 'int32', shape: [2], values: [1, 5] }),
      'patch_codes.npy': npy({ kind: 'int32', shape: [rows, columns], values: new Int32Array(rows * columns) }),
      'keep.npy': npy({ kind: 'bool', shape: [rows, columns], values: new Uint8Array(rows * columns) }),
      'settings.npy': npy({
        kind: 'text',
        text: JSON.stringify({
          model: { name: 'tiny', version: '0' },
          source: { width: 99, height: 99, crop },
          settings: { lossRate: 0.5, edgePriority: 0, budget: 'image', conditioning: 'distortion' },
        }),
      }),
    });

  it.each([
    ['the centre', { width: 48, height: 32 }, [2, 3], [24, 16]],
    ['fitted', { width: 60, height: 30 }, [2, 3], [24, 12]],
    ['a tile', { width: 20, height: 7 }, [1, 3], [20, 7]],
  ] as const)(
    'opens with a note: NPZ without the size that was tokenized, %s',
    (_name, crop, grid, [width, height]) => {
      const { note, ...read } = readTokensNpz(
        'cat.npz',
        earlierNpz({ left: 0, top: 0, ...crop }, grid[0], grid[1]),
        model,
      );
      expect(read.tokens).toMatchObject({ width, height, ranking: 'distortion', globalCodes: Int32Array.of(1, 5) });
      expect(note).toMatch(/^cat.npz is of an earlier version: it does not name the hash of its model\. /);
    },
  );

  it('is refused where its arrays do not fit', async () => {
    expect(
      (await refusalOf(() => readTokensNpz('cat.npz', earlierNpz({ width: 48, height: 48 }, 5, 5), model))).message,
    ).toBe('cat.npz is no token file: its arrays do not fit the crop that its settings name.');
  });
});

describe('reading NPZ', () => {
  it.each([
    ['no archive', new Uint8Array([0x50, 0x4b, 3, 4, 5]), /^a is no token file: /],
    ['no settings', zipSync({ 'x.npy': new Uint8Array(3) }), /has no settings of TaTok/],
    ['settings that are no object', zipSync({ 'settings.npy': npy({ kind: 'text', text: 'null' }) }), /are no JSON/],
    ['settings that are no JSON', zipSync({ 'settings.npy': npy({ kind: 'text', text: '{' }) }), /are no JSON/],
    ['an array that is none', zipSync({ 'keep.npy': new Uint8Array(200) }), /it is no \.npy/],
  ])('refuses %s', async (_name, bytes, says) => {
    const { code, message } = await refusalOf(() => readTokensNpz('a', bytes, model));
    expect(code).toBe('tokens-invalid');
    expect(message).toMatch(says);
  });

  it('refuses a file that is larger than any, before it is looked into', async () => {
    expect((await refusalOf(() => readTokens('a', new Uint8Array(2 ** 28 + 1), model))).message).toMatch(
      /^a is no token file: it has 268435457 bytes/,
    );
  });

  it('refuses an array that unpacks to more than a token file can have, before it does', async () => {
    const bytes = Buffer.from(zipSync({ 'keep.npy': new Uint8Array(100) }));
    // The size in the central directory, which is what readers go by.
    bytes.writeUInt32LE(2 ** 31, bytes.lastIndexOf('PK\u0001\u0002') + 24);
    expect((await refusalOf(() => readTokensNpz('a', bytes, model))).message).toMatch(/keep\.npy has 2147483648 bytes/);
  });

  it('reads arrays as NumPy writes them', async () => {
    const file = (descr: string, shape: string, data: number[], order = 'False') => {
      const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
      const bytes = [0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0, ...Buffer.from(header), ...data];
      return Uint8Array.from(bytes);
    };
    expect(readNpy(file('<u2', '(2,)', [1, 0, 255, 255]))).toEqual({ shape: [2], values: [1, 65535] });
    expect(readNpy(file('<i8', '(1, 1)', [254, 255, 255, 255, 255, 255, 255, 255]))).toEqual({
      shape: [1, 1],
      values: [-2],
    });
    expect(() => readNpy(file('<i4', '(2,)', [1, 2]))).toThrow(/do not fill/);
    expect(() => readNpy(file('|O', '(1,)', [1]))).toThrow(/type is not read/);
    expect(() => readNpy(file('<c8', '(1,)', [1]))).toThrow(/type c8 is not read/);
    expect(() => readNpy(file('|b1', '(1, 2)', [0, 1], 'True'))).toThrow(/Fortran/);
  });
});
