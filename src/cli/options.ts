/** The command line of `npm run tokenize`. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import * as z from 'zod/mini';
import { defaultTimeLimitSeconds } from '../client/runningProcess';
import { conditionings, filterSchema, rankingOf, type Conditioning } from '../method/settings';
import { cropModes, type CropMode, type FilterSettings } from '../method/types';

/** Options of every command. */
interface CommonOptions {
  readonly provider: Provider;
  readonly model: string | undefined;
  /** Seconds that a step may take. */
  readonly timeLimit: number;
}

/** Images of a shard: about a megabyte, and a minute on two cores. */
export const defaultShardSize = 1024;

const providers = ['auto', 'cuda', 'cpu'] as const;
type Provider = (typeof providers)[number];

/** Tokenizes images one after another. */
export interface ImagesOptions extends CommonOptions {
  readonly command: 'images';
  readonly images: readonly string[];
  /** Absent settings are the model's defaults. */
  readonly settings: Partial<FilterSettings>;
  readonly cropMode: CropMode;
  readonly out: string | undefined;
  readonly json: boolean;
}

/** Writes the tokens of images into a data set. */
export interface DatasetOptions extends CommonOptions {
  readonly command: 'dataset';
  /** Folders, lists, archives and image files. */
  readonly inputs: readonly string[];
  readonly settings: Partial<FilterSettings>;
  /** Its folder. */
  readonly dataset: string;
  /** Undefined: that of the data set that is gone on with, or the default. */
  readonly shardSize: number | undefined;
  /** Undefined: as many as suit the provider. */
  readonly workers: number | undefined;
  readonly entropies: boolean;
  readonly quality: boolean;
}

/** Writes the pictures of tokens. */
export interface DecodeOptions extends CommonOptions {
  readonly command: 'decode';
  /** A token data set or a token file. */
  readonly tokens: string;
  readonly out: string;
  /** Which rows of a data set; undefined: all. */
  readonly where: string | undefined;
}

/** Checks a data set. */
export interface VerifyOptions extends CommonOptions {
  readonly command: 'verify';
  readonly dataset: string;
  /** Where its images are; none: where they were. */
  readonly inputs: readonly string[];
  /** Images that are tokenized again. */
  readonly sample: number;
}

export type CliOptions = ImagesOptions | DatasetOptions | DecodeOptions | VerifyOptions;

/** The command line was wrong, or only asked for help: what to print where, and the exit status. */
export class Usage extends Error {
  override readonly name = 'Usage';

  constructor(
    message: string,
    readonly exitStatus: 0 | 2,
  ) {
    super(message);
  }
}

/**
 * @param args what follows the program's name.
 * @throws Usage for `--help` and for bad usage.
 */
export function parseOptions(args: readonly string[]): CliOptions {
  let output = '';
  const write = (text: string) => {
    output += text;
  };
  let options: CliOptions | undefined;
  const command = new Command('tokenize')
    .description(
      'Tokenizes images: global tokens, the patch tokens worth keeping, and what is lost without the others.',
    )
    .argument('<image...>', 'PNG, JPEG, WebP, GIF, TIFF or AVIF files; with --dataset also folders, lists and archives')
    .option('--loss-rate <E>', 'information loss rate, 0 to 1', number(filterSchema.shape.lossRate))
    .option(
      '--edge-priority <B>',
      'bits added to the priority of patches on the outer ring',
      number(filterSchema.shape.edgePriority),
    )
    .addOption(
      new Option('--budget <KIND>', 'what the loss rate is a share of').choices(filterSchema.shape.budget.options),
    )
    .addOption(
      new Option('--ranking <CRITERION>', 'quantity that patches are ranked by').choices(
        filterSchema.shape.ranking.options,
      ),
    )
    .addOption(
      new Option('--conditioning <KIND>', 'earlier name of --ranking, with global for entropy')
        .choices(conditionings)
        .conflicts('ranking'),
    )
    .addOption(
      new Option('--crop <MODE>', 'centre square, whole picture scaled to fit, or tiles at its own resolution')
        .choices(cropModes)
        .default('centre'),
    )
    .option('--out <DIR>', 'write <name>.{input,reconstruction,entropy,mask}.png and <name>.tokens.json')
    .option('--json', 'print one JSON object a line for each image', false)
    .optionsGroup('Token data sets:')
    .addOption(
      new Option(
        '--dataset <DIR>',
        'write tokens of all images to a folder of Parquet files, or go on with one; images may be folders, WebDataset tars, Parquet files and text lists of paths',
      ).conflicts(['out', 'json']),
    )
    .option('--shard-size <N>', `images of a Parquet file (default: ${defaultShardSize})`, whole)
    .option('--workers <N>', 'processes that share the processor cores (default: up to 4 on the CPU)', whole)
    .option('--entropies', 'with conditional entropy and surprisal of every patch', false)
    .option('--quality', 'with PSNR and SSIM of the reconstruction', false)
    // Commands have options of the same names.
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write })
    .action((images: string[], given: TokenizeOptions) => {
      options = tokenizeOptions(images, given);
    });
  const common = (each: Command) =>
    each
      .optionsGroup('Model:')
      .addOption(new Option('--provider <NAME>', 'execution provider').choices(providers).default('auto'))
      .option('--model <DIR>', 'folder of a model bundle')
      .option('--time-limit <S>', 'seconds that one step may take', positive, defaultTimeLimitSeconds);
  common(command);
  common(
    command
      .command('decode')
      .description('Writes the pictures of tokens: of a data set, of <name>.tokens.json or of an .npz file.')
      .argument('<tokens>', 'folder of a token data set, or a token file')
      .requiredOption('--out <DIR>', 'folder of the pictures')
      .option('--where <CONDITION>', 'rows of a data set, as in "psnr < 18 and kept > 100"')
      .action((tokens: string, given: Omit<DecodeOptions, 'command' | 'tokens'>) => {
        const { out, where, model, provider, timeLimit } = given;
        options = { command: 'decode', tokens, out, where, model, provider, timeLimit };
      }),
  );
  common(
    command
      .command('verify')
      .description('Checks a token data set: bytes of its files, images that occur twice, codes of a sample.')
      .argument('<dataset>', 'folder of a token data set')
      .argument('[image...]', 'where its images are now, as they were given to make it')
      .option('--sample <N>', 'images that are tokenized again', whole, 16)
      .action((dataset: string, inputs: string[], given: Omit<VerifyOptions, 'command' | 'dataset' | 'inputs'>) => {
        const { sample, model, provider, timeLimit } = given;
        options = { command: 'verify', dataset, inputs, sample, model, provider, timeLimit };
      }),
  );
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new Usage(output.trimEnd(), 0);
    throw new Usage(`tatok: ${error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')}`, 2);
  }
  if (options === undefined) throw new Usage(`tatok: ${output.trim()}`, 2);
  return options;
}

/** Options of tokenizing, as they are given. */
interface TokenizeOptions extends CommonOptions {
  readonly lossRate?: number;
  readonly edgePriority?: number;
  readonly budget?: FilterSettings['budget'];
  readonly ranking?: FilterSettings['ranking'];
  readonly conditioning?: Conditioning;
  readonly crop: CropMode;
  readonly out?: string;
  readonly json: boolean;
  readonly dataset?: string;
  readonly shardSize?: number;
  readonly workers?: number;
  readonly entropies: boolean;
  readonly quality: boolean;
}

/** @throws Usage where options do not go together. */
function tokenizeOptions(images: readonly string[], given: TokenizeOptions): ImagesOptions | DatasetOptions {
  const { lossRate, edgePriority, budget, conditioning, crop, out, json, dataset, shardSize, workers } = given;
  const { entropies, quality, provider, model, timeLimit } = given;
  const ranking = conditioning === undefined ? given.ranking : rankingOf(conditioning);
  const settings = {
    ...(lossRate === undefined ? {} : { lossRate }),
    ...(edgePriority === undefined ? {} : { edgePriority }),
    ...(budget === undefined ? {} : { budget }),
    ...(ranking === undefined ? {} : { ranking }),
  };
  const common = { settings, provider, model, timeLimit };
  if (dataset !== undefined) {
    if (crop !== 'centre') {
      throw new Usage('tatok: --dataset takes the centre crop alone, so that every image has as many patches.', 2);
    }
    return { command: 'dataset', inputs: images, dataset, shardSize, workers, entropies, quality, ...common };
  }
  if (shardSize !== undefined || workers !== undefined || entropies || quality) {
    throw new Usage('tatok: --shard-size, --workers, --entropies and --quality are options of --dataset.', 2);
  }
  return { command: 'images', images, cropMode: crop, out, json, ...common };
}

function whole(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a whole number above 0.');
}

function positive(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be above 0.');
}

/** Reads a number within the limits of a setting. */
function number(schema: z.ZodMiniNumber): (text: string) => number {
  const { minimum: least = -Infinity, maximum: most = Infinity } = z.toJSONSchema(schema);
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(
      most === Infinity ? `It must be at least ${least}.` : `It must be ${least} to ${most}.`,
    );
  };
}
