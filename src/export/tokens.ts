import type { ModelDescription, Tokenization } from '../tokenizer/types';

/** A tokenization and the model that made it: what exports are made of. */
export type ExportedTokenization = Tokenization & { readonly model: ModelDescription };

/** The token sequence: enough to decode it again. The command line's `.tokens.json`. */
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
    globalCodes: [...tokens.globalCodes],
    patchCodes: [...tokens.patchCodes],
    keep: [...reconstruction.keep],
  };
}
