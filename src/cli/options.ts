/** The command line of `npm run tokenize`. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import * as z from 'zod/mini';
import { defaultTimeLimitSeconds } from '../client/runningProcess';
import { conditionings, filterSchema, rankingOf, type Conditioning } from '../method/settings';
import { cropModes, type CropMode, type FilterSettings } from '../method/types';

export interface CliOptions {
  readonly images: readonly string[];
  /** Absent settings are the model's defaults. */
  readonly settings: Partial<FilterSettings>;
  readonly cropMode: CropMode;
  readonly provider: string;
  readonly model: string | undefined;
  readonly out: string | undefined;
  readonly json: boolean;
  /** Seconds that a step may take. */
  readonly timeLimit: number;
}

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
    .argument('<image...>', 'PNG, JPEG, WebP, GIF, TIFF or AVIF files')
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
    .option(
      '--rounds <R>',
      'rounds of a ranking that reveals patches in rounds: more take longer and choose better',
      number(filterSchema.shape.rankingRounds),
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
    .addOption(new Option('--provider <NAME>', 'execution provider').choices(['auto', 'cuda', 'cpu']).default('auto'))
    .option('--model <DIR>', 'folder of a model bundle')
    .option('--out <DIR>', 'write <name>.{input,reconstruction,entropy,mask}.png and <name>.tokens.json')
    .option('--time-limit <S>', 'seconds that one step may take', positive, defaultTimeLimitSeconds)
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
  const given = command.opts<{
    lossRate?: number;
    edgePriority?: number;
    budget?: FilterSettings['budget'];
    ranking?: FilterSettings['ranking'];
    rounds?: number;
    conditioning?: Conditioning;
    crop: CropMode;
    provider: string;
    model?: string;
    out?: string;
    json: boolean;
    timeLimit: number;
  }>();
  const { lossRate, edgePriority, budget, rounds, conditioning, crop, provider, model, out, json, timeLimit } = given;
  const ranking = conditioning === undefined ? given.ranking : rankingOf(conditioning);
  return {
    images: command.args,
    settings: {
      ...(lossRate === undefined ? {} : { lossRate }),
      ...(edgePriority === undefined ? {} : { edgePriority }),
      ...(budget === undefined ? {} : { budget }),
      ...(ranking === undefined ? {} : { ranking }),
      ...(rounds === undefined ? {} : { rankingRounds: rounds }),
    },
    cropMode: crop,
    provider,
    model,
    out,
    json,
    timeLimit,
  };
}

function positive(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be above 0.');
}

/** Reads a number within the limits of a setting. */
function number(schema: z.ZodMiniType<number | undefined>): (text: string) => number {
  const { type, minimum: least = -Infinity, maximum: most = Infinity } = z.toJSONSchema(schema);
  const whole = type === 'integer';
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
    const kind = whole ? 'a whole number, ' : '';
    throw new InvalidArgumentError(
      most === Infinity ? `It must be ${kind}at least ${least}.` : `It must be ${kind}${least} to ${most}.`,
    );
  };
}
