import { describe, expect, it } from 'vitest';
import {
  describePatch,
  patchFacts,
  patchPlace,
  patchSide,
  shownGrid,
  shownSize,
  tileOf,
  tileRegion,
} from '../../../src/method/patch';
import { fixedGlobalsTokenization, tinyTokenization } from '../export/tokenization';
import { tinyModel } from '../model';

const { image, model } = tinyTokenization;

describe('describePatch', () => {
  it('says in one line what is known of a patch', () => {
    const influence = Float32Array.of(0, 1, 2, 3, 4, 5.25);
    const place = patchPlace(5, Uint32Array.of(6, 5, 4, 3, 2, 1), Uint8Array.of(0, 0, 0, 0, 1, 1));
    expect(describePatch(patchFacts(5, tinyTokenization, influence), place)).toBe(
      'patch (1, 2) #5, code 5 [1 2], conditional entropy 2.50 bits, surprisal 2.75 bits, rank 1 / 6, kept, ' +
        'influence 5.3 of 255, mean RGB 20 12 7',
    );
  });

  it('leaves out what a model does not have, and what lies outside the picture', () => {
    const padded = { ...fixedGlobalsTokenization, image: { ...image, height: 8 } };
    expect(describePatch(patchFacts(1, padded, new Float32Array(6).fill(NaN)), undefined)).toBe(
      'patch (0, 1) #1, mean RGB 12 4 7',
    );
    expect(describePatch(patchFacts(3, padded), undefined)).toBe('patch (1, 0) #3');
  });

  it('calls a dropped patch dropped', () => {
    const place = patchPlace(0, Uint32Array.of(2, 1), Uint8Array.of(0, 1));
    expect(place).toEqual({ rank: 2, patches: 2, kept: false });
    expect(describePatch(patchFacts(0, tinyTokenization), place)).toContain(', rank 2 / 2, dropped, mean RGB 4 4 7');
  });

  it('takes the mean of the part of a patch that is picture, also of one that is shown reduced', () => {
    const { rgb } = patchFacts(5, { ...tinyTokenization, image: { ...image, height: 12 } });
    // Columns 16 to 23 and rows 8 to 11.
    expect(rgb).toEqual([20, 10, 7]);
    const reduced = Uint8Array.from({ length: 12 * 8 * 3 }, (_, i) => Math.floor(i / 3) % 12);
    // Columns 8 to 11 of twelve.
    const facts = patchFacts(2, { ...tinyTokenization, image: { ...image, reduction: 2, rgb: reduced } });
    expect(facts.rgb).toEqual([10, 10, 10]);
  });
});

describe('tiles', () => {
  const layout = { tiles: { rows: 2, columns: 3 }, grid: { rows: 3, columns: 7 } };

  it('hold every patch once, each in the region of its tile', () => {
    const patches = Array.from({ length: 21 }, (_, patch) => tileOf(patch, layout, tinyModel));
    expect(patches).toEqual([0, 0, 0, 1, 1, 1, 2, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5]);
    expect([0, 4, 5].map((tile) => tileRegion(tile, layout, tinyModel))).toEqual([
      { row: 0, column: 0, rows: 2, columns: 3 },
      { row: 2, column: 3, rows: 1, columns: 3 },
      { row: 2, column: 6, rows: 1, columns: 1 },
    ]);
  });
});

describe('sizes', () => {
  it('are those of a patch, of what can be seen of the grid, and of the picture as it is shown', () => {
    expect(patchSide(model)).toBe(8);
    expect(shownGrid({ ...image, width: 17, height: 8 }, model)).toEqual({ rows: 1, columns: 3 });
    expect(shownGrid({ ...image, width: 16, height: 99 }, model)).toEqual({ rows: 2, columns: 2 });
    expect(shownSize({ ...image, width: 25, height: 16, reduction: 2 })).toEqual({ width: 13, height: 8 });
  });
});
