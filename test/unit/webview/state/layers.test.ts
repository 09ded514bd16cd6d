import { signal } from '@preact/signals';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { differenceValues } from '../../../../webview/canvas/bitmaps';
import { cssColour, type ColormapName } from '../../../../webview/canvas/colormaps';
import type { Influence } from '../../../../webview/state/influence';
import { Inspector } from '../../../../webview/state/inspector';
import { createLayers } from '../../../../webview/state/layers';
import { readViewState } from '../../../../webview/state/viewState';
import { rankPatches } from '../../../../src/method/filter';
import { tinyTokenization } from '../../export/tokenization';
import { lacking } from '../../model';

/** Canvases that keep what is put into them. */
const pixels = new WeakMap<object, Uint8ClampedArray>();

beforeEach(() => {
  vi.stubGlobal('document', {
    createElement() {
      const canvas = {
        getContext: () => ({
          createImageData: (width: number, height: number) => ({ data: new Uint8ClampedArray(4 * width * height) }),
          putImageData: ({ data }: ImageData) => pixels.set(canvas, data),
        }),
      };
      return canvas;
    },
  });
});
afterEach(() => void vi.unstubAllGlobals());

const { reconstruction, image, tokens, model } = tinyTokenization;
/** Values of six patches that no other map has. */
const change = Float32Array.of(32, 0, 16, 8, 4, 2);

function open() {
  const inspector = new Inspector(readViewState({}));
  const { settings } = reconstruction;
  inspector.acceptPicture({ image, model, settings });
  inspector.accept({ tokens, model, settings, timings: {}, provider: { provider: 'cpu', failures: [] } });
  inspector.range.value = 'fixed';
  const layers = createLayers(inspector, { shown: signal(change) } as unknown as Influence);
  return { inspector, layers };
}

/** CSS colours of a map's cells. */
function coloursOf(canvas: object | undefined): string[] {
  const data = pixels.get(canvas ?? {}) ?? [];
  return Array.from({ length: data.length / 4 }, (_, i) => `rgb(${[...data.slice(4 * i, 4 * i + 3)].join(' ')})`);
}

it.each([
  ['entropy', tokens.entropyBits, Math.log2(6), 'Conditional entropy per patch'],
  ['surprisal', tokens.surprisalBits, Math.log2(6), 'Surprisal per patch'],
  ['influence', change, 32, 'Root-mean-square change of pixels when the token is replaced'],
] as const)(
  'the overlay %s draws its own values, on the scale and under the title of its colour bar',
  (overlay, values, top, title) => {
    const { inspector, layers } = open();
    inspector.chosenOverlay.value = overlay;
    const wanted = Array.from(values, (value) => cssColour(inspector.colormap.value, value / top));
    expect(new Set(wanted).size).toBeGreaterThan(4);
    expect(coloursOf(layers.heat.value)).toEqual(wanted);
    const legend = layers.legend.value;
    expect([legend?.title, legend?.domain]).toEqual([title, [0, top]]);
    expect(Array.from(values, (_, patch) => legend?.valueAt(patch))).toEqual([...values]);
  },
);

it('the overlay priority draws what patches are sorted by, which has no upper bound', () => {
  const { inspector, layers } = open();
  inspector.chosenOverlay.value = 'priority';
  inspector.edgePriority.value = 2;
  const shown = () => Array.from(tokens.entropyBits, (_, patch) => layers.legend.value?.valueAt(patch));
  // Every patch of the small grid lies at its edge.
  expect(shown()).toEqual(Array.from(tokens.entropyBits, (bits) => bits + 2));
  const priority = Float64Array.of(0, 30, 1, 2, 3, 4);
  const priorities = { priority, givenBits: priority, round: new Uint8Array(6) };
  inspector.criterion.value = 'distortion';
  inspector.ranked.value = {
    ...{ criterion: 'distortion', edgePriority: 2, rankingRounds: undefined },
    ranking: { ...rankPatches(priority, model.grid, 2), priorities },
  };
  expect(layers.legend.value).toMatchObject({ title: 'Priority per patch', domain: [0, Math.log2(6)], open: true });
  expect(shown()).toEqual([...priority]);
  // One patch that is worth more than all others does not leave them dark.
  inspector.range.value = 'fit';
  const [low = NaN, high = NaN] = layers.legend.value?.domain ?? [];
  expect(low).toBeCloseTo(0.1, 5);
  expect(high).toBeCloseTo(27.4, 5);
});

it('on the range of the picture itself, bits span the values of the overlay that is shown', () => {
  const { inspector, layers } = open();
  inspector.range.value = 'fit';
  inspector.chosenOverlay.value = 'entropy';
  expect(layers.bitsDomain.value).toEqual([0, 2.5]);
  inspector.chosenOverlay.value = 'surprisal';
  expect(layers.bitsDomain.value).toEqual([0.25, 2.75]);
});

it.each(['kept', 'none'] as const)('with the overlay %s there is no map over the picture', (overlay) => {
  const { inspector, layers } = open();
  inspector.chosenOverlay.value = overlay;
  expect(layers.heat.value).toBeUndefined();
});

const rgbOf = (canvas: object | undefined): number[] => {
  const data = pixels.get(canvas ?? {}) ?? [];
  return Array.from(data).filter((_, i) => i % 4 !== 3);
};
/** Rec. 709 luma as a canvas keeps it. */
const greyOf = (rgb: Uint8Array): number[] =>
  Array.from({ length: rgb.length / 3 }, (_, i) => {
    const [r = 0, g = 0, b = 0] = rgb.subarray(3 * i);
    return new Array<number>(3).fill(Uint8ClampedArray.of(0.2126 * r + 0.7152 * g + 0.0722 * b)[0] ?? 0);
  }).flat();

/** Pixels of the reconstruction, and of the photograph in a common format. */
const decoded = image.rgb.map((value, i) => Math.max(0, value - (i % 13)));
const anchored = image.rgb.map((value) => 255 - value);

function openWhole() {
  const opened = open();
  opened.inspector.reconstruction.value = { ...reconstruction, rgb: decoded, ranking: tinyTokenization.ranking };
  return opened;
}

describe('pictures under a map are grey, and without one in colour', () => {
  it.each(['original', 'reconstruction', 'swipe', 'anchor'] as const)('in the view %s', (view) => {
    const { inspector, layers } = openWhole();
    inspector.view.value = view;
    inspector.anchor.value = { codec: 'webp', rgb: anchored } as NonNullable<typeof inspector.anchor.value>;
    const left = view === 'reconstruction' || view === 'anchor' ? decoded : image.rgb;
    const right = view === 'swipe' ? decoded : anchored;
    for (const [overlay, shown] of [
      ['entropy', greyOf],
      ['attention', greyOf],
      ['none', Array.from],
      ['kept', Array.from],
    ] as const) {
      inspector.chosenOverlay.value = overlay;
      expect(rgbOf(layers.base.value), overlay).toEqual(shown(left));
      if (view === 'swipe' || view === 'anchor') expect(rgbOf(layers.swiped.value), overlay).toEqual(shown(right));
      else expect(layers.swiped.value).toBeUndefined();
    }
  });

  it('and are the original until there is a reconstruction, in colour before there are tokens', () => {
    const { inspector, layers } = open();
    inspector.chosenOverlay.value = 'none';
    for (const view of ['reconstruction', 'difference', 'swipe', 'original', 'anchor'] as const) {
      inspector.view.value = view;
      expect(rgbOf(layers.base.value), view).toEqual([...image.rgb]);
      expect(layers.swiped.value, view).toBeUndefined();
    }
    const early = new Inspector(readViewState({}));
    const before = createLayers(early, { shown: signal(undefined) } as unknown as Influence);
    early.view.value = 'original';
    expect([before.base.value, before.heat.value, before.legend.value]).toEqual([undefined, undefined, undefined]);
    expect(before.bitsDomain.value).toEqual([0, 1]);
    early.acceptPicture({ image, model, settings: reconstruction.settings });
    expect(rgbOf(before.base.value)).toEqual([...image.rgb]);
    early.view.value = 'reconstruction';
    expect(rgbOf(before.base.value)).toEqual([...image.rgb]);
  });
});

describe('the difference', () => {
  it('is drawn on its own scale, in grey under a map', () => {
    const { inspector, layers } = openWhole();
    inspector.view.value = 'difference';
    inspector.chosenOverlay.value = 'none';
    const differences = differenceValues(image.rgb, decoded);
    const wanted = (colormap: ColormapName, top: number) =>
      Array.from(differences, (value) => cssColour(colormap, value / top));
    expect(coloursOf(layers.base.value)).toEqual(wanted(inspector.colormap.value, 64));
    expect(layers.legend.value).toMatchObject({
      ...{ title: 'Absolute difference of pixels', unit: 'of 255', domain: [0, 64], open: true },
    });
    expect(layers.legend.value?.format(12.6)).toBe('13');
    expect(layers.legend.value?.valueAt(0)).toBeUndefined();
    inspector.range.value = 'fit';
    const most = Math.max(...differences);
    expect(layers.legend.value).toMatchObject({ domain: [0, most], open: false });
    expect(coloursOf(layers.base.value)).toEqual(wanted(inspector.colormap.value, most));
    inspector.chosenOverlay.value = 'entropy';
    expect(coloursOf(layers.base.value)).toEqual(wanted('grey', most));
    expect(layers.legend.value?.title).toBe('Conditional entropy per patch');
    // Over another view nothing is left to explain.
    inspector.chosenOverlay.value = 'kept';
    expect(layers.legend.value?.title).toBe('Absolute difference of pixels');
    inspector.view.value = 'swipe';
    expect(layers.legend.value).toBeUndefined();
  });
});

describe('the colour bar', () => {
  it.each([
    [
      'entropy',
      'fixed',
      'bits',
      false,
      [
        [1.25, '1.3'],
        [2, '2'],
      ],
    ],
    [
      'entropy',
      'fit',
      'bits',
      false,
      [
        [1.25, '1.3'],
        [2, '2.0'],
      ],
    ],
    [
      'surprisal',
      'fixed',
      'bits',
      true,
      [
        [1.25, '1.3'],
        [2, '2'],
      ],
    ],
    [
      'surprisal',
      'fit',
      'bits',
      false,
      [
        [1.25, '1.3'],
        [2, '2.0'],
      ],
    ],
    [
      'influence',
      'fixed',
      'of 255',
      true,
      [
        [12.6, '13'],
        [2, '2'],
      ],
    ],
    [
      'influence',
      'fit',
      'of 255',
      false,
      [
        [12.6, '12.6'],
        [2, '2.0'],
      ],
    ],
    [
      'attention',
      'fixed',
      '%',
      true,
      [
        [0, '0'],
        [0.125, '12.5'],
      ],
    ],
    [
      'attention',
      'fit',
      '%',
      false,
      [
        [0, '0'],
        [0.125, '12.5'],
      ],
    ],
  ] as const)('of %s on the range %s', (overlay, range, unit, isOpen, formatted) => {
    const { inspector, layers } = open();
    inspector.chosenOverlay.value = overlay;
    inspector.range.value = range;
    expect(layers.legend.value).toMatchObject({ unit, open: isOpen });
    for (const [value, text] of formatted) expect(layers.legend.value?.format(value)).toBe(text);
  });
});

describe('attention', () => {
  const region = { row: 0, column: 0, rows: 2, columns: 3 };
  // Twelve weights, of which the greatest is far above the others.
  const weights = Float32Array.from({ length: 12 }, (_, i) => (i === 11 ? 0.9 : i / 100));
  const column = (patch: number): [number, number] => [weights[patch] ?? 0, weights[6 + patch] ?? 0];

  function openAttention() {
    const opened = open();
    opened.inspector.attention.value = { tile: 0, region, layer: 1, head: 'mean', weights };
    opened.inspector.chosenOverlay.value = 'attention';
    return opened;
  }

  it('is the mean over all tokens or the isolated ones', () => {
    const { inspector, layers } = openAttention();
    const values = () => Array.from({ length: 6 }, (_, patch) => layers.legend.value?.valueAt(patch) ?? NaN);
    values().forEach((value, patch) => expect(value).toBeCloseTo((column(patch)[0] + column(patch)[1]) / 2));
    inspector.isolatedTokens.value = [1];
    values().forEach((value, patch) => expect(value).toBeCloseTo(column(patch)[1]));
    expect(layers.legend.value?.title).toBe('Attention over patches');
  });

  it('is drawn up to the weight that one of a hundred exceeds, or to the greatest mean', () => {
    const { inspector, layers } = openAttention();
    const [low, high] = layers.legend.value?.domain ?? [];
    expect(low).toBe(0);
    // Between the greatest weight and the next.
    expect(high).toBeCloseTo(0.1 + 0.8 * 0.89, 5);
    expect(coloursOf(layers.heat.value)).toHaveLength(6);
    inspector.range.value = 'fit';
    expect(layers.legend.value?.domain[1]).toBeCloseTo((0.05 + 0.9) / 2);
    inspector.attention.value = undefined;
    expect([layers.heat.value, layers.legend.value?.domain]).toEqual([undefined, [0, 1]]);
  });
});

describe('scales of two pictures', () => {
  it('hold the values of both', () => {
    const one = openWhole();
    const other = new Inspector(readViewState({}));
    const { settings } = reconstruction;
    other.acceptPicture({ image, model, settings });
    const larger = { ...tokens, entropyBits: tokens.entropyBits.map((bits) => bits + 1) };
    other.accept({ tokens: larger, model, settings, timings: {}, provider: { provider: 'cpu', failures: [] } });
    const influence = { shown: signal(Float32Array.of(1, 2)) } as unknown as Influence;
    const peered = createLayers(other, influence, () => one.layers);
    expect([peered.peered, one.layers.peered]).toEqual([true, false]);
    other.range.value = one.inspector.range.value = 'fit';
    other.chosenOverlay.value = one.inspector.chosenOverlay.value = 'entropy';
    expect(one.layers.bitsDomain.value).toEqual([0, 2.5]);
    expect(peered.bitsDomain.value).toEqual([0, 3.5]);
    expect([peered.own.bits.value, peered.own.difference.value]).toEqual([[1, 3.5], undefined]);
    other.chosenOverlay.value = 'influence';
    expect(peered.legend.value?.domain).toEqual([0, 32]);
    other.view.value = 'difference';
    other.chosenOverlay.value = 'none';
    expect(peered.legend.value?.domain).toEqual([0, Math.max(...differenceValues(image.rgb, decoded))]);
  });
});

it('a model that drops nothing has no map of bits', () => {
  const { inspector, layers } = open();
  inspector.chosenOverlay.value = 'entropy';
  const { settings } = reconstruction;
  inspector.accept({
    ...{ tokens, settings, timings: {}, provider: { provider: 'cpu', failures: [] } },
    model: lacking.fixedPatches,
  });
  expect([layers.heat.value, layers.own.bits.value, layers.bitsDomain.value]).toEqual([undefined, undefined, [0, 1]]);
});
