/** Filter settings: the model's defaults under the user's own, checked once at the border. */
import { z } from 'zod';
import { TatokError } from './errors';
import { referenceBudget } from './filter';
import { conditionings, type FilterSettings, type Grid, type ModelDescription } from './types';

const inRange = 'The information loss rate must be between 0 and 1.';

const settingsSchema = z.object({
  lossRate: z.number({ error: 'The information loss rate must be a number.' }).min(0, inRange).max(1, inRange),
  edgePriority: z
    .number({ error: 'The edge priority must be a finite number.' })
    .min(0, 'The edge priority must not be negative.'),
  budget: z.enum(['image', 'reference'], { error: 'The budget must be image or reference.' }),
  conditioning: z.enum(conditionings, { error: `The conditioning must be one of ${conditionings.join(', ')}.` }),
});

/** What a model without an entropy model is left with. */
const nothingDropped: FilterSettings = { lossRate: 0, edgePriority: 0, budget: 'image', conditioning: 'global' };

/**
 * Absent settings are the model's defaults. A model that can drop nothing has ε = 0 whatever is asked for.
 *
 * @throws TatokError bad-settings.
 */
export function resolveSettings(settings: Partial<FilterSettings>, model: ModelDescription): FilterSettings {
  const given = Object.fromEntries(Object.entries<unknown>(settings).filter(([, value]) => value !== undefined));
  const result = settingsSchema.safeParse({ ...model.defaults, ...given });
  if (result.success) return model.filters ? result.data : nothingDropped;
  throw new TatokError('bad-settings', result.error.issues[0]?.message ?? 'The settings are invalid.');
}

/** B in bits for the filter of a picture of `grid` patches; null is the picture's own Σĥ. */
export function budgetOf(settings: FilterSettings, model: ModelDescription, grid: Grid): number | null {
  return settings.budget === 'reference' ? referenceBudget(model, grid) : null;
}
