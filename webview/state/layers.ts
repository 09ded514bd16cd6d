import { computed, type ReadonlySignal } from '@preact/signals';
import { extent, max, min, quantile } from 'd3-array';
import { colourBitmap, differenceValues, greyBitmap, mapBitmap, type Domain } from '../canvas/bitmaps';
import { onGrid, type Influence } from './influence';
import { shownSize } from '../../src/method/patch';
import { tokenBits } from '../../src/method/streams';
import type { Inspector } from './inspector';

/** Contents of the colour bar. */
export interface Legend {
  readonly title: string;
  readonly unit: string;
  readonly domain: Domain;
  /** The fixed scale ends here although larger values exist. */
  readonly open: boolean;
  readonly format: (value: number) => string;
  /** Value of a patch, for the bar's marker. */
  readonly valueAt: (patch: number) => number | undefined;
}

/** Pictures of the canvas, each recomputed only when what it shows changed. */
export interface Layers {
  /** The image left of the swipe line, or all of it. */
  readonly base: ReadonlySignal<HTMLCanvasElement | undefined>;
  /** The image right of the swipe line. */
  readonly swiped: ReadonlySignal<HTMLCanvasElement | undefined>;
  /** One pixel per patch. */
  readonly heat: ReadonlySignal<HTMLCanvasElement | undefined>;
  readonly legend: ReadonlySignal<Legend | undefined>;
  /** Interval of the colours of bits, for the histogram. */
  readonly bitsDomain: ReadonlySignal<Domain>;
  /** True if scales are shared with another picture. */
  readonly peered: boolean;
  /** Intervals that the picture by itself would take; undefined until there is one. */
  readonly own: OwnDomains;
}

interface OwnDomains {
  readonly bits: ReadonlySignal<Domain | undefined>;
  readonly difference: ReadonlySignal<Domain | undefined>;
  readonly attention: ReadonlySignal<Domain | undefined>;
  readonly influence: ReadonlySignal<Domain | undefined>;
}

/** What maps in bits show. */
export const bitsTitles = {
  priority: 'Priority per patch',
  entropy: 'Conditional entropy per patch',
  surprisal: 'Surprisal per patch',
} as const;

/** Pixel differences above this (of 255) share the last colour of the fixed scale. */
const differenceCeiling = 64;

/** Influence above this (in 8-bit units) shares the last colour of the fixed scale. */
const influenceCeiling = 32;

/** @param peer whose scales are shared, so that one colour means the same in both pictures. */
export function createLayers(inspector: Inspector, influence: Influence, peer?: () => Layers): Layers {
  const { picture, tokenization, reconstruction, overlay, view, range, colormap } = inspector;

  const originalColour = computed(() => {
    const image = picture.value?.image;
    return image && colourBitmap(image.rgb, shownSize(image));
  });
  const originalGrey = computed(() => {
    const image = picture.value?.image;
    return image && greyBitmap(image.rgb, shownSize(image));
  });
  const reconstructionColour = computed(() => {
    const image = picture.value?.image;
    return image && reconstruction.value ? colourBitmap(reconstruction.value.rgb, shownSize(image)) : undefined;
  });
  const reconstructionGrey = computed(() => {
    const image = picture.value?.image;
    return image && reconstruction.value ? greyBitmap(reconstruction.value.rgb, shownSize(image)) : undefined;
  });
  const anchorColour = computed(() => {
    const [image, rgb] = [picture.value?.image, inspector.anchor.value?.rgb];
    return image && rgb ? colourBitmap(rgb, shownSize(image)) : undefined;
  });
  const anchorGrey = computed(() => {
    const [image, rgb] = [picture.value?.image, inspector.anchor.value?.rgb];
    return image && rgb ? greyBitmap(rgb, shownSize(image)) : undefined;
  });
  const difference = computed(() => {
    const image = picture.value?.image;
    return image && reconstruction.value ? differenceValues(image.rgb, reconstruction.value.rgb) : undefined;
  });
  const ownDifferences = computed<Domain | undefined>(() => {
    if (difference.value === undefined) return undefined;
    return range.value === 'fit' ? [0, max(difference.value) ?? 1] : [0, differenceCeiling];
  });
  const differenceDomain = shared(ownDifferences, () => peer?.().own.difference);

  const underHeat = computed(() => overlay.value !== 'kept' && overlay.value !== 'none');
  const differenceBitmap = computed(() => {
    const image = picture.value?.image;
    if (image === undefined || difference.value === undefined) return undefined;
    const { width } = shownSize(image);
    return mapBitmap(difference.value, width, differenceDomain.value, underHeat.value ? 'grey' : colormap.value);
  });
  // Before there are tokens nothing lies over the photograph.
  const original = computed(() =>
    underHeat.value && tokenization.value !== undefined ? originalGrey.value : originalColour.value,
  );
  const reconstructed = computed(() => (underHeat.value ? reconstructionGrey.value : reconstructionColour.value));

  const priority = computed(() => {
    const values = inspector.ranking.value?.priorities?.priority;
    return values && Float32Array.from(values);
  });
  const bits = computed(() => {
    if (tokenization.value?.model.filters !== true) return undefined;
    const { tokens } = tokenization.value;
    if (overlay.value === 'priority') return priority.value;
    return overlay.value === 'surprisal' ? tokens.surprisalBits : tokens.entropyBits;
  });
  const ownBits = computed<Domain | undefined>(() => {
    const model = tokenization.value?.model;
    if (model === undefined || bits.value === undefined) return undefined;
    if (range.value === 'fixed') return [0, tokenBits(model)];
    // Few patches may be worth as much as all others together.
    if (overlay.value === 'priority') return [quantile(bits.value, 0.02) ?? 0, quantile(bits.value, 0.98) ?? 1];
    const [low, high] = extent(bits.value);
    return [low ?? 0, high ?? 1];
  });
  const bitsDomain = shared(ownBits, () => peer?.().own.bits);

  const attention = computed(() => {
    const map = inspector.shownAttention.value;
    const grid = tokenization.value?.image.grid;
    if (map === undefined || grid === undefined) return undefined;
    const mean = meanRows(map.weights, map.region.rows * map.region.columns, inspector.isolatedTokens.value);
    return onGrid(mean, map.region, grid);
  });
  const ownAttention = computed<Domain | undefined>(() => {
    if (attention.value === undefined) return undefined;
    if (range.value === 'fit') return [0, max(attention.value) ?? 1];
    // One scale for all tokens. Single patches that take nearly everything would leave the rest of every map black.
    return [0, quantile(inspector.shownAttention.value?.weights ?? [], 0.99) ?? 1];
  });
  const attentionDomain = shared(ownAttention, () => peer?.().own.attention);

  const ownInfluence = computed<Domain | undefined>(() => {
    if (range.value === 'fixed') return [0, influenceCeiling];
    return influence.shown.value && [0, max(influence.shown.value) ?? 1];
  });
  const influenceDomain = shared(ownInfluence, () => peer?.().own.influence);

  const heatOf = computed(() => {
    switch (overlay.value) {
      case 'attention':
        return { values: attention.value, domain: attentionDomain.value };
      case 'influence':
        return { values: influence.shown.value, domain: influenceDomain.value };
      case 'priority':
      case 'entropy':
      case 'surprisal':
      case 'kept':
      case 'none':
        return { values: bits.value, domain: bitsDomain.value };
    }
  });
  const heat = computed(() => {
    const columns = tokenization.value?.image.grid.columns;
    if (!underHeat.value || columns === undefined) return undefined;
    const { values, domain } = heatOf.value;
    return values && mapBitmap(values, columns, domain, colormap.value);
  });

  const legend = computed<Legend | undefined>(() => {
    if (tokenization.value === undefined) return undefined;
    const { values } = heatOf.value;
    const valueAt = (patch: number): number | undefined => values?.[patch];
    switch (overlay.value) {
      case 'priority':
      case 'entropy':
      case 'surprisal':
        return {
          title: bitsTitles[overlay.value],
          unit: 'bits',
          domain: bitsDomain.value,
          // Surprisal has no upper bound; entropy cannot exceed log2 V.
          open:
            (overlay.value !== 'entropy' && range.value === 'fixed') ||
            (overlay.value === 'priority' && range.value === 'fit'),
          format: range.value === 'fit' ? (value) => value.toFixed(1) : (value) => `${Math.round(value * 10) / 10}`,
          valueAt,
        };
      case 'attention':
        return {
          title: 'Attention over patches',
          unit: '%',
          domain: attentionDomain.value,
          open: range.value === 'fixed',
          format: (value) => (value === 0 ? '0' : (100 * value).toFixed(1)),
          valueAt,
        };
      case 'influence':
        return {
          title: 'Root-mean-square change of pixels when the token is replaced',
          unit: 'of 255',
          domain: influenceDomain.value,
          open: range.value === 'fixed',
          format: (value) => (range.value === 'fit' ? value.toFixed(1) : value.toFixed(0)),
          valueAt,
        };
      case 'kept':
      case 'none':
        if (view.value !== 'difference') return undefined;
        return {
          title: 'Absolute difference of pixels',
          unit: 'of 255',
          domain: differenceDomain.value,
          open: range.value === 'fixed',
          format: (value) => value.toFixed(0),
          valueAt: () => undefined,
        };
    }
  });

  return {
    base: computed(() => {
      switch (view.value) {
        case 'original':
        case 'swipe':
          return original.value;
        // Until there is a reconstruction the original stands in, so that what lies over it can be seen.
        case 'reconstruction':
        case 'anchor':
          return reconstructed.value ?? original.value;
        case 'difference':
          return differenceBitmap.value ?? original.value;
      }
    }),
    swiped: computed(() => {
      if (view.value === 'anchor') return underHeat.value ? anchorGrey.value : anchorColour.value;
      return view.value === 'swipe' ? reconstructed.value : undefined;
    }),
    heat,
    legend,
    bitsDomain,
    peered: peer !== undefined,
    own: { bits: ownBits, difference: ownDifferences, attention: ownAttention, influence: ownInfluence },
  };
}

/** The least interval that holds a picture's own and its peer's. */
function shared(
  own: ReadonlySignal<Domain | undefined>,
  peer: () => ReadonlySignal<Domain | undefined> | undefined,
): ReadonlySignal<Domain> {
  return computed(() => {
    const domains = [own.value, peer()?.value].filter((domain) => domain !== undefined);
    return [min(domains, ([low]) => low) ?? 0, max(domains, ([, high]) => high) ?? 1];
  });
}

/** Mean of some rows of a K×N matrix; of all rows when none is chosen. */
function meanRows(weights: Float32Array, patches: number, chosen: readonly number[]): Float32Array {
  const rows = chosen.length > 0 ? chosen : Array.from({ length: weights.length / patches }, (_, row) => row);
  const mean = new Float32Array(patches);
  for (const row of rows) {
    for (let patch = 0; patch < patches; patch++) {
      mean[patch] = (mean[patch] ?? 0) + (weights[row * patches + patch] ?? 0) / rows.length;
    }
  }
  return mean;
}
