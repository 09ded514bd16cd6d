import { codebookSize } from '../method/codebook';
import { hasPart } from '../method/parts';
import { recordOf } from '../method/settings';
import { mainStream, takesLength } from '../method/streams';
import type { CodeArray, ModelDescription, Ranking, Stream, Tokenization } from '../method/types';

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
    ...(model.globalTokens > 0 && { globalCodes: codeList(tokens.globalCodes) }),
    ...(model.patchTokens > 0 && { patchCodes: codeList(tokens.patchCodes) }),
    ...(tokens.otherCodes.length > 0 && { otherCodes: tokens.otherCodes.map(codeList) }),
    ...(model.filters && { keep: [...reconstruction.keep], settings: recordOf(reconstruction.settings) }),
    ...(takesLength(model) && { length: reconstruction.length }),
  };
}

/** Settings that a reader needs to compute an exported file again; without those of a filter that the model does not have. */
export function exportedSettings({ model, image, reconstruction: r }: ExportedTokenization): Record<string, unknown> {
  return {
    model: { name: model.name, version: model.version, ...codebookRecord(model) },
    source: { width: image.sourceWidth, height: image.sourceHeight, crop: image.crop },
    ...(hasPart(model, 'rates') && { settings: recordOf(r.settings), budgetBits: r.budgetBits, lostBits: r.lostBits }),
    psnr: r.psnr,
    ssim: r.ssim,
  };
}

/** Codes for JSON, which has no integers of 64 bits for every reader: those are text. */
export function codeList(codes: CodeArray): (number | string)[] {
  return Array.from<number | bigint, number | string>(codes, (code) =>
    typeof code === 'bigint' ? String(code) : code,
  );
}

/** A stream for JSON. */
export function streamRecord({ name, role, shape, grid, codebook, prefixSteps }: Stream): Record<string, unknown> {
  return { name, role, shape, ...(grid && { grid }), codebook, prefix: prefixSteps > 0 };
}

/** The codebook of the patches, or else of the sequence, for JSON: V, and levels where it has such. */
export function codebookRecord(model: Pick<ModelDescription, 'streams'>): Record<string, unknown> {
  const { codebook } = mainStream(model);
  if (codebook.kind === 'continuous') return { codebook };
  const size = codebookSize(codebook);
  if (codebook.kind === 'fsq') return { codebookSize: size, levels: codebook.levels };
  return { codebookSize: size, codebook };
}
