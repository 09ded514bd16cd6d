/** A tokenizer that drops nothing, with a lens: a tiny bundle, and what PyTorch computes of its picture. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine';
import type { FilterSettings } from '../../src/method/types';
import { tokenizeIn } from './support';

const directory = join(import.meta.dirname, '../fixtures/bundles/lens');
const golden = JSON.parse(await readFile(join(directory, 'golden.json'), 'utf8')) as {
  readonly codes: number[];
  readonly entropyBits: number[];
  readonly surprisalBits: number[];
  readonly order: number[];
  readonly cumulativeBits: number[];
  readonly lossRate: number;
  readonly keep: number[];
  readonly patchGreys: number[];
};
const file = await readFile(join(directory, 'image.png'));
const engine = new Engine();

function open(settings: Partial<FilterSettings>, cropMode: 'centre' | 'tiles' = 'centre') {
  return tokenizeIn(engine, { choice: { directory, providers: ['cpu'] }, file, settings, cropMode });
}

const worst = (a: ArrayLike<number>, b: readonly number[]) =>
  Math.max(...b.map((value, i) => Math.abs(value - (a[i] ?? NaN))));

/** The grey of the middle of each patch. */
function patchGreys({ rgb }: { readonly rgb: Uint8Array }): number[] {
  return Array.from({ length: 16 }, (_, i) => rgb[3 * ((16 * Math.floor(i / 4) + 8) * 64 + 16 * (i % 4) + 8)] ?? NaN);
}

describe('a tokenizer with a lens', () => {
  it('has entropies and surprisals given the other tokens', async () => {
    const { tokens } = await open({});
    expect([...tokens.patchCodes]).toEqual(golden.codes);
    expect(worst(tokens.entropyBits, golden.entropyBits)).toBeLessThan(2e-3);
    expect(worst(tokens.surprisalBits, golden.surprisalBits)).toBeLessThan(0.01);
  });

  it('drops tokens by backward elimination, and decodes what is filled in for them', async () => {
    const { analyses, reconstruction } = await open({ lossRate: golden.lossRate });
    const ranking = await analyses.rank(reconstruction.settings);
    expect([...ranking.order]).toEqual(golden.order);
    expect(worst(ranking.cumulativeBits, golden.cumulativeBits)).toBeLessThan(0.01);
    expect([...reconstruction.keep]).toEqual(golden.keep);
    expect(worst(patchGreys(reconstruction), golden.patchGreys)).toBeLessThanOrEqual(1);
    expect(reconstruction.lostBits).toBeLessThanOrEqual(golden.lossRate * reconstruction.budgetBits);
  });

  it.each(['entropy', 'distortion'] as const)('knows no other ranking where %s is asked for', async (ranking) => {
    const { reconstruction } = await open({ lossRate: golden.lossRate, ranking });
    expect(reconstruction.settings.ranking).toBe('sequential');
    expect([...reconstruction.keep]).toEqual(golden.keep);
  });

  it('keeps every token under ε = 0, and none under 1', async () => {
    const whole = (await open({ lossRate: 0 })).reconstruction;
    expect([whole.keptTokens, whole.lostBits]).toEqual([16, 0]);
    const { reconstruction: none } = await open({ lossRate: 1 });
    expect(none.keptTokens).toBe(0);
    expect(none.budgetBits).toBeCloseTo(golden.cumulativeBits.at(-1) ?? NaN, 2);
  });

  it('says how a patch is estimated in tiles, each alone', async () => {
    const sharp = (await import('sharp')).default;
    const two = await sharp(file).extend({ right: 64, extendWith: 'repeat' }).png().toBuffer();
    const choice = { directory, providers: ['cpu'] };
    const { tokens, reconstruction } = await tokenizeIn(engine, {
      ...{ choice, file: two, settings: { lossRate: golden.lossRate }, cropMode: 'tiles' },
    });
    const [, right] = [0, 1].map((half) =>
      Array.from({ length: 16 }, (_, i) => 8 * Math.floor(i / 4) + 4 * half + (i % 4)),
    );
    // Both halves show the same picture.
    expect(right?.map((i) => tokens.patchCodes[i])).toEqual(golden.codes);
    expect(worst(right?.map((i) => tokens.entropyBits[i] ?? NaN) ?? [], golden.entropyBits)).toBeLessThan(2e-3);
    expect(reconstruction.keptTokens).toBeGreaterThan(0);
    expect(reconstruction.keptTokens).toBeLessThan(32);
  });
});
