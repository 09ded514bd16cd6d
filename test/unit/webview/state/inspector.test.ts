import { describe, expect, it } from 'vitest';
import type { InspectedTokenization } from '../../../../src/protocol/document';
import { tinyTokenization } from '../../export/tokenization';
import { Inspector } from '../../../../webview/state/inspector';
import { readViewState } from '../../../../webview/state/viewState';

const { reconstruction, ranking, ...rest } = tinyTokenization;
const { settings } = reconstruction;
const tokenization: InspectedTokenization = { ...rest, settings, provider: { provider: 'cuda', failures: [] } };

/** As the host sends them: the picture once, then its tokens. */
function tokenize(inspector: Inspector, { image, ...tokens }: InspectedTokenization): void {
  inspector.acceptPicture({ image, model: tokens.model, settings: tokens.settings });
  inspector.accept(tokens);
}

describe('the kept state of a page', () => {
  const others = { lossRate: 0.4, edgePriority: 1, budget: 'image' };

  it('is read with the ranking by its earlier name too', () => {
    const { settings, hostSettings } = readViewState({
      settings: { ...others, conditioning: 'global' },
      hostSettings: { ...others, ranking: 'sequential' },
    });
    expect(settings).toEqual({ ...others, ranking: 'entropy' });
    expect(hostSettings).toEqual({ ...others, ranking: 'sequential' });
  });
});

describe('Inspector', () => {
  it('keeps all that it shows when the same tokens come from another provider', () => {
    const inspector = new Inspector(readViewState({}));
    tokenize(inspector, tokenization);
    inspector.reconstruction.value = { ...reconstruction, ranking };
    const shown = inspector.reconstruction.value;
    inspector.lossRate.value = 0.9;
    inspector.focused.value = 3;
    const before = { tokens: inspector.tokenization.value?.tokens, picture: inspector.picture.value?.image };

    const failures = [{ provider: 'cuda', reason: 'Out of memory.' }];
    const copy = structuredClone({ ...tokenization, provider: { provider: 'cpu' as const, failures } });
    tokenize(inspector, copy);

    expect(inspector.provider.value).toBe('cpu');
    expect(inspector.tokenization.value?.provider.failures).toEqual(failures);
    expect(inspector.tokenization.value?.tokens).toBe(before.tokens);
    expect(inspector.picture.value?.image).toBe(before.picture);
    expect(inspector.reconstruction.value).toBe(shown);
    expect([inspector.lossRate.value, inspector.focused.value]).toEqual([0.9, 3]);
  });

  it('shows no attention of former tokens over a picture of the same size', () => {
    const inspector = new Inspector(readViewState({}));
    tokenize(inspector, tokenization);
    const region = inspector.tileRegion.value;
    if (region === undefined) throw new Error('there is no tile');
    const weights = new Float32Array(region.rows * region.columns * tokenization.model.globalTokens);
    inspector.attention.value = { tile: 0, region, layer: 0, head: 0, weights };
    tokenize(inspector, structuredClone(tokenization));
    expect(inspector.shownAttention.value?.weights).toBe(weights);
    const { tokens } = tokenization;
    tokenize(inspector, {
      ...tokenization,
      tokens: { ...tokens, globalCodes: (tokens.globalCodes as Int32Array).map((code) => code + 1) },
    });
    expect(inspector.shownAttention.value).toBeUndefined();
  });

  describe('on a page that is shown again', () => {
    /** State of a page that was hidden after the user chose ε = 0.9. */
    function kept() {
      const inspector = new Inspector(readViewState({}));
      inspector.open({ name: 'cat.png', uri: 'file:///cat.png' });
      tokenize(inspector, tokenization);
      inspector.lossRate.value = 0.9;
      return readViewState(structuredClone(inspector.viewState.value));
    }

    it('keeps the settings that the user chose', () => {
      const inspector = new Inspector(kept());
      tokenize(inspector, tokenization);
      expect(inspector.settings.value).toEqual({ ...settings, lossRate: 0.9 });
    });

    it('ranks anew in as many rounds as the host says now', () => {
      const distortion = { ...settings, ranking: 'distortion' } as const;
      const inspector = new Inspector(readViewState({}));
      tokenize(inspector, { ...tokenization, settings: distortion });
      if (ranking === undefined) throw new Error('there is no ranking');
      inspector.ranked.value = { edgePriority: 0, criterion: 'distortion', rankingRounds: undefined, ranking };
      expect(inspector.awaitsRanking.value).toBe(false);
      const again = new Inspector(readViewState(structuredClone(inspector.viewState.value)));
      tokenize(again, { ...tokenization, settings: { ...distortion, rankingRounds: 16 } });
      expect(again.settings.value.rankingRounds).toBe(16);
      again.ranked.value = inspector.ranked.value;
      expect(again.awaitsRanking.value).toBe(true);
    });

    it('goes over to the host’s where those changed meanwhile', () => {
      const inspector = new Inspector(kept());
      const changed = { ...settings, edgePriority: 1 };
      tokenize(inspector, { ...tokenization, settings: changed });
      expect(inspector.settings.value).toEqual(changed);
    });
  });
});
