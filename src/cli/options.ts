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

export interface CliOptions {
  readonly images: readonly string[];
  /** Absent settings are the model's defaults. */
  readonly settings: Partial<FilterSettings>;
  readonly cropMode: CropMode;
  readonly provider: string;
  readonly model: string | undefined;
  readonly out: string | undefined;
  readonly json: boolean;
  /** Seconds that a step may take; null: any time. */
  readonly timeLimit: SettingValue<'timeLimit'>;
}

/** Options as they are parsed, by their names. */
type Given = Omit<CliOptions, 'images' | 'settings' | 'cropMode'> & {
  readonly crop: CropMode;
  readonly conditioning?: Conditioning;
};

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
  const command = new Command('tokenize')
    .description(
      'Tokenizes images: global tokens, the patch tokens worth keeping, and what is lost without the others.',
    )
    .argument('<image...>', 'PNG, JPEG, WebP, GIF, TIFF or AVIF files');
  const options = settingOptions();
  for (const { option } of options) command.addOption(option);
  command
    .addOption(
      new Option('--conditioning <KIND>', 'earlier name of --ranking, with global for entropy')
        .choices(conditionings)
        .conflicts('ranking'),
    )
    .addOption(new Option('--provider <NAME>', 'execution provider').choices(['auto', 'cuda', 'cpu']).default('auto'))
    .option('--model <DIR>', 'folder of a model bundle')
    .option('--out <DIR>', 'write <name>.{input,reconstruction,entropy,mask}.png and <name>.tokens.json')
    .option('--json', 'print one JSON object a line for each image', false)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new Usage(output.trimEnd(), 0);
    throw new Usage(`tatok: ${error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')}`, 2);
  }
  const { conditioning, crop, provider, model, out, json, timeLimit } = command.opts<Given>();
  const settings = options.flatMap(({ key, option }) => {
    const value: unknown = command.getOptionValue(option.attributeName());
    return value === undefined || !filterKeys.some((each) => each === key) ? [] : [[key, value] as const];
  });
  return {
    images: command.args,
    settings: {
      ...(Object.fromEntries(settings) as Partial<FilterSettings>),
      ...(conditioning !== undefined && { ranking: rankingOf(conditioning) }),
    },
    cropMode: crop,
    provider,
    model,
    out,
    json,
    timeLimit,
  };
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
