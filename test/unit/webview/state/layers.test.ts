import { signal } from '@preact/signals';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { cssColour } from '../../../../webview/canvas/colormaps';
import type { Influence } from '../../../../webview/state/influence';
import { Inspector } from '../../../../webview/state/inspector';
import { createLayers } from '../../../../webview/state/layers';
import { readViewState } from '../../../../webview/state/viewState';
import { tinyTokenization } from '../../export/tokenization';

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
