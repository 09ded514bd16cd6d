/** The command line of `npm run tokenize`. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { conditionings, filterKeys, rankingOf, type Conditioning } from '../method/settings';
import type { CropMode, FilterSettings } from '../method/types';
import {
  declarationOf,
  userSettings,
  type Setting,
  type SettingDeclaration,
  type SettingKey,
  type SettingOption,
  type SettingValue,
} from '../method/userSettings';

/** Options of every command. */
interface CommonOptions {
  readonly provider: Provider;
  readonly model: string | undefined;
  /** Seconds that a step may take; null: any time. */
  readonly timeLimit: SettingValue<'timeLimit'>;
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

/** Finds settings for a mean number of tokens over a data set. */
export interface BudgetOptions extends CommonOptions {
  readonly command: 'budget';
  readonly dataset: string;
  /** Mean number of global and kept patch tokens. */
  readonly tokens: number;
  readonly json: boolean;
}

export type CliOptions = ImagesOptions | DatasetOptions | DecodeOptions | VerifyOptions | BudgetOptions;

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
    .argument(
      '<image...>',
      'PNG, JPEG, WebP, GIF, TIFF or AVIF files; with --dataset also folders, lists and archives',
    );
  const settings = settingOptions();
  for (const { key, option } of settings) if (key !== 'timeLimit') command.addOption(option);
  command
    .addOption(
      new Option('--conditioning <KIND>', 'earlier name of --ranking, with global for entropy')
        .choices(conditionings)
        .conflicts('ranking'),
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
      const filter = settings.flatMap(({ key, option }) => {
        const value: unknown = command.getOptionValue(option.attributeName());
        return value === undefined || !filterKeys.some((each) => each === key) ? [] : [[key, value] as const];
      });
      options = tokenizeOptions(images, given, Object.fromEntries(filter));
    });
  const common = (each: Command) =>
    each
      .optionsGroup('Model:')
      .addOption(new Option('--provider <NAME>', 'execution provider').choices(providers).default('auto'))
      .option('--model <DIR>', 'folder of a model bundle')
      .addOption(optionOf('timeLimit', userSettings.timeLimit.option));
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
  common(
    command
      .command('budget')
      .description(
        'Finds the ε that gives a mean number of tokens over a token data set with entropies, without decoding.',
      )
      .argument('<dataset>', 'folder of a token data set')
      .requiredOption('--tokens <N>', 'mean number of global and kept patch tokens of an image', above0)
      .option('--json', 'print one JSON object', false)
      .action((dataset: string, given: Omit<BudgetOptions, 'command' | 'dataset'>) => {
        const { tokens, json, model, provider, timeLimit } = given;
        options = { command: 'budget', dataset, tokens, json, model, provider, timeLimit };
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

/** Options of tokenizing by their names, but for those of the filter. */
interface TokenizeOptions extends CommonOptions {
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
function tokenizeOptions(
  images: readonly string[],
  given: TokenizeOptions,
  filter: Partial<FilterSettings>,
): ImagesOptions | DatasetOptions {
  const { conditioning, crop, out, json, dataset, shardSize, workers } = given;
  const { entropies, quality, provider, model, timeLimit } = given;
  const settings = { ...filter, ...(conditioning !== undefined && { ranking: rankingOf(conditioning) }) };
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

function above0(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be above 0.');
}

/** Options of the settings that have one. */
function settingOptions(): { readonly key: SettingKey; readonly option: Option }[] {
  return (Object.keys(userSettings) as SettingKey[]).flatMap((key) => {
    const { option }: Setting = userSettings[key];
    return option === undefined ? [] : [{ key, option: optionOf(key, option) }];
  });
}

function optionOf(key: SettingKey, { name, value, help }: SettingOption): Option {
  const hyphened = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const option = new Option(`--${name ?? hyphened} <${value}>`, help);
  const declaration = declarationOf(key);
  if (declaration.enum === undefined) option.argParser(number(declaration));
  else option.choices(declaration.enum.filter((choice) => choice !== null));
  return declaration.default === null ? option : option.default(declaration.default);
}

/** Reads a number within the limits of a setting. */
function number({ type, minimum, exclusiveMinimum, maximum = Infinity }: SettingDeclaration): (text: string) => number {
  const least = minimum ?? exclusiveMinimum ?? -Infinity;
  const whole = type.includes('integer');
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    const inRange = (exclusiveMinimum === undefined ? value >= least : value > least) && value <= maximum;
    if (Number.isFinite(value) && inRange && (!whole || Number.isInteger(value))) return value;
    const kind = whole ? 'be a whole number, ' : 'be ';
    if (maximum !== Infinity) throw new InvalidArgumentError(`It must ${kind}${least} to ${maximum}.`);
    throw new InvalidArgumentError(`It must ${kind}${exclusiveMinimum === undefined ? 'at least' : 'above'} ${least}.`);
  };
}
