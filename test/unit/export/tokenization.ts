import type { ExportedTokenization } from '../../../src/export/tokens';
import { rankPatches } from '../../../src/tokenizer/filter';
import { tinyModel } from '../tokenizer/model';

const { imageSize } = tinyModel;
const entropyBits = Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5);

/** An image of the tiny model with its first four patches dropped; red grows to the right, green downwards. */
export const tinyTokenization: ExportedTokenization = {
  model: tinyModel,
  image: {
    sourceWidth: 64,
    sourceHeight: 48,
    format: 'png',
    crop: { left: 8, top: 0, width: 48, height: 48 },
    size: imageSize,
    rgb: Uint8Array.from({ length: imageSize * imageSize * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return [pixel % imageSize, Math.floor(pixel / imageSize), 7][i % 3] ?? 0;
    }),
  },
  tokens: {
    globalCodes: Int32Array.of(1, 5),
    patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
    entropyBits,
    surprisalBits: Float32Array.of(0.25, 0.75, 1.25, 1.75, 2.25, 2.75),
    expectedCodes: Float32Array.from({ length: 12 }, (_, i) => (i - 6) / 8),
  },
  reconstruction: {
    settings: { lossRate: 0.4, edgePriority: 0, budget: 'image', conditioning: 'global' },
    ranking: rankPatches(entropyBits, tinyModel.grid, 0),
    keep: Uint8Array.of(0, 0, 0, 0, 1, 1),
    entropyBits,
    budgetBits: 7.5,
    lostBits: 3,
    actualLossRate: 0.4,
    keptTokens: 2,
    totalTokens: 4,
    payloadBits: 4 * Math.log2(6),
    maskBits: Math.log2(15),
    rgb: new Uint8Array(imageSize * imageSize * 3),
    psnr: Infinity,
    ssim: 1,
  },
  timings: {},
};
