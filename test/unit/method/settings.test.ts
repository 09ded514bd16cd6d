import { describe, expect, it } from 'vitest';
import {
  budgetOf,
  conditioningOf,
  conditionings,
  filterKeys,
  filterRecordSchema,
  nothingDropped,
  rankingOf,
  recordOf,
  resolveSettings,
  settingsOf,
} from '../../../src/method/settings';
import { roundsOf } from '../../../src/method/sequential';
import { rankingCriteria, type FilterSettings } from '../../../src/method/types';
import { userSettings, type Setting } from '../../../src/method/userSettings';
import { refusalOf } from '../refusal';
import { lacking, tinyModel } from '../model';

const tiles = { rows: 1, columns: 1 };

describe('resolveSettings', () => {
  it('lays given settings over the model’s defaults', () => {
    expect(resolveSettings({}, tinyModel)).toEqual(tinyModel.defaults);
    expect(resolveSettings({ lossRate: 0 }, tinyModel)).toEqual({ ...tinyModel.defaults, lossRate: 0 });
  });

  it.each([
    [{ lossRate: 1.01 }, 'The information loss rate must be between 0 and 1.'],
    [{ lossRate: -0.01 }, 'The information loss rate must be between 0 and 1.'],
    [{ lossRate: NaN }, 'The information loss rate must be a number.'],
    [{ edgePriority: -1 }, 'The edge priority must not be negative.'],
    [{ edgePriority: Infinity }, 'The edge priority must be a finite number.'],
    [{ rankingRounds: 0 }, 'The rounds of a ranking must be a whole number from 1 to 64.'],
    [{ rankingRounds: 65 }, 'The rounds of a ranking must be a whole number from 1 to 64.'],
    [{ rankingRounds: 2.5 }, 'The rounds of a ranking must be a whole number from 1 to 64.'],
    [{ budget: 'none' }, 'The budget must be image or reference.'],
    [{ ranking: 'global' }, 'The ranking must be one of entropy, sequential, distortion.'],
  ])('refuses %j', async (settings, reason) => {
    const { code, message } = await refusalOf(() => resolveSettings(settings as Partial<FilterSettings>, tinyModel));
    expect([code, message]).toEqual(['bad-settings', reason]);
  });

  it('takes the ends of every interval', () => {
    const least = { lossRate: 0, edgePriority: 0, rankingRounds: 1 };
    const most = { lossRate: 1, edgePriority: 1e9, rankingRounds: 64 };
    for (const ends of [least, most]) expect(resolveSettings(ends, tinyModel)).toMatchObject(ends);
  });

  it('has the model’s default stand for a setting that is there without a value', () => {
    expect(resolveSettings({ lossRate: undefined, ranking: undefined }, tinyModel)).toEqual(tinyModel.defaults);
  });

  it('keeps ε alone where it is a length', () => {
    const given = { lossRate: 0.3, edgePriority: 2, budget: 'reference', ranking: 'sequential' } as const;
    const sequence = { ...lacking.fixedGlobals, steps: [1, 2].map((tokens) => ({ tokens, bits: tokens })) };
    expect(resolveSettings(given, sequence)).toEqual({ ...nothingDropped, lossRate: 0.3 });
  });

  it('knows rankings by their earlier name, and back', () => {
    expect(rankingCriteria.map(conditioningOf)).toEqual(['global', 'sequential', 'distortion']);
    expect(conditionings.map(rankingOf)).toEqual([...rankingCriteria]);
    const { error } = filterRecordSchema.safeParse({ ...recordOf(nothingDropped), conditioning: 'entropy' });
    expect(error?.issues.map(({ message }) => message)).toEqual([
      'The conditioning must be one of global, sequential, distortion.',
    ]);
  });

  it('records the rounds that a ranking took, also by default, and none of a ranking without rounds', () => {
    const given = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'distortion' } as const;
    expect(recordOf(given)).toMatchObject({ conditioning: 'distortion', rankingRounds: roundsOf(given) });
    expect(recordOf({ ...given, rankingRounds: 16 })).toMatchObject({ rankingRounds: 16 });
    expect(recordOf({ ...given, ranking: 'entropy', rankingRounds: 16 })).not.toHaveProperty('rankingRounds');
    const settings = resolveSettings(
      {},
      { ...tinyModel, defaults: settingsOf(recordOf({ ...given, rankingRounds: 3 })) },
    );
    expect(settings.rankingRounds).toBe(3);
  });

  it('drops nothing where nothing can be dropped, whatever the settings', () => {
    const given = { lossRate: 0.9, edgePriority: 3, budget: 'reference', ranking: 'sequential' } as const;
    const nothingDropped = { lossRate: 0, edgePriority: 0, budget: 'image', ranking: 'entropy' };
    for (const model of [lacking.fixedPatches, lacking.fixedGlobals]) {
      expect(resolveSettings(given, model)).toEqual(nothingDropped);
    }
    expect(resolveSettings(given, lacking.patchesOnly)).toEqual(given);
  });

  it('reckons with the reference bits only when asked to', () => {
    const reference = { ...tinyModel.defaults, budget: 'reference' } as const;
    expect(budgetOf(tinyModel.defaults, tinyModel, { grid: tinyModel.grid, tiles })).toBeNull();
    expect(budgetOf(reference, tinyModel, { grid: tinyModel.grid, tiles })).toBe(9);
    expect(budgetOf(reference, tinyModel, { grid: { rows: 8, columns: 3 }, tiles })).toBe(36);
  });
});

describe('options of the command line', () => {
  const options = Object.entries<Setting>(userSettings).flatMap(([key, { option }]) =>
    option ? [{ key, ...option }] : [],
  );

  it('each have a word for the value and a phrase of help, none the same', () => {
    for (const { key, value, help, name } of options) {
      expect(value, key).toMatch(/^[A-Z]+$/);
      expect(help, key).toMatch(/^[a-z][^.]{15,}[a-z0-9]$/);
      expect(name ?? 'none', key).toMatch(/^[a-z]+$/);
    }
    expect(new Set(options.map(({ help }) => help)).size).toBe(options.length);
  });

  it('are those of the filter, of the crop and of the time that a step may take', () => {
    expect(options.map(({ key }) => key)).toEqual([...filterKeys, 'cropMode', 'timeLimit']);
    expect(options.flatMap(({ name }) => name ?? [])).toEqual(['rounds', 'crop']);
  });
});
