import type { ModelDescription, Ranking, Tokenization } from '../method/types';

/** A tokenization and the model that made it: what exports are made of. */
export interface ExportedTokenization extends Tokenization {
  readonly model: ModelDescription;
  /** The order of dropping; undefined where nothing can be dropped. */
  readonly ranking: Ranking | undefined;
}

/**
 * The token sequence: enough to decode it again. The command line's `.tokens.json`. Tokens that the model does not have are left
 * out, and so is the kept mask where nothing can be dropped.
 */
export function tokensRecord({
  image,
  model,
  tokens,
  reconstruction,
}: Pick<ExportedTokenization, 'image' | 'model' | 'tokens' | 'reconstruction'>): Record<string, unknown> {
  return {
    model: { name: model.name, version: model.version },
    cropMode: image.cropMode,
    width: image.width,
    height: image.height,
    grid: image.grid,
    ...(model.globalTokens > 0 && { globalCodes: [...tokens.globalCodes] }),
    ...(model.patchTokens > 0 && { patchCodes: [...tokens.patchCodes] }),
    ...(model.filters && { keep: [...reconstruction.keep] }),
  };
}
