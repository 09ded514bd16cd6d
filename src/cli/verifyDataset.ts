/** `verify`: is a token data set what was written, and do its images still have these tokens? */
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { InferenceClient } from '../client/client';
import { requireSameModel } from '../export/tokens';
import { TatokError } from '../method/errors';
import { resolveSettings } from '../method/settings';
import { sourcesOf } from '../tokens/datasetRecipe';
import { ImageInputs } from '../tokens/inputs';
import { inputHash, TokenDataset } from '../tokens/tokenDataset';
import { rowsOf, sentenceOf } from '../tokens/tokenizeInputs';
import type { TokenRow } from '../tokens/tokenRows';
import type { VerifyOptions } from './options';
import { terminalLine } from './report';
import { complain, counted, grouped, print } from './terminal';

/**
 * Prints what was checked and what was found.
 *
 * @returns the exit status: 1 where anything is not as it must be; images that occur twice are a remark.
 * @throws TatokError of a folder that is no data set, of the model or the provider.
 */
export async function verifyDataset(
  options: VerifyOptions,
  directory: string,
  client: InferenceClient,
): Promise<number> {
  const dataset = await TokenDataset.open(options.dataset);
  const { shards, absent, counts } = dataset;
  let faults = 0;
  const fault = (line: string) => {
    faults++;
    complain(line);
  };
  if (absent.length > 0) fault(`${counted(absent.length, 'shard')} absent: tokenizing was not finished.`);
  const damaged = await dataset.damagedShards();
  for (const file of damaged) fault(`${file} is missing or damaged: its SHA-256 is not the one that was written.`);
  print(
    `${grouped(shards.length - damaged.length)} of ${counted(shards.length, 'shard')} with the bytes that were written.`,
  );
  if (damaged.length > 0) return 1;

  const found = await survey(dataset, options.sample);
  if (found.rows !== counts.rows || found.failed !== counts.failed) {
    fault(
      `dataset.json counts ${counts.rows} rows and ${counts.failed} failed, the shards ${found.rows} and ${found.failed}.`,
    );
  }
  const { repeated } = found;
  print(`${counted(found.rows, 'row')}, ${grouped(found.failed)} without tokens; ${repeatedText(repeated)}.`);
  const different = await compareSample(options, directory, client, dataset, found.sample);
  for (const line of different) fault(line);
  return faults === 0 ? 0 : 1;
}

interface Survey {
  readonly rows: number;
  readonly failed: number;
  /** Rows whose image another row has already. */
  readonly repeated: number;
  /** Rows with tokens by the place of their image among the inputs, spread evenly. */
  readonly sample: ReadonlyMap<number, TokenRow>;
}

async function survey(dataset: TokenDataset, sampled: number): Promise<Survey> {
  const ids = new Set<string>();
  const sample = new Map<number, TokenRow>();
  let [rows, failed, repeated] = [0, 0, 0];
  const withTokens = dataset.counts.rows - dataset.counts.failed;
  const step = Math.max(1, withTokens / sampled);
  let good = 0;
  for (const shard of dataset.shards) {
    let place = dataset.firstInputOf(shard);
    for (const row of await dataset.readShard(shard)) {
      rows++;
      if (row.id !== null && ids.has(row.id)) repeated++;
      if (row.id !== null) ids.add(row.id);
      if (row.error !== null) failed++;
      else if (good++ >= sample.size * step && sample.size < sampled) sample.set(place, row);
      place++;
    }
  }
  return { rows, failed, repeated, sample };
}

function repeatedText(repeated: number): string {
  return repeated === 0 ? 'no image occurs twice' : `${counted(repeated, 'row')} with the image of an earlier one`;
}

/** A line for each row whose image has other tokens now. */
async function compareSample(
  options: VerifyOptions,
  directory: string,
  client: InferenceClient,
  dataset: TokenDataset,
  sample: ReadonlyMap<number, TokenRow>,
): Promise<string[]> {
  if (sample.size === 0) return [];
  const { recipe } = dataset;
  const sources = options.inputs.length > 0 ? options.inputs : sourcesOf(recipe, resolve(options.dataset));
  if (sources === undefined) {
    print('Codes were not compared: the data set does not say where its images are, which may be given after it.');
    return [];
  }
  let inputs: ImageInputs;
  try {
    inputs = await ImageInputs.list(sources);
  } catch (error) {
    if (!(error instanceof TatokError)) throw error;
    print(
      `Codes were not compared: ${terminalLine(sentenceOf(error))} Where the images are now may be given after the data set.`,
    );
    return [];
  }
  const paths = Array.from(inputs, ({ path }) => path);
  if (inputHash(paths) !== recipe.input.hash) {
    return ['The images that are there are not those of the data set: names were added, removed or changed.'];
  }
  const provider = options.provider === 'auto' ? recipe.provider : options.provider;
  const choice = { directory, providers: [provider], ...(recipe.threads !== undefined && { threads: recipe.threads }) };
  const loaded = await client.prepareBatches(choice);
  const { model } = loaded;
  requireSameModel(options.dataset, recipe.model, model);
  const maker = {
    model,
    choice,
    settings: resolveSettings(dataset.settings ?? {}, model),
    provider: loaded.provider.provider,
    batchSize: recipe.batchSize,
    entropies: false,
    quality: false,
  };
  const again = await rowsOf(
    [...sample.keys()].map((place) => inputs.at(place)),
    [client],
    maker,
  );
  const different = [...sample.values()].flatMap((row, i) => {
    const now = again[i];
    const difference = now === undefined ? 'it has no answer' : differenceOf(row, now);
    return difference === undefined ? [] : [`${row.path}: ${difference}.`];
  });
  print(
    `${grouped(sample.size - different.length)} of ${counted(sample.size, 'image')} with the same codes when tokenized again on ${maker.provider}.`,
  );
  return different;
}

function differenceOf(row: TokenRow, now: TokenRow): string | undefined {
  if (row.id !== now.id) return 'the file was changed since';
  if (now.error !== null) return now.error.replace(/\.$/, '');
  const tokensOf = ({ global_codes, patch_codes, keep }: TokenRow) => [global_codes, patch_codes, keep && [...keep]];
  return isDeepStrictEqual(tokensOf(row), tokensOf(now)) ? undefined : 'its tokens are others now';
}
