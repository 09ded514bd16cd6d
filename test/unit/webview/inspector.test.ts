import { describe, expect, it } from 'vitest';
import type { InspectedTokenization } from '../../../src/protocol/inspector';
import { tinyTokenization } from '../export/tokenization';
import { Inspector } from '../../../webview/state/inspector';
import { readViewState } from '../../../webview/state/viewState';

describe('Inspector', () => {
  it('keeps all that it shows when the same tokens come from another provider', () => {
    const { reconstruction, ...rest } = tinyTokenization;
    const tokenization = {
      ...rest,
      settings: reconstruction.settings,
      provider: { provider: 'cuda', failures: [] },
    } as InspectedTokenization;
    const inspector = new Inspector(readViewState({}));
    inspector.accept(tokenization);
    inspector.reconstruction.value = reconstruction;
    inspector.lossRate.value = 0.9;
    inspector.focused.value = 3;
    const before = { tokens: inspector.tokenization.value?.tokens, picture: inspector.picture.value?.image };

    const failures = [{ provider: 'cuda', reason: 'Out of memory.' }];
    const copy = structuredClone({ ...tokenization, provider: { provider: 'cpu' as const, failures } });
    inspector.accept(copy);

    expect(inspector.provider.value).toBe('cpu');
    expect(inspector.tokenization.value?.provider.failures).toEqual(failures);
    expect(inspector.tokenization.value?.tokens).toBe(before.tokens);
    expect(inspector.picture.value?.image).toBe(before.picture);
    expect(inspector.reconstruction.value).toBe(reconstruction);
    expect([inspector.lossRate.value, inspector.focused.value]).toEqual([0.9, 3]);
  });
});
