/**
 * The filter's settings: one schema from which the manifest, the user's settings (`userSettings.ts`), messages, the page and the command
 * line take their limits. Models' defaults lie under the user's own. Runs in every process and in the page.
 */
import * as z from 'zod/mini';
import { TatokError } from './errors';
import { referenceBudget } from './filter';
import { criterionOf, isSequential, mostRounds, roundsOf } from './sequential';
import { takesLength } from './streams';
import {
  budgets,
  rankingCriteria,
  type FilterSettings,
  type ModelDescription,
  type RankingCriterion,
  type TileLayout,
} from './types';

const inRange = 'The information loss rate must be between 0 and 1.';
const inRounds = `The rounds of a ranking must be a whole number from 1 to ${mostRounds}.`;

/** Everything that decides which patch tokens are kept. A setting that is added here is one of `FilterSettings` and of every message. */
export const filterSchema = z.object({
  /** ε, in [0, 1]. */
  lossRate: z
    .number({ error: 'The information loss rate must be a number.' })
    .check(z.minimum(0, inRange), z.maximum(1, inRange)),
  /** β ≥ 0, bits added to the priority of patches on the outer ring of the grid. */
  edgePriority: z
    .number({ error: 'The edge priority must be a finite number.' })
    .check(z.minimum(0, 'The edge priority must not be negative.')),
  budget: z.enum(budgets, { error: `The budget must be ${budgets.join(' or ')}.` }),
  ranking: z.enum(rankingCriteria, { error: `The ranking must be one of ${rankingCriteria.join(', ')}.` }),
  /** R ≥ 1 of a ranking in rounds; absent: as many as that ranking has by default, see `roundsOf`. */
  rankingRounds: z.optional(z.int({ error: inRounds }).check(z.minimum(1, inRounds), z.maximum(mostRounds, inRounds))),
});

/** Keys of {@link filterSchema}, in the order in which they are shown. */
export const filterKeys = Object.keys(filterSchema.shape) as (keyof FilterSettings)[];

/** Values of `conditioning`, the name of `ranking` in manifests, in JSON output and in settings of earlier versions. */
export const conditionings = ['global', 'sequential', 'distortion'] as const;
export type Conditioning = (typeof conditionings)[number];

export function conditioningOf(ranking: RankingCriterion): Conditioning {
  return ranking === 'entropy' ? 'global' : ranking;
}

export function rankingOf(conditioning: Conditioning): RankingCriterion {
  return conditioning === 'global' ? 'entropy' : conditioning;
}

/** Filter settings as manifests and JSON output have them. One that earlier manifests lack needs a default here (`z._default`). */
export const filterRecordSchema = z.extend(z.omit(filterSchema, { ranking: true }), {
  conditioning: z.enum(conditionings, { error: `The conditioning must be one of ${conditionings.join(', ')}.` }),
});
export type FilterRecord = z.infer<typeof filterRecordSchema>;

/** With the number of rounds that the ranking took, also where it was the default; none for a ranking without rounds. */
export function recordOf(settings: FilterSettings): FilterRecord {
  const { lossRate, edgePriority, budget, ranking } = settings;
  const rounds = isSequential(ranking) && { rankingRounds: roundsOf(settings) };
  return { lossRate, edgePriority, budget, conditioning: conditioningOf(ranking), ...rounds };
}

export function settingsOf({ conditioning, ...others }: FilterRecord): FilterSettings {
  return { ...others, ranking: rankingOf(conditioning) };
}

/** Settings of a model that can drop no token. */
export const nothingDropped: FilterSettings = { lossRate: 0, edgePriority: 0, budget: 'image', ranking: 'entropy' };

type SomeSettings = { readonly [Key in keyof FilterSettings]?: FilterSettings[Key] | undefined };

/**
 * Absent settings are the model's defaults. A model that knows one ranking alone has that. A model that can drop nothing has ε = 0 whatever the settings; where ε is a length, there is
 * nothing else to be set.
 *
 * @throws TatokError bad-settings.
 */
export function resolveSettings(settings: SomeSettings, model: ModelDescription): FilterSettings {
  const given = Object.fromEntries(Object.entries<unknown>(settings).filter(([, value]) => value !== undefined));
  const result = filterSchema.safeParse({ ...model.defaults, ...given });
  if (result.success) {
    if (model.filters) return { ...result.data, ranking: criterionOf(model, result.data.ranking) };
    return takesLength(model) ? { ...nothingDropped, lossRate: result.data.lossRate } : nothingDropped;
  }
  throw new TatokError('bad-settings', result.error.issues[0]?.message ?? 'The settings are invalid.');
}

/** B in bits for the filter of a picture; null is the picture's own Σĥ. */
export function budgetOf(settings: FilterSettings, model: ModelDescription, layout: TileLayout): number | null {
  return settings.budget === 'reference' ? referenceBudget(model, layout) : null;
}
