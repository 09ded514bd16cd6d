import { describe, expect, it } from 'vitest';
import { describeParts, hasEveryPart, needsEveryPatch, tokenSum } from '../../../src/method/parts';
import { lacking, modelWith, tinyModel, type PartCounts } from '../model';

const of = (parts: PartCounts) => modelWith(tinyModel, parts);

describe('what kind of tokenizer it is', () => {
  it('is said in one line, with what every image takes', () => {
    expect(describeParts(of({ globalTokens: 57, patchTokens: 0, filters: false }))).toBe(
      '57 global tokens, no patch tokens: every image takes 57 tokens',
    );
    expect(describeParts(of({ globalTokens: 0, patchTokens: 256, filters: false }), 'tile')).toBe(
      'no global tokens, 256 patch tokens: every tile takes 256 tokens',
    );
    expect(describeParts(of({ globalTokens: 0, patchTokens: 256, filters: true }))).toBe(
      'no global tokens, 256 patch tokens: every image takes 0 to 256 tokens',
    );
    expect(describeParts(of({ globalTokens: 1, patchTokens: 0, filters: false }))).toBe(
      '1 global token, no patch tokens: every image takes 1 token',
    );
  });

  it('follows from its parts', () => {
    expect(Object.values(lacking).map(hasEveryPart)).toEqual([false, false, false]);
    expect(hasEveryPart(tinyModel)).toBe(true);
    expect(Object.values(lacking).map(needsEveryPatch)).toEqual([true, false, false]);
    expect(needsEveryPatch(tinyModel)).toBe(false);
  });
});

describe('a sum of tokens', () => {
  it('names the kinds that there are', () => {
    expect(tokenSum({ keptTokens: 4, totalTokens: 6 }, tinyModel)).toBe('4 + 2 global = 6');
    expect(tokenSum({ keptTokens: 4, totalTokens: 4 }, lacking.patchesOnly)).toBe('4');
    expect(tokenSum({ keptTokens: 0, totalTokens: 2 }, lacking.fixedGlobals)).toBe('2 global');
  });
});
