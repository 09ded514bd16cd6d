import { describe, expect, it } from 'vitest';
import { budgetOf, recordOf, resolveSettings, settingsOf } from '../../../src/method/settings';
import { roundsOf } from '../../../src/method/sequential';
import { refusalOf } from '../refusal';
import { lacking, tinyModel } from '../model';

const tiles = { rows: 1, columns: 1 };

describe('resolveSettings', () => {
  it('lays given settings over the model’s defaults', () => {
    expect(resolveSettings({}, tinyModel)).toEqual(tinyModel.defaults);
    expect(resolveSettings({ lossRate: 0 }, tinyModel)).toEqual({ ...tinyModel.defaults, lossRate: 0 });
  });

  it.each([
    [{ lossRate: 1.01 }, 'between 0 and 1'],
    [{ lossRate: NaN }, 'must be a number'],
    [{ edgePriority: -1 }, 'must not be negative'],
    [{ edgePriority: Infinity }, 'must be a finite number'],
    [{ rankingRounds: 0 }, 'must be a whole number from 1 to 64'],
    [{ rankingRounds: 2.5 }, 'must be a whole number from 1 to 64'],
  ])('refuses %j', async (settings, reason) => {
    const { code, message } = await refusalOf(() => resolveSettings(settings, tinyModel));
    expect(code).toBe('bad-settings');
    expect(message).toContain(reason);
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
