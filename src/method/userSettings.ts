/**
 * The user's settings, each declared once: its values, where VS Code lets it be set, and its option of the command line. The host, the command
 * line and the test of `package.json` derive from this table; the filter's values are those of `filterSchema`.
 */
import * as z from 'zod/mini';
import { conditionings, filterSchema } from './settings';
import { cropModes, providerNames, type FilterSettings } from './types';

/** Where a setting may be set: `machine` by the user alone, `resource` by every folder too. */
export type SettingScope = 'resource' | 'window' | 'machine' | 'machine-overridable';

/** An option of the command line, `--loss-rate <E>`. */
export interface SettingOption {
  /** Absent: the setting's name with hyphens. */
  readonly name?: string;
  /** Stands for the value in the help. */
  readonly value: string;
  readonly help: string;
}

export interface Setting {
  /** Its default is that of the schema. */
  readonly schema: z.ZodMiniType;
  readonly scope: SettingScope;
  readonly option?: SettingOption;
}

/** A setting that may be empty, and is so unless the user sets it: the model's own value holds, or no limit. */
function orNull<T extends z.core.SomeType>(schema: T, usual: z.core.output<T> | null = null) {
  return z._default(z.nullable(schema), usual as z.core.util.NoUndefined<z.core.output<T>> | null);
}

const text = () => z._default(z.string().check(z.trim()), '');
const { lossRate, edgePriority, budget, ranking, rankingRounds } = filterSchema.shape;

const filterSettings = {
  lossRate: {
    schema: orNull(lossRate),
    scope: 'resource',
    option: { value: 'E', help: 'information loss rate, 0 to 1' },
  },
  edgePriority: {
    schema: orNull(edgePriority),
    scope: 'resource',
    option: { value: 'B', help: 'bits added to the priority of patches on the outer ring' },
  },
  budget: {
    schema: orNull(budget),
    scope: 'resource',
    option: { value: 'KIND', help: 'what the loss rate is a share of' },
  },
  ranking: {
    schema: orNull(ranking),
    scope: 'resource',
    option: { value: 'CRITERION', help: 'quantity that patches are ranked by' },
  },
  rankingRounds: {
    schema: orNull(rankingRounds),
    scope: 'resource',
    option: {
      name: 'rounds',
      value: 'R',
      help: 'rounds of a ranking that reveals patches in rounds: more take longer and choose better',
    },
  },
} as const satisfies Record<keyof FilterSettings, Setting & { readonly option: SettingOption }>;

/** By their keys under `tatok.`. */
export const userSettings = {
  ...filterSettings,
  /** The ranking's name in earlier versions; it holds until it is migrated. */
  conditioning: { schema: orNull(z.enum(conditionings)), scope: 'resource' },
  cropMode: {
    schema: z._default(z.enum(cropModes), 'centre'),
    scope: 'resource',
    option: {
      name: 'crop',
      value: 'MODE',
      help: 'centre square, whole picture scaled to fit, or tiles at its own resolution',
    },
  },
  /** Folder of a bundle; empty: the one that ships with the extension. */
  model: { schema: text(), scope: 'machine-overridable' },
  providers: {
    schema: z._default(z.array(z.enum(['auto', ...providerNames])).check(z.minLength(1)), ['auto']),
    scope: 'machine-overridable',
  },
  /** Index of the GPU. */
  'cuda.device': { schema: z._default(z.int().check(z.nonnegative()), 0), scope: 'machine' },
  /** MiB. */
  'cuda.memoryLimit': { schema: orNull(z.number().check(z.positive())), scope: 'machine' },
  'cuda.libraryPath': { schema: text(), scope: 'machine' },
  maxMegapixels: { schema: z._default(z.number().check(z.positive()), 100), scope: 'window' },
  /** Seconds that a step of a request may take: only what never ends is to meet it. */
  timeLimit: {
    schema: orNull(z.number().check(z.positive()), 600),
    scope: 'machine',
    option: { value: 'S', help: 'seconds that one step may take' },
  },
} as const satisfies Record<string, Setting>;

export type SettingKey = keyof typeof userSettings;
export type SettingValue<Key extends SettingKey> = z.output<(typeof userSettings)[Key]['schema']>;

/** A setting's type, default, limits and choices, in the words of JSON Schema: as `package.json` declares it. */
export interface SettingDeclaration {
  readonly type: string | readonly string[];
  readonly default: unknown;
  readonly enum?: readonly (string | null)[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly items?: Omit<SettingDeclaration, 'default'>;
}

export function declarationOf(key: SettingKey): SettingDeclaration {
  const { schema } = userSettings[key];
  const { $schema: _, anyOf, ...own } = z.toJSONSchema(schema);
  // A value or null.
  const [value = {}] = anyOf ?? [];
  const { type, enum: choices, maximum, ...rest } = { ...value, ...own };
  return {
    ...rest,
    type: anyOf === undefined ? type : [type, 'null'],
    ...(choices !== undefined && { enum: anyOf === undefined ? choices : [...choices, null] }),
    // Every whole number is one that can be told from the next.
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && { maximum }),
  } as SettingDeclaration;
}
