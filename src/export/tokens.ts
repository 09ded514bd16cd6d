import type { ModelDescription, Ranking, Tokenization } from '../method/types';
import { recordOf } from '../method/settings';

/** A tokenization and the model that made it: what exports are made of. */
export interface ExportedTokenization extends Tokenization {
  readonly model: ModelDescription;
  /** The order of dropping; undefined where nothing can be dropped. */
  readonly ranking: Ranking | undefined;
}

/**
 * The token sequence: enough to decode it again, and the settings that decided what is kept. The command line's `.tokens.json`. Tokens that the model does not have are left
 * out, and so are kept mask and settings where nothing can be dropped.
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
    ...(model.filters && { keep: [...reconstruction.keep], settings: recordOf(reconstruction.settings) }),
  };
}

/** Settings that a reader needs to compute an exported file again; without those of a filter that the model does not have. */
export function exportedSettings({ model, image, reconstruction: r }: ExportedTokenization): Record<string, unknown> {
  return {
    model: { name: model.name, version: model.version, codebookSize: model.codebookSize, levels: model.levels },
    source: { width: image.sourceWidth, height: image.sourceHeight, crop: image.crop },
    ...(model.filters && { settings: recordOf(r.settings), budgetBits: r.budgetBits, lostBits: r.lostBits }),
    psnr: r.psnr,
    ssim: r.ssim,
  };
}
