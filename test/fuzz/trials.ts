/** Mutants are given to the real inference process, and what comes of each is judged. */
import { isDeepStrictEqual } from 'node:util';
import { imageSize } from 'image-size';
import { terminalLine } from '../../src/cli/report';
import type { InferenceClient } from '../../src/client/client';
import { readTokens } from '../../src/export/npz';
import { codeList } from '../../src/export/tokens';
import { codebookSize } from '../../src/method/codebook';
import { TatokError } from '../../src/method/errors';
import { shownSize } from '../../src/method/patch';
import { mainStream } from '../../src/method/streams';
import type { CropMode, Tokenization } from '../../src/method/types';
import type { LoadedModel, ModelChoice } from '../../src/protocol/engineMessages';
import { TokenDataset } from '../../src/tokens/tokenDataset';
import { structureOf } from './structure';
import { footprint, forgetPeak, watchedClient, type WatchedClient } from './watched';

/** One mutant. */
export interface Trial {
  /** What it is a mutant of, as a row of the report. */
  readonly kind: string;
  /** Says how to make it again. */
  readonly recipe: string;
  readonly directory: string;
  readonly file: Uint8Array;
  readonly cropMode: CropMode;
  /** True if the file is the mutant, and its stated size is that of the picture. */
  readonly sized: boolean;
  /** Tokens that are decoded in place of a picture: the file is theirs, by this name, or they are a data set in a folder. */
  readonly tokens?: { readonly name: string } | { readonly folder: string };
}

/** What came of a mutant. A finding is what must not be; all else is as it should be. */
export interface Outcome {
  readonly result: 'picture' | 'refusal';
  /** Of a refusal: its code and sentence, without the numbers and names that are the mutant's. */
  readonly sentence?: string | undefined;
  readonly findings: readonly string[];
  readonly seconds: number;
  /** MiB that the inference process had at most; undefined where the system does not tell. */
  readonly peak: number | undefined;
}

/** Bounds of one mutant: generous, so that a busy machine keeps them. */
export const bounds = {
  /** Of one step. */
  seconds: 60,
  /** Resident at most: a picture of 100 megapixels as samples, as RGB and beside it what it is made of. */
  residentMiB: 2048,
  /** Memory of its own that the system grants the process. */
  memoryMiB: 4096,
  /** The default of the editor's setting. */
  megapixels: 100,
  /** In tiles, each of which goes through the graphs. */
  tiledMegapixels: 0.25,
} as const;

/** An inference process that is given mutants, and must answer a sound request after each that it did not survive. */
export class Ordeal {
  /** @param ends lines of the process that tell of its end. */
  private constructor(
    private readonly watched: WatchedClient,
    private readonly ends: string[],
    private readonly sound: { readonly choice: ModelChoice; readonly file: Uint8Array },
    private readonly expected: string,
  ) {}

  /** @param modulePath of the bundled inference process. @param directory of a sound bundle. @param file a sound image. */
  static async begin(modulePath: string, directory: string, file: Uint8Array): Promise<Ordeal> {
    const ends: string[] = [];
    const watched = await watchedClient({
      modulePath,
      memoryMiB: bounds.memoryMiB,
      stepLimitMs: () => 1000 * bounds.seconds,
      log: (line) => {
        if (/inference process (ended|was replaced|is replaced)/.test(line)) ends.push(line);
      },
    });
    const choice = { directory, providers: ['cpu'] };
    // Rows of data sets are read without the process, which is to stay the same meanwhile.
    watched.client.acquire();
    return new Ordeal(watched, ends, { choice, file }, await answer(watched.client, { choice, file }));
  }

  get client(): InferenceClient {
    return this.watched.client;
  }

  end(): Promise<void> {
    return this.watched.dispose();
  }

  async try(trial: Trial): Promise<Outcome> {
    const { client } = this.watched;
    const pid = this.watched.pid();
    if (pid !== undefined) await forgetPeak(pid);
    this.ends.length = 0;
    const start = performance.now();
    const findings: string[] = [];
    let refusal: TatokError | undefined;
    try {
      findings.push(...(await faultsOf(client, trial)));
    } catch (error) {
      if (!(error instanceof TatokError)) findings.push(`no TatokError: ${String(error)}`);
      else findings.push(...faultsOfRefusal((refusal = error)));
    }
    const seconds = (performance.now() - start) / 1000;
    findings.push(...this.ends.map((line) => `the process did not survive: ${line}`));
    const peak = pid === undefined ? undefined : (await footprint(pid))?.peak;
    if (peak !== undefined && peak > bounds.residentMiB) findings.push(`memory: ${Math.round(peak)} MiB`);
    if (findings.length > 0) {
      const next = await answer(client, this.sound).catch(String);
      if (next !== this.expected) findings.push(`the next image was not tokenized as before: ${next.slice(0, 200)}`);
    }
    return {
      result: refusal === undefined ? 'picture' : 'refusal',
      sentence: refusal && `${refusal.code}: ${generalized(refusal.message)}`,
      findings,
      seconds,
      peak,
    };
  }
}

/** What is wrong with all that comes of a mutant. @throws what it is refused with. */
async function faultsOf(client: InferenceClient, trial: Trial): Promise<string[]> {
  const { directory, file, cropMode, tokens } = trial;
  const choice = { directory, providers: ['cpu'] };
  if (tokens === undefined) {
    const maxMegapixels = cropMode === 'tiles' ? bounds.tiledMegapixels : bounds.megapixels;
    return faultsOfPicture(await client.tokenize({ choice, file, settings: {}, cropMode, maxMegapixels }), trial);
  }
  if ('folder' in tokens) {
    const dataset = await TokenDataset.open(tokens.folder);
    let rows = 0;
    for await (const row of dataset.rows()) if (row.path !== '') rows++;
    const listed = dataset.shards.reduce((sum, shard) => sum + shard.rows, 0);
    return rows === listed ? [] : [`${rows} rows were read where dataset.json lists ${listed}`];
  }
  const { model } = await client.loadModel(choice);
  const { tokens: read } = readTokens(tokens.name, file, model);
  const [picture] = (await client.decodeTokens({ choice, pictures: [read] })).pictures;
  if (picture === undefined) return ['there is no answer'];
  if ('failure' in picture) throw new TatokError('tokens-invalid', picture.failure);
  return picture.rgb.length === 3 * read.width * read.height ? [] : ['the picture has not the size of its tokens'];
}

/** All that a sound image comes to, as text. */
async function answer(
  client: InferenceClient,
  { choice, file }: { readonly choice: ModelChoice; readonly file: Uint8Array },
): Promise<string> {
  const { tokens, reconstruction } = await client.tokenize({ choice, file, settings: {} });
  return JSON.stringify([codeList(tokens.globalCodes), codeList(tokens.patchCodes), [...reconstruction.rgb]]);
}

/** What is wrong with a picture and its tokens. */
function faultsOfPicture(tokenized: Tokenization & LoadedModel, { kind, file, cropMode, sized }: Trial): string[] {
  const { image, tokens, reconstruction, model } = tokenized;
  const { sourceWidth, sourceHeight, width, height, crop } = image;
  const shown = shownSize(image);
  const faults = Object.entries({
    'the picture has pixels that are missing': image.rgb.length !== 3 * shown.width * shown.height,
    'the reconstruction has pixels that are missing': reconstruction.rgb.length !== 3 * shown.width * shown.height,
    'the picture has not the size of its crop mode':
      cropMode === 'tiles'
        ? width !== sourceWidth || height !== sourceHeight
        : Math.max(width, height) !== model.imageSize.width || (cropMode === 'centre' && width !== height),
    'the crop is not in the picture':
      !(crop.left >= 0 && crop.top >= 0 && crop.width > 0 && crop.height > 0) ||
      crop.left + crop.width > sourceWidth ||
      crop.top + crop.height > sourceHeight,
    'a code is not in the codebook': [...codeList(tokens.globalCodes), ...codeList(tokens.patchCodes)].some(
      (code) => !(Number(code) >= 0 && Number(code) < codebookSize(mainStream(model).codebook)),
    ),
    'an estimate is no finite number': [...tokens.entropyBits, ...tokens.surprisalBits].some(
      (bits) => !Number.isFinite(bits),
    ),
    'the quality is no number': [reconstruction.psnr, reconstruction.ssim].some((value) => Number.isNaN(value)),
  });
  const found = faults.flatMap(([fault, holds]) => (holds ? [fault] : []));
  const stated = sized ? statedSize(kind, file) : undefined;
  const sides = ascending(sourceWidth, sourceHeight);
  const grown = image.format === 'gif' && stated?.every((side, i) => side <= (sides[i] ?? 0)) === true;
  if (stated !== undefined && !grown && !isDeepStrictEqual(stated, sides)) {
    found.push(`the file states ${stated.join('×')} pixels, the picture has ${sides.join('×')}`);
  }
  return found;
}

const ascending = (...sides: readonly number[]) => [...sides].sort((a, b) => a - b);

/** As another reader of headers has it, the shorter side first: some turn the picture. Undefined where it finds none. */
function statedSize(kind: string, file: Uint8Array): number[] | undefined {
  // Of a tag that comes again, it takes the last.
  if (kind === 'tiff' && repeatsTag(file)) return undefined;
  try {
    const { width, height } = imageSize(file);
    return ascending(width, height);
  } catch {
    return undefined;
  }
}

function repeatsTag(tiff: Uint8Array): boolean {
  const entries = structureOf('tiff', tiff).blocks.filter(({ start, end }) => end - start === 12 || end - start === 20);
  const tags = entries.map(({ start }) => Buffer.from(tiff.subarray(start, start + 2)).toString('hex'));
  return new Set(tags).size < tags.length;
}

/** What is wrong with an error that a user is shown. */
function faultsOfRefusal({ code, message, advice = '' }: TatokError): string[] {
  const found: string[] = [];
  if (code === 'inference-crashed' || code === 'time-limit' || code === 'memory-limit' || code === 'cancelled')
    found.push(`${code}: ${message}`);
  // As people get it.
  const [shown, text] = [message, `${message} ${advice}`].map(terminalLine) as [string, string];
  const ours =
    /^Tokenizing failed|(?<!received |with )\bundefined\b|\[object|\bNaN pixels|vips|onnxruntime\/core|ONNXRuntimeError|^\W*$/;
  if (ours.test(text)) found.push(`a sentence of no use to the reader: ${message.slice(0, 300)}`);
  else if (!/^\P{Ll}.*[^.!?][.!?]$/u.test(shown)) found.push(`no sentence: ${message.slice(0, 300)}`);
  if (text.length > 700) found.push(`a sentence of ${text.length} characters: ${message.slice(0, 100)}…`);
  return found;
}

/** A sentence without paths, names and numbers. */
function generalized(sentence: string): string {
  return sentence
    .replace(/\/\S*\//g, '')
    .replace(/"[^"]*"|“[^”]*”|'[^']*'/g, '“…”')
    .replace(/-?\d+(\.\d+)?(e[+-]?\d+)?/g, 'N')
    .slice(0, 200);
}
