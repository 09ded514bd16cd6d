import { recordOf } from '../method/settings';
import type { ExportedTokenization } from './tokens';

/** What a reader of an exported file must know to compute it again; nothing of a filter that the model does not have. */
export function exportedSettings({ model, image, reconstruction: r }: ExportedTokenization): Record<string, unknown> {
  return {
    model: { name: model.name, version: model.version, codebookSize: model.codebookSize, levels: model.levels },
    source: { width: image.sourceWidth, height: image.sourceHeight, crop: image.crop },
    ...(model.filters && { settings: recordOf(r.settings), budgetBits: r.budgetBits, lostBits: r.lostBits }),
    psnr: r.psnr,
    ssim: r.ssim,
  };
}
