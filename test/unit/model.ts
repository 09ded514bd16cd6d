import type { Parts } from '../../src/method/parts';
import type { ModelDescription } from '../../src/method/types';

/** A tiny model: 2×3 patches, 2 global tokens, 2 layers of 2 heads. */
export const tinyModel: ModelDescription = {
  name: 'tiny',
  version: '0',
  hash: 'a'.repeat(64),
  directory: '/models/tiny',
  imageSize: 32,
  grid: { rows: 2, columns: 3 },
  globalTokens: 2,
  patchTokens: 6,
  filters: true,
  codebookSize: 6,
  levels: [2, 3],
  attentionLayers: 2,
  attentionHeads: 2,
  defaults: { lossRate: 0.5, edgePriority: 1, budget: 'image', ranking: 'entropy' },
  referenceBudgetBits: 9,
};

/** The tiny model without some of its parts. */
export const lacking = {
  /** Every patch token is kept, and there is no other. */
  fixedPatches: { globalTokens: 0, patchTokens: 6, filters: false },
  /** A sequence of global tokens alone. */
  fixedGlobals: { globalTokens: 2, patchTokens: 0, filters: false },
  /** Patch tokens that are filtered given each other alone. */
  patchesOnly: { globalTokens: 0, patchTokens: 6, filters: true },
} as const satisfies Record<string, Parts>;
