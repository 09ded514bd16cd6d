/** Values that follow from what the host told and the user chose. */
import { describe, expect, it } from 'vitest';
import { rankPatches, selectKept } from '../../../../src/method/filter';
import type { RankingCriterion } from '../../../../src/method/types';
import { Inspector } from '../../../../webview/state/inspector';
import { overlays, readViewState } from '../../../../webview/state/viewState';
import { lacking, modelWith } from '../../model';
import { fixedGlobalsTokenization, fixedPatchesTokenization } from '../../export/tokenization';
import { inspectorOf, reconstructed, tokenization, tokenize, twoTiles } from './shownPicture';

const { model, image, tokens, settings } = tokenization;
const { ranking } = reconstructed;
const origin = { settings, provider: tokenization.provider, timings: {} };
const of = (each: typeof fixedPatchesTokenization) => inspectorOf({ ...each, ...origin });

describe('before there is a picture', () => {
  const inspector = new Inspector(readViewState({}));

  it('a page shows what it would of TaTok', () => {
    expect(inspector.phase.value).toEqual({ kind: 'working', progress: undefined });
    expect(inspector.overlays.value).toEqual(overlays);
    expect([inspector.overlay.value, inspector.rates.value, inspector.filters.value]).toEqual(['entropy', true, true]);
    expect([inspector.layer.value, inspector.head.value, inspector.cropMode.value]).toEqual([0, 'mean', 'centre']);
    expect(inspector.settings.value).toEqual({ lossRate: 0, edgePriority: 0, budget: 'image', ranking: 'entropy' });
  });

  it('nothing is ranked, kept, awaited or stale', () => {
    const { provider, sampled, keepRank, budgetBits, selected, tileRegion, shownAttention, viewState } = inspector;
    expect([provider, inspector.ranking, sampled, keepRank, selected].map(({ value }) => value)).toEqual(
      new Array(5).fill(undefined),
    );
    expect([tileRegion.value, shownAttention.value, viewState.value]).toEqual([undefined, undefined, undefined]);
    expect([budgetBits.value, inspector.tile.value]).toEqual([null, 0]);
    expect([inspector.stale.value, inspector.awaitsRanking.value, inspector.stopped.value]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('tokens without their picture are a fault of the host', () => {
    const { image: _, ...rest } = tokenization;
    expect(() => new Inspector(readViewState({})).accept(rest)).toThrow('tokens came before their picture');
  });
});

describe('parts of a model', () => {
  it('decide which overlays there are; another choice is remembered', () => {
    const inspector = inspectorOf();
    expect(inspector.overlays.value).toEqual(overlays);
    inspector.chosenOverlay.value = 'attention';
    expect(inspector.overlay.value).toBe('attention');
    const fixed = of(fixedPatchesTokenization);
    fixed.chosenOverlay.value = 'entropy';
    expect([fixed.overlays.value.includes('entropy'), fixed.overlay.value]).toEqual([false, 'none']);
  });

  it('decide whether anything can be dropped, ranked and sampled', () => {
    expect([inspectorOf().rates.value, inspectorOf().filters.value]).toEqual([true, true]);
    for (const each of [fixedPatchesTokenization, fixedGlobalsTokenization]) {
      const inspector = of(each);
      expect([inspector.rates.value, inspector.filters.value]).toEqual([false, false]);
      expect([inspector.ranking.value, inspector.sampled.value, inspector.keepRank.value]).toEqual(
        new Array(3).fill(undefined),
      );
      inspector.criterion.value = 'sequential';
      expect(inspector.awaitsRanking.value).toBe(false);
    }
    expect(of(fixedPatchesTokenization).selected.value).toMatchObject({ keptTokens: 6, totalTokens: 6, maskBits: 0 });
    expect(of(fixedGlobalsTokenization).selected.value).toMatchObject({ keptTokens: 0, totalTokens: 2 });
  });

  it('that take a length are sampled by their steps, and kept up to one', () => {
    const sequence = modelWith(
      { ...lacking.fixedGlobals },
      { globalTokens: 4, patchTokens: 0, filters: false, prefix: true },
    );
    const inspector = inspectorOf({
      ...{ ...fixedGlobalsTokenization, ...origin, model: sequence },
      tokens: { ...fixedGlobalsTokenization.tokens, globalCodes: Int32Array.of(1, 5, 0, 2) },
    });
    expect(inspector.rates.value).toBe(true);
    expect(inspector.sampled.value?.order).toHaveLength(3);
    inspector.lossRate.value = 0;
    expect(inspector.selected.value?.length).toBe(4);
    inspector.lossRate.value = 0.5;
    const { length = 0, maskBits, totalTokens } = inspector.selected.value ?? {};
    expect(length).toBeLessThan(4);
    expect(totalTokens).toBe(length);
    // Which of four lengths it is.
    expect(maskBits).toBe(2);
    inspector.reconstruction.value = { ...reconstructed, ranking: undefined, length };
    expect(inspector.stale.value).toBe(false);
    inspector.lossRate.value = 0;
    expect(inspector.stale.value).toBe(true);
  });
});

describe('the kept set', () => {
  it('is that of ε, β and budget, as soon as they change', () => {
    const inspector = inspectorOf();
    const check = (): void => {
      const { lossRate, edgePriority } = inspector.settings.value;
      const expected = selectKept(
        rankPatches(tokens.entropyBits, model.grid, edgePriority),
        lossRate,
        inspector.budgetBits.value,
      );
      expect(inspector.selected.value?.keep).toEqual(expected.keep);
      expect(inspector.selected.value).toMatchObject({ lostBits: expected.lostBits, budgetBits: expected.budgetBits });
      expect(inspector.ranking.value).toEqual(inspector.sampled.value);
    };
    check();
    inspector.lossRate.value = 0.9;
    check();
    inspector.edgePriority.value = 5;
    check();
    expect(inspector.budgetBits.value).toBeNull();
    inspector.budget.value = 'reference';
    expect(inspector.budgetBits.value).toBe(9);
    check();
  });

  it('has the bits and tokens of what is kept, and of the mask that says which', () => {
    const inspector = inspectorOf();
    expect(inspector.selected.value).toMatchObject({
      keptTokens: 2,
      totalTokens: 4,
      lostBits: 3,
      budgetBits: 7.5,
      length: 1,
    });
    expect(inspector.selected.value?.payloadBits).toBeCloseTo(4 * Math.log2(6));
    // Fifteen ways to keep two of six.
    expect(inspector.selected.value?.maskBits).toBeCloseTo(Math.log2(15));
    expect([...(inspector.keepRank.value ?? [])]).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('of a ranking by the model waits for it, and shows the last answer meanwhile', () => {
    const inspector = inspectorOf();
    const rankedBy = (criterion: RankingCriterion, edgePriority = 0, rankingRounds?: number) => ({
      ...{ criterion, edgePriority, rankingRounds, ranking },
    });
    inspector.criterion.value = 'sequential';
    expect([inspector.awaitsRanking.value, inspector.selected.value, inspector.stale.value]).toEqual([
      true,
      undefined,
      true,
    ]);
    inspector.reconstruction.value = { ...reconstructed, keep: Uint8Array.of(1, 0, 0, 0, 0, 0), keptTokens: 1 };
    expect(inspector.ranking.value).toBe(reconstructed.ranking);
    expect(inspector.selected.value?.keptTokens).toBe(1);
    expect(inspector.stale.value).toBe(true);
    for (const other of [rankedBy('distortion'), rankedBy('sequential', 1), rankedBy('sequential', 0, 5)]) {
      inspector.ranked.value = other;
      expect(inspector.awaitsRanking.value).toBe(true);
    }
    inspector.ranked.value = rankedBy('sequential');
    expect(inspector.awaitsRanking.value).toBe(false);
    expect(inspector.selected.value?.keptTokens).toBe(2);
    // The picture is that of another criterion.
    expect(inspector.stale.value).toBe(true);
    const sequential = { ...settings, ranking: 'sequential' as const };
    inspector.reconstruction.value = { ...reconstructed, settings: sequential };
    expect(inspector.stale.value).toBe(false);
    inspector.lossRate.value = 0.9;
    expect(inspector.stale.value).toBe(true);
  });

  it('is stale until its picture came, and not where other settings keep the same', () => {
    const inspector = inspectorOf();
    expect(inspector.stale.value).toBe(true);
    inspector.reconstruction.value = reconstructed;
    expect(inspector.stale.value).toBe(false);
    inspector.lossRate.value = 0.42;
    expect(inspector.stale.value).toBe(false);
    inspector.lossRate.value = 1;
    expect(inspector.stale.value).toBe(true);
    inspector.stop();
    expect(inspector.stopped.value).toBe(true);
    inspector.resume();
    expect(inspector.stopped.value).toBe(false);
    inspector.stop();
    inspector.edgePriority.value = 1;
    expect(inspector.stopped.value).toBe(false);
    inspector.stop();
    tokenize(inspector, { ...tokenization, tokens: { ...tokens, globalCodes: Int32Array.of(0, 0) } });
    expect(inspector.stopped.value).toBe(false);
  });
});

describe('the tile and its attention', () => {
  const map = {
    tile: 1,
    region: { row: 0, column: 3, rows: 2, columns: 3 },
    layer: 1,
    head: 0,
    weights: new Float32Array(12),
  };

  it('are those of the focused patch, at first of the middle', () => {
    const inspector = inspectorOf(twoTiles);
    expect([inspector.tile.value, inspector.tileRegion.value]).toEqual([1, map.region]);
    inspector.focused.value = 8;
    expect([inspector.tile.value, inspector.tileRegion.value]).toEqual([0, { ...map.region, column: 0 }]);
    inspector.focused.value = 9;
    expect(inspector.tile.value).toBe(1);
    inspector.attention.value = map;
    expect(inspector.shownAttention.value).toBe(map);
    inspector.focused.value = 0;
    expect(inspector.shownAttention.value).toBeUndefined();
    inspector.focused.value = 9;
    inspector.attention.value = { ...map, weights: new Float32Array(6) };
    expect(inspector.shownAttention.value).toBeUndefined();
  });

  it('are not those of a model without global tokens', () => {
    const inspector = of(fixedPatchesTokenization);
    inspector.attention.value = { ...map, tile: 0, weights: new Float32Array() };
    expect(inspector.shownAttention.value).toBeUndefined();
  });

  it('are of the last layer and the mean of heads, unless others are chosen that there are', () => {
    const inspector = inspectorOf();
    expect([inspector.layer.value, inspector.head.value]).toEqual([1, 'mean']);
    for (const [layer, head, shown] of [
      [0, 1, [0, 1]],
      ['mean', 0, ['mean', 0]],
      [2, 2, [1, 'mean']],
    ] as const) {
      inspector.chosenLayer.value = layer;
      inspector.chosenHead.value = head;
      expect([inspector.layer.value, inspector.head.value]).toEqual(shown);
    }
  });
});

describe('patches and tokens that the user points at', () => {
  it('follow the pointer until one is pinned', () => {
    const inspector = inspectorOf();
    inspector.hover(2);
    inspector.hover(undefined);
    expect(inspector.focused.value).toBe(2);
    inspector.togglePin(3);
    inspector.hover(1);
    expect([inspector.focused.value, inspector.pinned.value]).toEqual([3, true]);
    inspector.togglePin(4);
    expect([inspector.focused.value, inspector.pinned.value]).toEqual([4, true]);
    inspector.togglePin(4);
    expect(inspector.pinned.value).toBe(false);
    inspector.hover(1);
    expect(inspector.focused.value).toBe(1);
  });

  it('are isolated one by one or together, under attention or influence', () => {
    const inspector = inspectorOf();
    const isolated = (token: number, add = false): readonly number[] => {
      inspector.isolate(token, add);
      return inspector.isolatedTokens.value;
    };
    expect(isolated(1)).toEqual([1]);
    expect(inspector.overlay.value).toBe('attention');
    expect(isolated(0)).toEqual([0]);
    expect(isolated(1, true)).toEqual([0, 1]);
    expect(isolated(0, true)).toEqual([1]);
    expect(isolated(0, true)).toEqual([0, 1]);
    expect(isolated(1)).toEqual([1]);
    expect(isolated(1)).toEqual([]);
    inspector.chosenOverlay.value = 'influence';
    isolated(1);
    expect(inspector.overlay.value).toBe('influence');
  });

  it('are forgotten where a new picture or model has no such', () => {
    const inspector = inspectorOf(twoTiles);
    inspector.focused.value = 11;
    inspector.pinned.value = true;
    inspector.camera.value = { extent: 10, x: 1, y: 1 };
    inspector.isolatedTokens.value = [0, 1];
    tokenize(inspector, { ...twoTiles, image: { ...twoTiles.image, cropMode: 'fit' } });
    expect([inspector.focused.value, inspector.pinned.value, inspector.camera.value]).toEqual([
      undefined,
      false,
      'fit',
    ]);
    inspector.focused.value = 11;
    const one = { ...model, globalTokens: 1 };
    tokenize(inspector, { ...tokenization, model: one, image: { ...image, cropMode: 'fit' } });
    expect([inspector.focused.value, inspector.isolatedTokens.value]).toEqual([undefined, [0]]);
    inspector.focused.value = 5;
    inspector.camera.value = { extent: 10, x: 1, y: 1 };
    tokenize(inspector, { ...tokenization, tokens: { ...tokens, globalCodes: Int32Array.of(0, 0) } });
    expect([inspector.focused.value, inspector.camera.value]).toEqual([5, { extent: 10, x: 1, y: 1 }]);
  });
});

describe('what the host tells', () => {
  it('replaces all that was made of former tokens, and nothing of the same', () => {
    const inspector = inspectorOf();
    inspector.reconstruction.value = reconstructed;
    inspector.notice.value = { message: 'x', actions: [] };
    inspector.timings.value = { decode: 1 };
    tokenize(inspector, structuredClone(tokenization));
    expect([inspector.reconstruction.value, inspector.timings.value]).toEqual([reconstructed, { decode: 1 }]);
    expect(inspector.notice.value).toBeUndefined();
    for (const other of [
      { ...tokenization, model: { ...model, version: '1' } },
      { ...tokenization, model: { ...model, directory: '/models/other' } },
      { ...tokenization, tokens: { ...tokens, patchCodes: Int32Array.of(0, 1, 2, 3, 4, 4) } },
      { ...tokenization, tokens: { ...tokens, patchCodes: Int32Array.of(0, 1, 2, 3, 4) } },
      { ...tokenization, tokens: { ...tokens, otherCodes: [Int32Array.of(1)] } },
      { ...tokenization, tokens: { ...tokens, keep: new Uint8Array(6) } },
      { ...tokenization, image: { ...image, rgb: image.rgb.map((value) => 255 - value) } },
    ]) {
      tokenize(inspector, { ...tokenization, timings: {} });
      inspector.reconstruction.value = reconstructed;
      inspector.ranked.value = { criterion: 'sequential', edgePriority: 0, rankingRounds: undefined, ranking };
      tokenize(inspector, { ...other, tokens: structuredClone(other.tokens), timings: { encode: 7 } });
      expect([inspector.reconstruction.value, inspector.ranked.value]).toEqual([undefined, undefined]);
      expect(inspector.timings.value).toEqual({ encode: 7 });
      expect(inspector.picture.value?.image.rgb).toEqual(other.image.rgb);
    }
  });

  it('keeps the picture where only its tokens are others, and not where its geometry is', () => {
    const inspector = inspectorOf();
    const before = inspector.picture.value?.image;
    tokenize(inspector, { ...structuredClone(tokenization), tokens: { ...tokens, globalCodes: Int32Array.of(0, 0) } });
    expect(inspector.picture.value?.image).toBe(before);
    const moved = { ...structuredClone(image), crop: { left: 1, top: 0, width: 63, height: 48 } };
    tokenize(inspector, { ...tokenization, image: moved, tokens: { ...tokens, globalCodes: Int32Array.of(1, 0) } });
    expect(inspector.picture.value?.image).toBe(moved);
  });

  it('shows a picture before its tokens, and another one not before there are new tokens', () => {
    const inspector = new Inspector(readViewState({}));
    inspector.acceptPicture({ image, model, settings });
    expect(inspector.picture.value).toEqual({ image, model });
    expect(inspector.settings.value).toMatchObject(settings);
    tokenize(inspector);
    inspector.acceptPicture({ image: twoTiles.image, model, settings: { ...settings, lossRate: 0.9 } });
    expect(inspector.picture.value?.image).toBe(image);
    expect(inspector.settings.value.lossRate).toBe(settings.lossRate);
    const { image: _, ...rest } = twoTiles;
    inspector.accept(rest);
    expect(inspector.picture.value?.image).toBe(twoTiles.image);
    expect(inspector.phase.value).toEqual({ kind: 'ready' });
  });

  it('corrects the crop mode that was chosen, where one was', () => {
    const inspector = inspectorOf();
    expect([inspector.cropMode.value, inspector.chosenCropMode.value]).toEqual(['fit', undefined]);
    inspector.chosenCropMode.value = 'tiles';
    expect(inspector.cropMode.value).toBe('tiles');
    tokenize(inspector);
    expect(inspector.chosenCropMode.value).toBe('fit');
  });

  it('changes no settings where the model can drop nothing', () => {
    const inspector = inspectorOf();
    inspector.lossRate.value = 0.7;
    const nothing = { lossRate: 0, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
    tokenize(inspector, { ...fixedPatchesTokenization, ...origin, settings: nothing });
    expect(inspector.settings.value.lossRate).toBe(0.7);
    tokenize(inspector);
    expect(inspector.settings.value.lossRate).toBe(0.7);
  });

  it('is a failure of a picture that stays, but of a data set’s row', () => {
    const failure = { message: 'x', actions: [] };
    const inspector = inspectorOf();
    inspector.reconstruction.value = reconstructed;
    inspector.fail(failure);
    expect(inspector.phase.value).toEqual({ kind: 'failed', failure });
    expect([inspector.tokenization.value, inspector.picture.value].includes(undefined)).toBe(false);
    inspector.open({ name: 'a.tokens', uri: 'file:///a.tokens', tokens: 'dataset' });
    inspector.fail(failure);
    expect([inspector.tokenization.value, inspector.picture.value, inspector.reconstruction.value]).toEqual(
      new Array(3).fill(undefined),
    );
  });
});

describe('the state that VS Code keeps', () => {
  const kept = {
    ...{ view: 'swipe', overlay: 'influence', opacity: 0.25, colormap: 'magma', range: 'fit', swipe: 0.125 },
    ...{ camera: { extent: 12, x: 3, y: 4 }, layer: 0, head: 1, isolated: [1], rate: 'bits', distortion: 'ssim' },
    ...{ anchored: true, codec: 'avif', cropMode: 'fit' },
    settings: { lossRate: 0.3, edgePriority: 2, budget: 'reference', ranking: 'sequential', rankingRounds: 4 },
    hostSettings: settings,
  };

  it('is what was restored, until the user changes it', () => {
    const inspector = new Inspector(readViewState(structuredClone(kept)));
    inspector.open({ name: 'cat.png', uri: 'file:///cat.png' });
    expect(inspector.viewState.value).toMatchObject({ uri: 'file:///cat.png', ...kept });
    tokenize(inspector);
    expect(inspector.viewState.value).toMatchObject({ uri: 'file:///cat.png', ...kept });
    inspector.opacity.value = 0.5;
    inspector.lossRate.value = 0.75;
    expect(inspector.viewState.value).toMatchObject({ opacity: 0.5, settings: { ...kept.settings, lossRate: 0.75 } });
  });

  it('has settings of the document where the page has none of its own', () => {
    const given = { lossRate: 0.25, edgePriority: 1, budget: 'image', ranking: 'entropy' } as const;
    const document = { name: 'cat.png', uri: 'file:///cat.png', settings: given };
    const fresh = new Inspector(readViewState({}));
    fresh.open(document);
    tokenize(fresh);
    expect(fresh.settings.value).toMatchObject(given);
    const own = new Inspector(readViewState(structuredClone(kept)));
    own.open(document);
    tokenize(own);
    expect(own.settings.value).toEqual(kept.settings);
  });

  it('falls back field by field where it cannot be read', () => {
    const state = readViewState({
      ...kept,
      view: 'inside out',
      opacity: 2,
      layer: -1,
      camera: { extent: 0, x: 0, y: 0 },
    });
    expect(state).toMatchObject({ view: 'reconstruction', opacity: 0.55, camera: 'fit', swipe: 0.125, head: 1 });
    expect(state.layer).toBeUndefined();
    const usual = readViewState('no object');
    expect(usual).toMatchObject({
      ...{ uri: '', view: 'reconstruction', overlay: 'entropy', opacity: 0.55, colormap: 'viridis', range: 'fixed' },
      ...{
        swipe: 0.5,
        camera: 'fit',
        head: 'mean',
        isolated: [],
        rate: 'tokens',
        distortion: 'psnr',
      },
      ...{ anchored: false, codec: 'webp' },
    });
    for (const unset of [usual.layer, usual.cropMode, usual.settings, usual.hostSettings])
      expect(unset).toBeUndefined();
    expect(
      readViewState({ opacity: -0.1, swipe: 1.1, isolated: [-1], rate: 'x', distortion: 'x', range: 'x' }),
    ).toEqual(usual);
    expect(readViewState({ ...kept, opacity: 0, swipe: 1, layer: 'mean', rate: 'bpp' })).toMatchObject({
      ...{ opacity: 0, swipe: 1, layer: 'mean', rate: 'bpp' },
    });
  });

  it('may be shared with another picture, but for what is of the picture itself', () => {
    const first = inspectorOf();
    const second = new Inspector(readViewState({}), first);
    for (const key of [
      ...(['view', 'chosenOverlay', 'opacity', 'colormap', 'range', 'swipe'] as const),
      ...(['chosenLayer', 'chosenHead', 'isolatedTokens'] as const),
    ]) {
      expect(second[key], key).toBe(first[key]);
    }
    for (const key of [
      'lossRate',
      'edgePriority',
      'budget',
      'criterion',
      'rate',
      'distortion',
      'focused',
      'camera',
    ] as const) {
      expect(second[key], key).not.toBe(first[key]);
    }
  });
});
