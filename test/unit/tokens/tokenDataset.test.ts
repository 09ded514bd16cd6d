/** Rows and shards of a token data set; `test/fixtures/tokens` holds both implementations to the same files. */
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inputHash, TokenDataset, type Recipe } from '../../../src/tokens/tokenDataset';
import {
  columns,
  failedRow,
  packBits,
  rowsFromParquet,
  rowsToParquet,
  toFloat16,
  unpackBits,
  type TokenRow,
} from '../../../src/tokens/tokenRows';
import { refusalOf } from '../refusal';

const fixtures = join(import.meta.dirname, '../../fixtures/tokens');

/** Rows as rows.json has them: `keep` as N values of 0 and 1. */
type RecordedRow = Omit<TokenRow, 'keep'> & { readonly keep: readonly number[] | null };

const recorded = async (): Promise<RecordedRow[]> =>
  (JSON.parse(await readFile(join(fixtures, 'rows.json'), 'utf8')) as { rows: RecordedRow[] }).rows;

const rowOf = (row: RecordedRow): TokenRow => ({ ...row, keep: row.keep && packBits(Uint8Array.from(row.keep)) });

const recipe: Recipe = {
  format: 'tatok-tokens',
  version: 1,
  model: { name: 'tiny', version: '0.0.1', hash: createHash('sha256').update('tiny').digest('hex') },
  image: [64, 64],
  grid: [4, 3],
  globalTokens: 2,
  codebookSize: 4096,
  settings: { lossRate: 0.5, edgePriority: 0, budget: 'image', conditioning: 'global' },
  provider: 'cpu',
  precision: 'float32',
  batchSize: 2,
  threads: 2,
  crop: 'centre',
  columns: { entropies: true, quality: true },
  input: {
    count: 5,
    hash: inputHash(['a/cat.jpg', 'a/dog.png', 'b/none.gif', 'Ж\u{1f600}.webp', 'z.tif']),
    sources: ['in'],
  },
  shardSize: 2,
};

let folder: string;

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'tatok-tokens-')), 'x.tokens');
});

afterEach(() => rm(join(folder, '..'), { recursive: true }));

async function written(rows: readonly TokenRow[]): Promise<TokenDataset> {
  const dataset = await TokenDataset.begin(folder, recipe);
  for (const shard of dataset.absent) await dataset.writeShard(shard, rows.slice(...dataset.inputsOf(shard)));
  return dataset;
}

async function allRows(dataset: TokenDataset): Promise<TokenRow[]> {
  const rows: TokenRow[] = [];
  for await (const row of dataset.rows()) rows.push(row);
  return rows;
}

describe('shared vectors', () => {
  it('are what is written', async () => {
    const rows = (await recorded()).map(rowOf);
    await written(rows);
    const kept = join(fixtures, 'typescript.tokens');
    // `TATOK_UPDATE=1` writes them anew after a deliberate change.
    if (process.env['TATOK_UPDATE'] !== undefined) {
      await rm(kept, { recursive: true, force: true });
      await cp(folder, kept, { recursive: true });
    }
    expect((await readdir(folder)).sort()).toEqual((await readdir(kept)).sort());
    for (const name of await readdir(kept)) {
      expect((await readFile(join(folder, name))).equals(await readFile(join(kept, name))), name).toBe(true);
    }
  });

  it('give the same rows, whichever implementation wrote them', async () => {
    const rows = (await recorded()).map(rowOf);
    const names = (await readdir(fixtures)).filter((name) => name.endsWith('.tokens'));
    expect(names).toContain('typescript.tokens');
    for (const name of names) {
      const dataset = await TokenDataset.open(join(fixtures, name));
      expect(await allRows(dataset), name).toEqual(rows);
      expect([dataset.counts, await dataset.damagedShards(), dataset.absent], name).toEqual([
        { rows: 5, failed: 1 },
        [],
        [],
      ]);
    }
  });
});

describe('rows', () => {
  it('come back from Parquet as they were', async () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const value = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: null });
    const codes = fc.option(fc.array(fc.nat({ max: 2 ** 32 - 1 })), { nil: null });
    const row = fc.record({
      path: fc.string({ unit: 'grapheme' }),
      label: fc.option(fc.string({ unit: 'grapheme' }), { nil: null }),
      width: fc.option(fc.nat({ max: 2 ** 31 - 1 }), { nil: null }),
      global_codes: codes,
      patch_codes: codes,
      keep: fc.option(bytes(3), { nil: null }),
      entropy: fc.option(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true })), { nil: null }),
      psnr: value,
      coded_bits: value,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (parts) => {
        const rows = parts.map((part): TokenRow => ({ ...failedRow(null, '', null, ''), error: null, ...part }));
        const back = await rowsFromParquet('x', new Uint8Array(rowsToParquet(rows)));
        expect(back).toEqual(rows.map((each) => ({ ...each, keep: each.keep && new Uint8Array(each.keep) })));
      }),
      { numRuns: 30 },
    );
  });

  it('have their columns in the order of the format', async () => {
    expect(columns.join(' ')).toBe(
      'id path label width height crop_x crop_y crop_width crop_height global_codes patch_codes keep entropy surprisal lost kept tokens payload_bits mask_bits coded_bits psnr ssim error',
    );
  });

  it('pack bits, the most significant first', () => {
    const keep = Uint8Array.of(1, 0, 0, 0, 0, 0, 1, 1, 0, 1);
    expect([...packBits(keep)]).toEqual([0b10000011, 0b01000000]);
    expect(unpackBits(packBits(keep), 10)).toEqual(keep);
    expect(() => unpackBits(Uint8Array.of(1), 9)).toThrow(RangeError);
  });

  it('round numbers to binary16, ties to even', () => {
    const values = [
      0,
      1,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      16 - 2 ** -8,
      15.998,
      2 ** -24,
      2 ** -25,
      3 * 2 ** -26,
      65519,
      65520,
      -0.1,
    ];
    expect(toFloat16(Float32Array.from(values))).toEqual([
      ...[0, 1, 1, 1 + 2 ** -9, 16 - 2 ** -7 + 2 ** -7, 16, 2 ** -24, 0, 2 ** -24, 65504, Infinity],
      -0.0999755859375,
    ]);
  });

  it('are refused where they are none', async () => {
    expect((await refusalOf(() => rowsFromParquet('part', Uint8Array.of(1, 2, 3)))).message).toMatch(
      /^part is no shard of tokens that can be read: /,
    );
  });
});

describe('a data set', () => {
  const rows = ['a', 'b', 'c', 'd', 'e'].map((path) => failedRow(null, path, null, `${path} is broken.`));

  it('is gone on with where it was stopped: what is whole stays, what was being written goes', async () => {
    const before = await TokenDataset.begin(folder, recipe);
    expect(before.absent).toEqual([0, 1, 2]);
    await before.writeShard(1, rows.slice(2, 4));
    await writeFile(join(folder, '.part-00002.parquet.0a1b2c3d'), 'half');
    await writeFile(join(folder, '.dataset.json.0a1b2c3d'), '{');
    const after = await TokenDataset.begin(folder, { ...recipe, threads: 1 });
    expect([after.absent, after.counts, after.recipe.threads]).toEqual([[0, 2], { rows: 2, failed: 2 }, 2]);
    expect((await readdir(folder)).sort()).toEqual(['dataset.json', 'part-00001.parquet']);
  });

  it('takes in a shard that was renamed just before it was stopped, and counts it', async () => {
    const before = await TokenDataset.begin(folder, recipe);
    await before.writeShard(0, rows.slice(0, 2));
    const description = await readFile(join(folder, 'dataset.json'));
    await before.writeShard(2, rows.slice(4));
    await writeFile(join(folder, 'dataset.json'), description);
    const after = await TokenDataset.begin(folder, recipe);
    expect([after.absent, after.counts, await after.damagedShards()]).toEqual([[1], { rows: 3, failed: 3 }, []]);
    await after.writeShard(1, rows.slice(2, 4));
    expect(await allRows(await TokenDataset.open(folder))).toEqual(rows);
  });

  it('does again a shard that was deleted', async () => {
    await written(rows);
    await rm(join(folder, 'part-00001.parquet'));
    const after = await TokenDataset.begin(folder, recipe);
    expect([after.absent, after.counts]).toEqual([[1], { rows: 3, failed: 3 }]);
  });

  it.each([
    [
      'another model',
      { model: { ...recipe.model, name: 'big', hash: 'f'.repeat(64) } },
      'another model (tiny, not big)',
    ],
    ['other settings', { settings: {} }, 'other settings'],
    ['other columns', { columns: { entropies: false, quality: true } }, 'other settings'],
    ['another provider', { provider: 'cuda' }, 'another provider'],
    ['another shard size', { shardSize: 3 }, 'another shard size'],
    ['other images', { input: { ...recipe.input, hash: 'f'.repeat(64) } }, 'other images'],
  ])('is not gone on with by %s', async (_name, change, says) => {
    await TokenDataset.begin(folder, recipe);
    const error = await refusalOf(() => TokenDataset.begin(folder, { ...recipe, ...change }));
    expect(error).toMatchObject({ code: 'bad-settings', message: `x.tokens was begun with ${says}.` });
  });

  it('needs a folder of its own', async () => {
    const parent = join(folder, '..');
    await writeFile(join(parent, 'thesis.tex'), '');
    expect((await refusalOf(() => TokenDataset.begin(parent, recipe))).message).toMatch(
      /has other files \(thesis\.tex\)/,
    );
    expect((await refusalOf(() => TokenDataset.open(parent))).message).toMatch(/is no token data set/);
  });

  it('keeps keys of dataset.json that it does not know', async () => {
    await TokenDataset.begin(folder, { ...recipe, note: 'mine', input: { ...recipe.input, origin: 'x' } });
    const dataset = await TokenDataset.begin(folder, recipe);
    await dataset.writeShard(0, rows.slice(0, 2));
    const content: unknown = JSON.parse(await readFile(join(folder, 'dataset.json'), 'utf8'));
    expect(content).toMatchObject({ note: 'mine', input: { origin: 'x' } });
  });

  it('notices shards whose bytes changed', async () => {
    const dataset = await written(rows);
    const path = join(folder, 'part-00002.parquet');
    const bytes = await readFile(path);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(path, bytes);
    expect(await dataset.damagedShards()).toEqual(['part-00002.parquet']);
  });

  it('is refused in a sentence where dataset.json is of a later version, or describes none', async () => {
    await TokenDataset.begin(folder, recipe);
    const description = JSON.parse(await readFile(join(folder, 'dataset.json'), 'utf8')) as object;
    const open = async (change: object) => {
      await writeFile(join(folder, 'dataset.json'), JSON.stringify({ ...description, ...change }));
      return (await refusalOf(() => TokenDataset.open(folder))).message;
    };
    expect(await open({ version: 2 })).toMatch(/has version 2 of the format; version 1 is read\.$/);
    // What would take this machine's memory or threads.
    expect(await open({ threads: 100_000 })).toMatch(/token data set: threads: /);
    expect(await open({ batchSize: 5000 })).toMatch(/token data set: batchSize: /);
    const input = { ...recipe.input, count: 4_000_000_000 };
    expect(await open({ input, shardSize: 1 })).toMatch(/token data set: input\.count: /);
    expect(await open({ grid: [4] })).toMatch(/does not describe a token data set: grid/);
    expect(await open({ shards: [{ file: '../x.parquet', rows: 1, sha256: 'f'.repeat(64) }] })).toMatch(
      /shards\.0\.file/,
    );
  });
});
