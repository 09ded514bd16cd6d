/** `decode`: pictures of tokens, of a data set or of a file of one picture. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { readRegular } from '../bundle/regularFile';
import type { InferenceClient } from '../client/client';
import { readTokensNpz } from '../export/npz';
import { readTokenFile, requireSameModel, type TokenFile } from '../export/tokens';
import { TatokError } from '../method/errors';
import type { ModelDescription, RankingCriterion } from '../method/types';
import type { DecodedTokens, FailedPicture, ModelChoice, TokensToDecode } from '../protocol/engineMessages';
import { rowFilter } from '../tokens/rowFilter';
import { isTokenDataset, TokenDataset } from '../tokens/tokenDataset';
import { unpackBits, type TokenRow } from '../tokens/tokenRows';
import type { DecodeOptions } from './options';
import { imagePng } from './savedPictures';
import { complain, counted, ImageProgress, print } from './terminal';
import { terminalLine } from './report';

/** A token file has less: one of 268 megapixels has a million patches. */
const mostFileBytes = 2 ** 28;

/**
 * @returns the exit status: 1 if a row could not be decoded.
 * @throws TatokError of the tokens, the model or the folder.
 */
export async function decodeTokens(
  options: DecodeOptions,
  directory: string,
  client: InferenceClient,
): Promise<number> {
  if (await isTokenDataset(options.tokens)) return decodeDataset(options, directory, client);
  if (options.where !== undefined) throw new TatokError('bad-settings', '--where chooses rows of a token data set.');
  const choice = { directory, providers: [options.provider] };
  const { model } = await client.prepareBatches(choice);
  const file = await readTokens(options.tokens, model);
  if (file.note !== undefined) complain(file.note);
  const { pictures } = await client.decodeTokens({ choice, pictures: [file], batchSize: undefined });
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

/** Tokens of a `.tokens.json` or `.npz` file. @throws TatokError tokens-invalid; tokens-of-another-model. */
async function readTokens(path: string, model: ModelDescription): Promise<TokenFile> {
  const bytes = await readRegular(path, mostFileBytes);
  const name = basename(path);
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return readTokensNpz(name, bytes, model);
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new TatokError(
      'tokens-invalid',
      `${name} is neither a token data set nor a token file.`,
      'Give the folder of a data set, a .tokens.json or an .npz file.',
      { cause: error },
    );
  }
  return readTokenFile(name, content, model);
}

async function decodeDataset(options: DecodeOptions, directory: string, client: InferenceClient): Promise<number> {
  const wanted = options.where === undefined ? () => true : rowFilter(options.where);
  const dataset = await TokenDataset.open(options.tokens);
  const { recipe } = dataset;
  const provider = options.provider === 'auto' ? recipe.provider : options.provider;
  const choice: ModelChoice = {
    directory,
    providers: [provider],
    ...(recipe.threads !== undefined && { threads: recipe.threads }),
  };
  const { model } = await client.prepareBatches(choice);
  requireSameModel(basename(resolve(options.tokens)), recipe.model, model);
  if (provider !== recipe.provider) {
    complain(`The tokens were made on ${recipe.provider}: pictures of ${provider} may differ in their last bits.`);
  }
  const decoder = new RowDecoder(
    client,
    choice,
    model,
    recipe.batchSize,
    dataset.settings?.ranking ?? 'entropy',
    options.out,
  );
  const progress = new ImageProgress(recipe.input.count, 0);
  let [written, failed, without] = [0, 0, 0];
  const write = async (rows: readonly TokenRow[]) => {
    const failures = await decoder.write(rows);
    for (const failure of failures) complain(failure);
    failed += failures.length;
    written += rows.length - failures.length;
    progress.add(rows.length, failures.length);
  };
  let batch: TokenRow[] = [];
  // The pictures of one batch are written while the next is decoded.
  let writing = Promise.resolve();
  for await (const row of dataset.rows()) {
    if (row.error !== null) without++;
    else if (wanted(row) && batch.push(row) === recipe.batchSize) {
      await writing;
      writing = write(batch);
      writing.catch(() => undefined);
      batch = [];
    }
  }
  await writing;
  if (batch.length > 0) await write(batch);
  progress.end();
  const others = without === 0 ? '' : `; ${counted(without, 'row')} without tokens`;
  print(`${counted(written, 'picture')} in ${terminalLine(options.out)}${others}`);
  return failed === 0 ? 0 : 1;
}

/** The tokens of a row as the decoder wants them. @throws RangeError for a row that is not of the model. */
export function tokensOfRow(row: TokenRow, model: ModelDescription, ranking: RankingCriterion): TokensToDecode {
  const { imageSize, patchTokens } = model;
  const keep = row.keep === null ? new Uint8Array(patchTokens).fill(1) : unpackBits(row.keep, patchTokens);
  const kept = (row.patch_codes ?? []).values();
  const patchCodes = Int32Array.from(keep, (each) => (each === 1 ? (kept.next().value ?? -1) : 0));
  if (kept.next().done !== true) throw new RangeError('it has more codes than kept patches');
  const globalCodes = Int32Array.from(row.global_codes ?? []);
  return { width: imageSize, height: imageSize, globalCodes, patchCodes, keep, ranking };
}

class RowDecoder {
  private readonly names = new Set<string>();

  constructor(
    private readonly client: InferenceClient,
    private readonly choice: ModelChoice,
    private readonly model: ModelDescription,
    private readonly batchSize: number,
    private readonly ranking: RankingCriterion,
    private readonly out: string,
  ) {}

  /** Decodes rows together and writes a picture for each. @returns a sentence for each that could not be. */
  async write(rows: readonly TokenRow[]): Promise<string[]> {
    const settled = rows.map((row): TokensToDecode | FailedPicture => {
      try {
        return tokensOfRow(row, this.model, this.ranking);
      } catch (error) {
        return {
          failure: `The row does not fit the model: ${error instanceof Error ? error.message : String(error)}.`,
        };
      }
    });
    const pictures = settled.flatMap((each) => ('failure' in each ? [] : [each]));
    const { choice, batchSize } = this;
    const answers =
      pictures.length === 0 ? [] : (await this.client.decodeTokens({ choice, pictures, batchSize })).pictures;
    const next = answers.values();
    const failures: string[] = [];
    await Promise.all(
      rows.map(async ({ path }, i) => {
        const tokens = settled[i];
        const answer: DecodedTokens | FailedPicture | undefined =
          tokens === undefined || 'failure' in tokens ? tokens && { failure: tokens.failure } : next.next().value;
        if (answer === undefined) return;
        if ('failure' in answer) failures.push(`${path}: ${answer.failure}`);
        else await this.writePicture(path, answer);
      }),
    );
    return failures;
  }

  private async writePicture(path: string, picture: DecodedTokens): Promise<void> {
    const file = join(this.out, this.nameFor(path));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, await imagePng(picture.rgb, picture));
  }

  /** `<path>.png`; a second image of that path becomes `<path>-2.png`. */
  private nameFor(path: string): string {
    const stem = pathInside(path);
    let name = stem;
    for (let copy = 2; this.names.has(name); copy++) name = `${stem}-${copy}`;
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
