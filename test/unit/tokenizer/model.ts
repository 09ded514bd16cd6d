import type { ModelDescription } from '../../../src/tokenizer/types';

/** A tiny model: 2×3 patches, 2 global tokens, 2 layers of 2 heads. */
export const tinyModel: ModelDescription = {
  name: 'tiny',
  version: '0',
  directory: '/models/tiny',
  imageSize: 32,
  grid: { rows: 2, columns: 3 },
  globalTokens: 2,
  codebookSize: 6,
  levels: [2, 3],
  attentionLayers: 2,
  attentionHeads: 2,
  defaults: { lossRate: 0.5, edgePriority: 1, budget: 'image', conditioning: 'global' },
  referenceBudgetBits: 9,
};
