import { prefixSteps } from '../../src/method/streams';
import type { ModelDescription, Stream } from '../../src/method/types';

/** The counts that say which parts a model has. */
export interface PartCounts extends Pick<ModelDescription, 'globalTokens' | 'patchTokens' | 'filters'> {
  /** True if any leading global tokens decode. */
  readonly prefix?: boolean;
}

/** A model with other parts: a sequence of global tokens, a token for every patch of its grid, both of one codebook. */
export function modelWith(
  model: Omit<ModelDescription, 'streams' | 'steps' | 'globalTokens' | 'patchTokens' | 'filters'>,
  { globalTokens, patchTokens, filters, prefix = false }: PartCounts,
  codebook: Stream['codebook'] = { kind: 'fsq', levels: [2, 3] },
): ModelDescription {
  const all = { codebook, prefixSteps: 0 };
  const globals: Stream = {
    ...{ name: 'global_codes', role: 'global', grid: null, codebook },
    shape: [globalTokens],
    prefixSteps: prefix ? globalTokens : 0,
  };
  const patches: Stream = { ...all, name: 'patch_codes', role: 'patch', shape: [patchTokens], grid: model.grid };
  const streams = [...(globalTokens > 0 ? [globals] : []), ...(patchTokens > 0 ? [patches] : [])];
  return { ...model, streams, globalTokens, patchTokens, filters, steps: prefixSteps(streams, filters) };
}

/** A tiny model: 2×3 patches of 16 pixels, 2 global tokens, 2 layers of 2 heads. */
export const tinyModel = modelWith(
  {
    name: 'tiny',
    version: '0',
    hash: 'a'.repeat(64),
    directory: '/models/tiny',
    imageSize: { width: 48, height: 32 },
    resample: 'lanczos3',
    grid: { rows: 2, columns: 3 },
    expectedDimensions: 2,
    givenOthers: false,
    attentionLayers: 2,
    attentionHeads: 2,
    defaults: { lossRate: 0.5, edgePriority: 1, budget: 'image', ranking: 'entropy' },
    referenceBudgetBits: 9,
  },
  { globalTokens: 2, patchTokens: 6, filters: true },
);

/** The tiny model without some of its parts. */
export const lacking = {
  /** Every patch token is kept, and there is no other. */
  fixedPatches: modelWith(tinyModel, { globalTokens: 0, patchTokens: 6, filters: false }),
  /** A sequence of global tokens alone. */
  fixedGlobals: modelWith(tinyModel, { globalTokens: 2, patchTokens: 0, filters: false }),
  /** Patch tokens that are filtered given each other alone. */
  patchesOnly: modelWith(tinyModel, { globalTokens: 0, patchTokens: 6, filters: true }),
} as const;
