/** `decode`: pictures of tokens, of a data set or of a file of one picture. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { readRegular } from '../bundle/regularFile';
import type { InferenceClient } from '../client/client';
import { mostBytes, readTokens } from '../export/npz';
import { requireSameModel } from '../export/tokens';
import { TatokError } from '../method/errors';
import { rowFilter } from '../method/rowFilter';
import type { ModelDescription, RankingCriterion } from '../method/types';
import type { DecodedTokens, ModelChoice } from '../protocol/engineMessages';
import { TokenDataset } from '../tokens/tokenDataset';
import { numberColumns, tokensOfRow, type TokenRow } from '../tokens/tokenRows';
import type { DecodeOptions } from './options';
import { imagePng } from './savedPictures';
import { complain, counted, ImageProgress, print } from './terminal';
import { terminalLine } from './report';
import { workersFor } from './tokenizeDataset';

/**
 * @param start another inference process.
 * @returns the exit status: 1 if a row could not be decoded.
 * @throws TatokError of the tokens, the model or the folder.
 */
export async function decodeTokens(
  options: DecodeOptions,
  directory: string,
  start: () => InferenceClient,
): Promise<number> {
  // A folder that is none says so.
  if (await isFolder(options.tokens)) return decodeDataset(options, directory, start);
  const client = start();
  if (options.where !== undefined) throw new TatokError('bad-settings', '--where chooses rows of a token data set.');
  const choice = { directory, providers: [options.provider] };
  const { model } = await client.prepareBatches(choice);
  const bytes = await readRegular(options.tokens, mostBytes);
  const { note, tokens } = readTokens(basename(options.tokens), bytes, model);
  if (note !== undefined) complain(note);
  const { pictures } = await client.decodeTokens({ choice, pictures: [tokens] });
  const [picture] = pictures;
  if (picture === undefined) throw new RangeError('there is no answer');
  if ('failure' in picture) throw new TatokError('tokens-invalid', `${options.tokens}: ${picture.failure}`);
  const name = basename(options.tokens).replace(/\.(tokens\.json|json|npz)$/i, '');
  const path = join(options.out, `${name}.reconstruction.png`);
  await mkdir(options.out, { recursive: true });
  await writeFile(path, await imagePng(picture.rgb, picture));
  print(terminalLine(path));
  return 0;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

async function decodeDataset(options: DecodeOptions, directory: string, start: () => InferenceClient): Promise<number> {
  const wanted = options.where === undefined ? () => true : rowFilter(options.where, numberColumns);
  const dataset = await TokenDataset.open(options.tokens);
  const { recipe } = dataset;
  const { batchSize, threads } = recipe;
  const provider = options.provider === 'auto' ? recipe.provider : options.provider;
  const choice: ModelChoice = { directory, providers: [provider], ...(threads !== undefined && { threads }) };
  const first = start();
  const { model } = await first.prepareBatches(choice);
  requireSameModel(basename(resolve(options.tokens)), recipe.model, model);
  if (provider !== recipe.provider) {
    complain(`The tokens were made on ${recipe.provider}: pictures of ${provider} may differ in their last bits.`);
  }
  const clients = [first, ...Array.from({ length: workersFor(provider, threads) - 1 }, start)];
  const ranking = dataset.settings?.ranking ?? 'entropy';
  const pictures = new PictureFolder(options.out);
  const progress = new ImageProgress(dataset.counts.rows - dataset.counts.failed, 0);
  let [written, failed, without] = [0, 0, 0];
  const decode = async (rows: readonly NamedRow[], client: InferenceClient) => {
    const failures = await decodeRows(rows, client, choice, model, ranking, batchSize, pictures);
    for (const failure of failures) complain(failure);
    failed += failures.length;
    written += rows.length - failures.length;
    progress.add(rows.length, failures.length);
  };
  const batches: Promise<void>[] = [];
  // The pictures of one batch are written while the next is decoded.
  const begin = async (rows: readonly NamedRow[]) => {
    await batches[batches.length - 2 * clients.length];
    const batch = decode(rows, clients[batches.length % clients.length] ?? first);
    batch.catch(() => undefined);
    batches.push(batch);
  };
  let batch: NamedRow[] = [];
  for await (const row of dataset.rows()) {
    if (row.error !== null) without++;
    else if (wanted(row) && batch.push({ row, name: pictures.nameFor(row.path) }) === batchSize) {
      await begin(batch);
      batch = [];
    }
  }
  if (batch.length > 0) await begin(batch);
  await Promise.all(batches);
  progress.end();
  const others = without === 0 ? '' : `; ${counted(without, 'row')} without tokens`;
  print(`${counted(written, 'picture')} in ${terminalLine(options.out)}${others}`);
  return failed === 0 ? 0 : 1;
}

interface NamedRow {
  readonly row: TokenRow;
  /** Of its picture. */
  readonly name: string;
}

/** Decodes rows together and writes a picture for each. @returns a sentence for each that could not be. */
async function decodeRows(
  rows: readonly NamedRow[],
  client: InferenceClient,
  choice: ModelChoice,
  model: ModelDescription,
  ranking: RankingCriterion,
  batchSize: number,
  folder: PictureFolder,
): Promise<string[]> {
  const read = rows.map(({ row }) => tokensOfRow(row, model, ranking));
  const tokens = read.flatMap((each) => ('failure' in each ? [] : [each]));
  const decoded =
    tokens.length === 0 ? [] : (await client.decodeTokens({ choice, pictures: tokens, batchSize })).pictures;
  const answers = decoded.values();
  const failures: string[] = [];
  await Promise.all(
    read.map(async (each, i) => {
      const [named, answer] = [rows[i], 'failure' in each ? each : answers.next().value];
      if (named === undefined || answer === undefined) throw new RangeError('a row has no answer');
      if ('failure' in answer) failures.push(`${named.row.path}: ${answer.failure}`);
      else if (!(await folder.write(named.name, answer))) {
        failures.push(`${named.row.path}: No picture can have this name beside the others.`);
      }
    }),
  );
  return failures;
}

/** Codes of the file system for a name that it does not take. */
const unusableName = new Set<unknown>(['ENAMETOOLONG', 'EEXIST', 'EISDIR', 'ENOTDIR']);

/** A folder of pictures that are named after paths. */
export class PictureFolder {
  private readonly names = new Set<string>();
  /** The last copy of a name that many paths share. */
  private readonly copies = new Map<string, number>();

  constructor(private readonly folder: string) {}

  /** @returns false where the file system has no place for the name: it is too long, or one is a folder and a file. */
  async write(name: string, picture: DecodedTokens): Promise<boolean> {
    const file = join(this.folder, name);
    try {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, await imagePng(picture.rgb, picture));
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && unusableName.has(error.code)) return false;
      throw error;
    }
  }

  /** `<path>.png`; for a second image of that path `<path>-2.png`. */
  nameFor(path: string): string {
    const stem = pathInside(path);
    let name = stem;
    for (let copy = (this.copies.get(stem) ?? 1) + 1; this.names.has(name); copy++) {
      name = `${stem}-${copy}`;
      this.copies.set(stem, copy);
    }
    this.names.add(name);
    return `${name}.png`;
  }
}

/** A relative path that leads out of no folder, with names that every file system takes: paths of archives may be anything. */
export function pathInside(path: string): string {
  const parts = path.split(/[/\\]+/).map((part) => part.replace(/[\p{Control}\p{Bidi_Control}<>:"|?*]/gu, '_'));
  const inside = parts.filter((part) => !/^\.*$/.test(part));
  return inside.length === 0 ? 'image' : inside.join('/');
}
