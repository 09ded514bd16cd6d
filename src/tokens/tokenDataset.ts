/** A token data set: a folder with `dataset.json` and shards of rows, each of which is whole or absent. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { readRegular, sha256OfFile } from '../bundle/regularFile';
import { TatokError } from '../method/errors';
import { filterRecordSchema, settingsOf } from '../method/settings';
import type { FilterSettings } from '../method/types';
import { rowsFromParquet, rowsToParquet, type Column, type TokenRow } from './tokenRows';

export const datasetVersion = 1;

const count = z.int().nonnegative();
const positive = z.int().positive();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');

/** Images of a run, and threads: what a data set of others asks for is done on this machine. */
const mostAtOnce = 1024;

/** What every row has in common, and which images they are of. Keys that are not named here are kept. */
const recipeSchema = z.looseObject({
  format: z.literal('tatok-tokens'),
  version: z.literal(datasetVersion),
  /** `hash`: SHA-256 of the bytes of the bundle's manifest, which lists those of its graphs. */
  model: z.looseObject({ name: z.string(), version: z.string().optional(), hash: sha256 }),
  /** Rows and columns of patches. */
  grid: z.tuple([positive, positive]),
  globalTokens: count,
  /** Of the filter; empty for a model that can drop nothing. */
  settings: z.union([filterRecordSchema, z.strictObject({})]),
  provider: z.string(),
  precision: z.string(),
  /** Images of every run of a graph. */
  batchSize: positive.max(mostAtOnce),
  /** Of a graph on the CPU; absent: ONNX Runtime's choice. */
  threads: positive.max(mostAtOnce).optional(),
  crop: z.literal('centre'),
  /** Which optional columns are filled. */
  columns: z.object({ entropies: z.boolean(), quality: z.boolean() }).optional(),
  /** `hash`: SHA-256 of all paths in their order, with line feeds between them. `sources`: where the inputs were. */
  input: z.looseObject({ count, hash: sha256, sources: z.array(z.string()).optional() }),
  shardSize: positive,
});
export type Recipe = z.output<typeof recipeSchema>;

const noCounts = { rows: 0, failed: 0 };

/** Shards of a data set, which are counted one by one. */
const mostShards = 2 ** 22;

const datasetSchema = recipeSchema
  .extend({
    counts: z.object({ rows: count, failed: count }).default(noCounts),
    shards: z
      .array(z.looseObject({ file: z.string().regex(/^part-\d{5,}\.parquet$/), rows: count, sha256 }))
      .default([]),
  })
  .refine(({ input, shardSize }) => input.count <= shardSize * mostShards, {
    path: ['input', 'count'],
    message: `must be at most that of ${mostShards} shards`,
  });
type Description = z.output<typeof datasetSchema>;
export type Shard = Description['shards'][number];

const descriptionName = 'dataset.json';
/** A million shards have less. */
const mostDescriptionBytes = 2 ** 28;
/** More than a shard of a million rows has. */
const mostShardBytes = 2 ** 31 - 1;

/** Of what is being written: never the name of a shard. */
const aside = /^\.(part-\d{5,}\.parquet|dataset\.json)\.[0-9a-f]+$/;

export class TokenDataset {
  private writing = Promise.resolve();

  private constructor(
    readonly folder: string,
    private description: Description,
  ) {}

  /** @throws TatokError tokens-invalid for a folder that is no token data set. */
  static async open(folder: string): Promise<TokenDataset> {
    return new TokenDataset(folder, await readDescription(folder));
  }

  /**
   * Begins a data set, or goes on with one of the same model, settings and inputs: shards that are there stay. `threads`, `batchSize` and
   * `input.sources` are those that it was begun with.
   *
   * @throws TatokError bad-settings for a folder that has something else.
   */
  static async begin(folder: string, recipe: Recipe): Promise<TokenDataset> {
    await mkdir(folder, { recursive: true });
    const names = await readdir(folder);
    if (!names.includes(descriptionName)) {
      const other = names.find((name) => !aside.test(name));
      if (other !== undefined) {
        throw new TatokError('bad-settings', `${folder} has other files (${other}).`, 'Choose a new folder.');
      }
      const dataset = new TokenDataset(folder, datasetSchema.parse(recipe));
      await dataset.writeDescription();
      return dataset;
    }
    const dataset = await TokenDataset.open(folder);
    dataset.requireSame(recipe);
    // What was being written when it was stopped.
    for (const name of names) if (aside.test(name)) await rm(join(folder, name), { force: true });
    await dataset.adopt(names);
    return dataset;
  }

  get recipe(): Recipe {
    return this.description;
  }

  /** Of the filter; undefined for a model that can drop nothing. */
  get settings(): FilterSettings | undefined {
    const { success, data } = filterRecordSchema.safeParse(this.description.settings);
    return success ? settingsOf(data) : undefined;
  }

  get counts(): Description['counts'] {
    return this.description.counts;
  }

  /** Those that are whole, in their order. */
  get shards(): readonly Shard[] {
    return this.description.shards;
  }

  /** Numbers of the shards that are absent. */
  get absent(): number[] {
    const present = new Set(this.shards.map(({ file }) => file));
    const { input, shardSize } = this.description;
    return Array.from({ length: Math.ceil(input.count / shardSize) }, (_, shard) => shard).filter(
      (shard) => !present.has(shardName(shard)),
    );
  }

  /** The first input of a shard, and the one after its last. */
  inputsOf(shard: number): readonly [number, number] {
    const { input, shardSize } = this.description;
    return [shard * shardSize, Math.min(input.count, (shard + 1) * shardSize)];
  }

  /** Place of a shard's first image among the inputs. */
  firstInputOf(shard: Shard): number {
    return shardNumber(shard) * this.description.shardSize;
  }

  /** Writes a shard: aside, flushed to the disk, renamed. Shards may be written at the same time. */
  async writeShard(shard: number, rows: readonly TokenRow[]): Promise<void> {
    const bytes = rowsToParquet(rows);
    await replaceFile(this.folder, shardName(shard), bytes);
    const entry = { file: shardName(shard), rows: rows.length, sha256: hashOf(bytes) };
    this.writing = this.writing.then(async () => {
      this.add(entry, rows);
      await this.writeDescription();
    });
    await this.writing;
  }

  /**
   * @param columns that are wanted, `path` among them; the others are null. Absent: all.
   * @throws TatokError tokens-invalid for a shard that is missing or cannot be read.
   */
  async readShard({ file }: Pick<Shard, 'file'>, columns?: readonly Column[]): Promise<TokenRow[]> {
    const path = join(this.folder, file);
    const bytes = await readRegular(path, mostShardBytes).catch((error: unknown) => {
      throw new TatokError('tokens-invalid', `${path} is missing or cannot be read.`, undefined, { cause: error });
    });
    return rowsFromParquet(path, bytes, columns);
  }

  /** All rows, a shard at a time. @throws as {@link readShard}. */
  async *rows(): AsyncGenerator<TokenRow> {
    for (const shard of this.shards) yield* await this.readShard(shard);
  }

  /** Names of shards whose bytes are no longer those that were written, or that are missing. */
  async damagedShards(): Promise<string[]> {
    const damaged: string[] = [];
    for (const { file, sha256: written } of this.shards) {
      const found = await sha256OfFile(join(this.folder, file)).catch(() => undefined);
      if (found !== written) damaged.push(file);
    }
    return damaged;
  }

  private requireSame(recipe: Recipe): void {
    const { description, folder } = this;
    const parts = {
      'another model': ({ model }: Recipe) => model.hash,
      'other settings': ({ settings, crop, columns }: Recipe) => [settings, crop, columns],
      'another provider': ({ provider, precision }: Recipe) => [provider, precision],
      'another shard size': ({ shardSize }: Recipe) => shardSize,
      'other images': ({ input }: Recipe) => [input.count, input.hash],
    };
    const differing = Object.entries(parts).find(([, part]) => !isDeepStrictEqual(part(description), part(recipe)));
    if (differing === undefined) return;
    const names = differing[0] === 'another model' ? ` (${description.model.name}, not ${recipe.model.name})` : '';
    throw new TatokError(
      'bad-settings',
      `${basename(folder)} was begun with ${differing[0]}${names}.`,
      'Give the same arguments to go on with it, or choose a new folder.',
    );
  }

  /** Takes in shards that were written just before it was stopped, and leaves out those that were deleted. */
  private async adopt(names: readonly string[]): Promise<void> {
    const { shards, counts, input, shardSize } = this.description;
    const whole = Array.from({ length: Math.ceil(input.count / shardSize) }, (_, shard) => shardName(shard));
    const present = whole.filter((file) => names.includes(file));
    const isListed = (file: string) => shards.some((shard) => shard.file === file);
    // The counts are those of all shards that are listed.
    const complete = shards.every(({ file }) => present.includes(file));
    if (complete && present.every(isListed)) return;
    this.description = { ...this.description, ...(complete ? { shards, counts } : { shards: [], counts: noCounts }) };
    for (const file of present) {
      if (complete && isListed(file)) continue;
      const rows = await this.readShard({ file });
      this.add({ file, rows: rows.length, sha256: await sha256OfFile(join(this.folder, file)) }, rows);
    }
    await this.writeDescription();
  }

  private add(shard: Shard, rows: readonly TokenRow[]): void {
    const { shards, counts } = this.description;
    const others = shards.filter(({ file }) => file !== shard.file);
    this.description = {
      ...this.description,
      shards: [...others, shard].sort((a, b) => shardNumber(a) - shardNumber(b)),
      counts: {
        rows: counts.rows + rows.length,
        failed: counts.failed + rows.filter(({ error }) => error !== null).length,
      },
    };
  }

  private async writeDescription(): Promise<void> {
    const text = `${JSON.stringify(this.description, null, 2)}\n`;
    await replaceFile(this.folder, descriptionName, new TextEncoder().encode(text));
  }
}

function shardName(shard: number): string {
  return `part-${String(shard).padStart(5, '0')}.parquet`;
}

function shardNumber({ file }: Shard): number {
  return Number(/\d+/.exec(file)?.[0]);
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Hash of the paths of all inputs, as `input.hash` has it. */
export function inputHash(paths: Iterable<string>): string {
  const hash = createHash('sha256');
  let first = true;
  for (const path of paths) {
    hash.update(first ? path : `\n${path}`);
    first = false;
  }
  return hash.digest('hex');
}

/** True for a folder that has a `dataset.json`. */
export async function isTokenDataset(path: string): Promise<boolean> {
  return (await stat(join(path, descriptionName)).catch(() => undefined))?.isFile() === true;
}

async function readDescription(folder: string): Promise<Description> {
  const path = join(folder, descriptionName);
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(await readRegular(path, mostDescriptionBytes)));
  } catch (error) {
    throw new TatokError(
      'tokens-invalid',
      `${folder} is no token data set: it has no ${descriptionName} that can be read.`,
      undefined,
      {
        cause: error,
      },
    );
  }
  const header = z.object({ format: z.literal('tatok-tokens'), version: z.int() }).safeParse(content);
  if (header.success && header.data.version !== datasetVersion) {
    throw new TatokError(
      'tokens-invalid',
      `${path} has version ${header.data.version} of the format; version ${datasetVersion} is read.`,
      'Use a later version of TaTok Inspector.',
    );
  }
  const result = datasetSchema.safeParse(content);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  // Some messages of schemas are sentences themselves.
  const fault = (issue?.message ?? 'invalid').replace(/\.$/, '');
  throw new TatokError(
    'tokens-invalid',
    `${path} does not describe a token data set: ${issue?.path.join('.') ?? ''}: ${fault}.`,
  );
}

/** Has a file be its old content or its new one at any moment, also after a loss of power. */
async function replaceFile(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(folder, `.${name}.${randomBytes(4).toString('hex')}`);
  const file = await open(temporary, 'wx');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, name));
  // The name is flushed too. Windows knows no folders that can be opened.
  const directory = await open(folder).catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}
