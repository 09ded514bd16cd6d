import { beforeEach, describe, expect, it } from 'vitest';
import type { InfluenceRequest } from '../../../../src/protocol/analyses';
import { rankingCriteria, type InfluenceMap, type RankingCriterion } from '../../../../src/method/types';
import { Influence, onGrid } from '../../../../webview/state/influence';
import type { Inspector } from '../../../../webview/state/inspector';
import {
  asking,
  cancelled,
  inspectorOf,
  reconstructed,
  tokenization,
  tokenize,
  twoTiles,
  type Asked,
} from './shownPicture';

let inspector: Inspector;
let influence: Influence;
let asked: Asked<InfluenceRequest, InfluenceMap>[];
let failures: unknown[];

beforeEach(() => begin());

function begin(of = tokenization): void {
  const analysis = asking<InfluenceRequest, InfluenceMap>();
  asked = analysis.asked;
  failures = [];
  inspector = inspectorOf(of);
  influence = new Influence(inspector, { influence: analysis.ask }, (error) => failures.push(error));
}

/** Patch p of token t changes by 10·t + p, and by `more`. */
function mapOf({ tile, globalToken }: InfluenceRequest, more = 0): InfluenceMap {
  const region = { row: 0, column: 3 * tile, rows: 2, columns: 3 };
  return { tile, region, globalToken, change: Float32Array.from({ length: 6 }, (_, p) => 10 * globalToken + p + more) };
}

async function answer(index: number, more = 0): Promise<void> {
  const each = asked[index];
  if (each === undefined) throw new Error(`nothing was asked as number ${index}`);
  await each.answer(mapOf(each.params, more));
}

/** The reconstruction under the settings shown. */
function reconstruct(keep?: Uint8Array): void {
  const selected = inspector.selected.peek();
  if (selected === undefined) throw new Error('nothing is selected');
  const settings = inspector.settings.peek();
  inspector.reconstruction.value = { ...reconstructed, ...selected, settings, keep: keep ?? selected.keep };
}

function show(): void {
  reconstruct();
  inspector.chosenOverlay.value = 'influence';
}

const tokens = () => asked.map(({ params }) => params.globalToken);

describe('the influence of global tokens', () => {
  it('is computed once the overlay is chosen and the reconstruction there, token by token', async () => {
    inspector.chosenOverlay.value = 'influence';
    expect(asked).toEqual([]);
    reconstruct();
    expect(influence.computing.value).toBe(true);
    expect(tokens()).toEqual([0]);
    expect(asked[0]?.params).toEqual({ settings: inspector.settings.value, tile: 0, globalToken: 0 });
    expect(influence.shown.value).toBeUndefined();
    await answer(0);
    expect([...(influence.shown.value ?? [])]).toEqual([0, 1, 2, 3, 4, 5]);
    await answer(1);
    expect(tokens()).toEqual([0, 1]);
    expect([influence.computing.value, influence.stale.value, influence.stopped.value]).toEqual([false, false, false]);
    expect([...influence.maps.value.keys()]).toEqual([0, 1]);
    // The mean of both tokens.
    expect([...(influence.shown.value ?? [])]).toEqual([5, 6, 7, 8, 9, 10]);
    inspector.isolatedTokens.value = [1];
    expect([...(influence.shown.value ?? [])]).toEqual([10, 11, 12, 13, 14, 15]);
    expect(failures).toEqual([]);
  });

  it('is computed of isolated tokens first, also of those isolated meanwhile', async () => {
    inspector.isolatedTokens.value = [1];
    show();
    expect(tokens()).toEqual([1]);
    await answer(0);
    expect(tokens()).toEqual([1, 0]);
  });

  it('is not computed under another overlay, and not again where it is known', async () => {
    reconstruct();
    expect(asked).toEqual([]);
    show();
    await answer(0);
    await answer(1);
    inspector.chosenOverlay.value = 'entropy';
    inspector.chosenOverlay.value = 'influence';
    expect(tokens()).toEqual([0, 1]);
  });

  it('ends where another overlay is chosen, and goes on with what is missing', async () => {
    show();
    await answer(0);
    inspector.chosenOverlay.value = 'entropy';
    expect(asked[1]?.token.isCancellationRequested).toBe(true);
    expect(influence.computing.value).toBe(false);
    await answer(1);
    expect([...influence.maps.value.keys()]).toEqual([0]);
    inspector.chosenOverlay.value = 'influence';
    expect(tokens()).toEqual([0, 1, 1]);
  });

  it('of another kept set is another; the last stays until that is there', async () => {
    show();
    await answer(0);
    await answer(1);
    const before = influence.shown.value;
    inspector.lossRate.value = 0.9;
    // Without its reconstruction a kept set has no name.
    expect([influence.computing.value, influence.stale.value]).toEqual([false, true]);
    reconstruct();
    expect(influence.computing.value).toBe(true);
    expect(influence.shown.value).toEqual(before);
    await answer(2, 100);
    expect(influence.stale.value).toBe(false);
    expect([...(influence.shown.value ?? [])]).toEqual([100, 101, 102, 103, 104, 105]);
    // The first is still known.
    inspector.lossRate.value = 0.4;
    reconstruct();
    expect(influence.shown.value).toEqual(before);
    expect(influence.computing.value).toBe(false);
  });

  it('under another criterion is another', async () => {
    show();
    await answer(0);
    await answer(1);
    const { edgePriority, rankingRounds } = inspector.settings.value;
    inspector.ranked.value = {
      ...{ edgePriority, rankingRounds, edits: undefined },
      criterion: 'sequential',
      ranking: reconstructed.ranking,
    };
    inspector.criterion.value = 'sequential';
    reconstruct();
    expect(tokens()).toEqual([0, 1, 0]);
  });

  it('is paused by the user until that resumes it', async () => {
    show();
    await answer(0);
    influence.cancel();
    expect([influence.computing.value, influence.stopped.value]).toEqual([false, true]);
    expect(asked[1]?.token.isCancellationRequested).toBe(true);
    influence.resume();
    expect([influence.computing.value, influence.stopped.value]).toEqual([true, false]);
    await answer(2);
    expect(influence.computing.value).toBe(false);
    // Nothing is left that could be stopped.
    influence.cancel();
    expect(influence.stopped.value).toBe(false);
  });

  it('tells of a failure once and pauses; of replaced tokens there is nothing to say', async () => {
    show();
    const error = new Error('no memory');
    await asked[0]?.fail(error);
    expect(failures).toEqual([error]);
    expect([influence.stopped.value, influence.computing.value]).toEqual([true, false]);
    influence.resume();
    await asked[1]?.fail(cancelled());
    expect(failures).toEqual([error]);
    expect([influence.stopped.value, influence.computing.value]).toEqual([false, false]);
    begin();
    show();
    influence.cancel();
    await asked[0]?.fail(error);
    expect(failures).toEqual([]);
  });

  it('is forgotten with its tokens', async () => {
    show();
    await answer(0);
    const { tokens: before } = tokenization;
    tokenize(inspector, { ...tokenization, tokens: { ...before, globalCodes: Int32Array.of(3, 3) } });
    expect([influence.maps.value.size, influence.computing.value]).toEqual([0, false]);
    expect(asked[1]?.token.isCancellationRequested).toBe(true);
    await answer(1);
    expect(influence.maps.value.size).toBe(0);
    reconstruct();
    expect(tokens()).toEqual([0, 1, 0]);
  });

  it('is that of one tile, the middle or the focused one, whose kept patches alone name it', async () => {
    begin(twoTiles);
    show();
    const tile = asked[0]?.params.tile;
    expect(tile).toBe(1);
    await answer(0);
    await answer(1);
    expect(Array.from(influence.shown.value ?? [])).toEqual([NaN, NaN, NaN, 5, 6, 7, NaN, NaN, NaN, 8, 9, 10]);
    inspector.focused.value = 0;
    // That of the other tile is none of this one.
    expect(influence.shown.value).toBeUndefined();
    expect(asked[2]?.params).toMatchObject({ tile: 0, globalToken: 0 });
    await answer(2);
    await answer(3);
    expect(Array.from(influence.shown.value ?? [])).toEqual([5, 6, 7, NaN, NaN, NaN, 8, 9, 10, NaN, NaN, NaN]);
    inspector.focused.value = 3;
    expect(tokens()).toHaveLength(4);
    // ε that changes the kept set of the first tile alone changes nothing here.
    const kept = inspector.selected.value?.keep ?? new Uint8Array();
    const ofTile = (keep: Uint8Array) => [3, 4, 5, 9, 10, 11].map((patch) => keep[patch]).join();
    const other = [0.05, 0.01, 0.45, 0.5].find((lossRate) => {
      inspector.lossRate.value = lossRate;
      const keep = inspector.selected.value?.keep ?? kept;
      return ofTile(keep) === ofTile(kept) && keep.join() !== kept.join();
    });
    if (other !== undefined) {
      reconstruct();
      expect(tokens()).toHaveLength(4);
    }
    inspector.lossRate.value = 0;
    reconstruct();
    expect(asked[4]?.params.tile).toBe(1);
  });

  it('is kept of sixteen sets, the last used', async () => {
    let next = 0;
    const choose = async (criterion: RankingCriterion, lossRate: number): Promise<void> => {
      const { edgePriority, rankingRounds } = inspector.settings.value;
      const { ranking } = reconstructed;
      inspector.ranked.value = { edgePriority, rankingRounds, criterion, ranking };
      inspector.criterion.value = criterion;
      inspector.lossRate.value = lossRate;
      reconstruct();
      while (asked[next] !== undefined) await answer(next++);
    };
    inspector.chosenOverlay.value = 'influence';
    // Bits of the patches are 0, ½, 1, … of 7½ in all.
    const lossRates = [0, 0.07, 0.2, 0.4, 0.67, 1];
    for (const criterion of rankingCriteria) for (const lossRate of lossRates) await choose(criterion, lossRate);
    const maps = 2 * rankingCriteria.length * lossRates.length;
    expect(asked).toHaveLength(maps);
    // Two of the eighteen are known no more; choosing one of the others changes nothing.
    await choose('entropy', 0.2);
    await choose('distortion', 1);
    expect(asked).toHaveLength(maps);
    await choose('entropy', 0.07);
    expect(asked).toHaveLength(maps + 2);
  });
});

it('values of a tile lie in its region of the grid, and nothing elsewhere', () => {
  const region = { row: 1, column: 1, rows: 2, columns: 2 };
  const whole = onGrid(Float32Array.of(1, 2, 3, 4), region, { rows: 3, columns: 4 });
  expect(Array.from(whole)).toEqual([NaN, NaN, NaN, NaN, NaN, 1, 2, NaN, NaN, 3, 4, NaN]);
});
