/** Attention of global queries over patches. */
import { TatokError } from '../method/errors';
import type { AttentionChoice, AttentionMap, Grid, ModelDescription } from '../method/types';

/**
 * One layer and head of the encoder's `global_attention` [L, H, K, N], or the mean over all layers or heads, for the first
 * rows and columns of the model image's patches: the others hold padding.
 *
 * @throws TatokError bad-settings for a layer or head that the model does not have.
 */
export function attentionMap(
  attention: Float32Array,
  model: ModelDescription,
  { rows, columns }: Grid,
  layer: AttentionChoice,
  head: AttentionChoice,
): Pick<AttentionMap, 'layer' | 'head' | 'weights'> {
  const { attentionLayers, attentionHeads, globalTokens, grid } = model;
  const cells = globalTokens * grid.rows * grid.columns;
  const layers = chosen(layer, attentionLayers, 'layer');
  const heads = chosen(head, attentionHeads, 'head');
  const weights = new Float32Array(globalTokens * rows * columns);
  const share = 1 / (layers.length * heads.length);
  for (const l of layers) {
    for (const h of heads) {
      const offset = (l * attentionHeads + h) * cells;
      let to = 0;
      for (let k = 0; k < globalTokens; k++) {
        for (let row = 0; row < rows; row++) {
          let from = offset + (k * grid.rows + row) * grid.columns;
          for (const end = to + columns; to < end; to++, from++) {
            weights[to] = (weights[to] ?? 0) + share * (attention[from] ?? 0);
          }
        }
      }
    }
  }
  return { layer, head, weights };
}

function chosen(choice: AttentionChoice, count: number, what: string): number[] {
  if (choice === 'mean') return Array.from({ length: count }, (_, i) => i);
  if (Number.isInteger(choice) && choice >= 0 && choice < count) return [choice];
  throw new TatokError('bad-settings', `The model has no ${what} ${choice}; it has ${count}, counted from 0.`);
}
