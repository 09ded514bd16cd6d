/** Fills a token data set: shard after shard, images in batches, files read and decoded while the model runs on those before. */
import { createHash } from 'node:crypto';
import type { InferenceClient } from '../client/client';
import { TatokError } from '../method/errors';
import { codeBits } from '../method/codebook';
import { mainStream } from '../method/streams';
import type { FilterSettings, ModelDescription } from '../method/types';
import type { ModelChoice, TokenizedPicture } from '../protocol/engineMessages';
import type { ImageInput, ImageInputs } from './inputs';
import type { TokenDataset } from './tokenDataset';
import { failedRow, packBits, toFloat16, type TokenRow } from './tokenRows';

/** What makes rows of images. */
export interface RowMaker {
  readonly model: ModelDescription;
  readonly choice: ModelChoice;
  readonly settings: FilterSettings;
  /** Every answer must come from it: another one would give some codes another value. */
  readonly provider: string;
  /** Images of every run of a graph. */
  readonly batchSize: number;
  readonly entropies: boolean;
  readonly quality: boolean;
  /** Larger images are rows without tokens; absent: as large as can be decoded. */
  readonly maxMegapixels?: number | undefined;
}

type OnRows = (rows: readonly TokenRow[], first: number) => void;

type Client = Pick<InferenceClient, 'tokenizePictures'>;

export interface DatasetRun {
  readonly dataset: TokenDataset;
  readonly inputs: Pick<ImageInputs, 'at'>;
  readonly maker: RowMaker;
  /** A process each, among which the batches of a shard are dealt out. */
  readonly clients: readonly Client[];
  /** Ends the run after the shard that is open. */
  readonly stop: AbortSignal;
  /** Told of rows as they are made, and of the place of the first one among the inputs. */
  readonly onRows: OnRows;
}

/** Batches that are asked for ahead of each process, so that their files are decoded when it is their turn. */
const ahead = 4;

/**
 * Writes the shards that are absent.
 *
 * @throws TatokError of the model or the provider, or of the disk. An image that fails is a row.
 */
export async function tokenizeInputs({ dataset, inputs, maker, clients, stop, onRows }: DatasetRun): Promise<void> {
  for (const shard of dataset.absent) {
    if (stop.aborted) return;
    const [first, end] = dataset.inputsOf(shard);
    const images = Array.from({ length: end - first }, (_, i) => inputs.at(first + i));
    const rows = await rowsOf(images, clients, maker, (made, place) => onRows(made, first + place));
    await dataset.writeShard(shard, rows);
  }
}

/**
 * A row for each image, in their order.
 *
 * @throws TatokError as {@link tokenizeInputs}, and where the model fails on every image.
 */
export async function rowsOf(
  images: readonly ImageInput[],
  clients: readonly Client[],
  maker: RowMaker,
  onRows: OnRows = () => undefined,
): Promise<TokenRow[]> {
  const [client] = clients;
  if (client === undefined) throw new RangeError('there is no process');
  const batches: Promise<readonly TokenRow[] | TatokError>[] = [];
  for (let first = 0; first < images.length; first += maker.batchSize) {
    await batches[batches.length - ahead * clients.length];
    const next = clients[batches.length % clients.length] ?? client;
    const batch = images.slice(first, first + maker.batchSize);
    batches.push(rowsOfBatch(batch, next, maker, (made) => onRows(made, first)));
    // It may fail before it is waited for.
    batches.at(-1)?.catch(() => undefined);
  }
  const rows: TokenRow[] = [];
  let failed: TatokError | undefined;
  let tokenized = 0;
  for (const [i, batch] of (await Promise.all(batches)).entries()) {
    if (!(batch instanceof TatokError)) {
      rows.push(...batch);
      tokenized += batch.filter(({ error }) => error === null).length;
      continue;
    }
    failed = batch;
    // One of them is at fault, or none: with nothing else under way it shows which.
    const first = i * maker.batchSize;
    for (const [place, image] of images.slice(first, first + maker.batchSize).entries()) {
      const alone = await rowsOfBatch([image], client, maker);
      const { id } = await readInput(image);
      const made = alone instanceof TatokError ? [failedRow(id, image.path, image.label, sentenceOf(alone))] : alone;
      if (made[0]?.error === null) tokenized++;
      rows.push(...made);
      onRows(made, first + place);
    }
  }
  if (failed !== undefined && tokenized === 0) throw failed;
  return rows;
}

/** Failures that one image may be the cause of: it ends the process, takes it forever or all memory, or gives numbers that are none. */
const maybeOfOneImage = new Set(['inference-crashed', 'inference-failed', 'time-limit', 'memory-limit']);

/** @returns the error where one of several images may be at fault. */
async function rowsOfBatch(
  images: readonly ImageInput[],
  client: Client,
  maker: RowMaker,
  onRows: (rows: readonly TokenRow[]) => void = () => undefined,
): Promise<readonly TokenRow[] | TatokError> {
  const read = await Promise.all(images.map(readInput));
  const files = read.flatMap(({ file }) => (file === undefined ? [] : [file]));
  try {
    const { choice, settings, quality, batchSize, maxMegapixels } = maker;
    const limit = maxMegapixels === undefined ? {} : { maxMegapixels };
    const answers =
      files.length === 0
        ? undefined
        : await client.tokenizePictures({ choice, files, settings, quality, batchSize, ...limit });
    if (answers !== undefined) requireProvider(answers.provider.provider, maker);
    const pictures = answers?.pictures.values();
    const rows = read.map(({ image: { path, label }, id, file, failure }) => {
      const answer = file === undefined ? undefined : pictures?.next().value;
      if (answer === undefined) return failedRow(id, path, label, failure ?? 'There is no answer for it.');
      return 'failure' in answer ? failedRow(id, path, label, answer.failure) : rowOf(id, path, label, answer, maker);
    });
    onRows(rows);
    return rows;
  } catch (error) {
    if (error instanceof TatokError && maybeOfOneImage.has(error.code)) return error;
    throw error;
  }
}

function requireProvider(provider: string, maker: RowMaker): void {
  if (provider === maker.provider) return;
  throw new TatokError(
    'provider-unavailable',
    `The provider ${maker.provider} failed, and ${provider} would give some codes another value.`,
    'Give the same command again, or choose another folder and the other provider.',
  );
}

interface ReadInput {
  readonly image: ImageInput;
  /** SHA-256 of the file. */
  readonly id: string | null;
  /** Undefined for one that is not there. */
  readonly file: Uint8Array | undefined;
  readonly failure?: string;
}

async function readInput(image: ImageInput): Promise<ReadInput> {
  try {
    const file = await image.read();
    return { image, file, id: createHash('sha256').update(file).digest('hex') };
  } catch (error) {
    return { image, file: undefined, id: null, failure: sentenceOf(error) };
  }
}

function rowOf(
  id: string | null,
  path: string,
  label: string | null,
  { geometry, tokens, lostBits, filtered, quality }: TokenizedPicture,
  { model, entropies }: RowMaker,
): TokenRow {
  const { crop } = geometry;
  const { keep } = filtered;
  const numbers = (values: Float32Array) => (entropies && model.filters ? toFloat16(values) : null);
  return {
    id,
    path,
    label,
    width: geometry.sourceWidth,
    height: geometry.sourceHeight,
    crop_x: crop.left,
    crop_y: crop.top,
    crop_width: crop.width,
    crop_height: crop.height,
    global_codes: model.globalTokens > 0 ? [...tokens.globalCodes] : null,
    patch_codes: model.patchTokens > 0 ? [...tokens.patchCodes.filter((_, i) => keep[i] === 1)] : null,
    keep: model.filters ? packBits(keep) : null,
    entropy: numbers(tokens.entropyBits),
    surprisal: numbers(tokens.surprisalBits),
    lost: entropies && model.filters ? [...lostBits] : null,
    kept: filtered.keptTokens,
    tokens: filtered.totalTokens,
    payload_bits: filtered.payloadBits,
    mask_bits: filtered.maskBits,
    coded_bits: model.filters ? codedBits(tokens.surprisalBits, keep, model) : null,
    psnr: quality?.psnr ?? null,
    ssim: quality?.ssim ?? null,
    error: null,
  };
}

/** Under a range coder that is driven by q(z | G): global tokens at fixed length, then Σ_S s. */
function codedBits(surprisal: Float32Array, keep: Uint8Array, model: ModelDescription): number {
  const globalBits = model.globalTokens * codeBits(mainStream(model).codebook);
  return surprisal.reduce((bits, s, i) => (keep[i] === 1 ? bits + s : bits), globalBits);
}

/** One sentence, with plain words in place of the system's codes. */
export function sentenceOf(error: unknown): string {
  if (error instanceof TatokError) {
    return error.advice === undefined ? error.message : `${error.message} ${error.advice}`;
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'There is no such file.';
  if (code === 'EISDIR') return 'It is a folder, not an image.';
  if (code === 'EACCES') return 'It may not be read or written.';
  return error instanceof Error ? error.message : String(error);
}
