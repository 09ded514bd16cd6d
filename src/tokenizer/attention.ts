/** Attention of global queries over patches. */
import { TatokError } from './errors';
import type { AttentionChoice, AttentionMap, ModelDescription } from './types';

/**
 * One layer and head of the encoder's `global_attention` [L, H, K, N], or the mean over all layers or heads.
 *
 * @throws TatokError bad-settings for a layer or head that the model does not have.
 */
export function attentionMap(
  attention: Float32Array,
  model: ModelDescription,
  layer: AttentionChoice,
  head: AttentionChoice,
): AttentionMap {
  const { attentionLayers, attentionHeads, globalTokens, grid } = model;
  const cells = globalTokens * grid.rows * grid.columns;
  const layers = chosen(layer, attentionLayers, 'layer');
  const heads = chosen(head, attentionHeads, 'head');
  const weights = new Float32Array(cells);
  const share = 1 / (layers.length * heads.length);
  for (const l of layers) {
    for (const h of heads) {
      const offset = (l * attentionHeads + h) * cells;
      for (let i = 0; i < cells; i++) weights[i] = (weights[i] ?? 0) + share * (attention[offset + i] ?? 0);
    }
  }
  return { layer, head, weights };
}

function chosen(choice: AttentionChoice, count: number, what: string): number[] {
  if (choice === 'mean') return Array.from({ length: count }, (_, i) => i);
  if (Number.isInteger(choice) && choice >= 0 && choice < count) return [choice];
  throw new TatokError('bad-settings', `The model has no ${what} ${choice}; it has ${count}, counted from 0.`);
}
