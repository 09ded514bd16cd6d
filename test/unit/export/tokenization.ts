import type { ExportedTokenization } from '../../../src/export/tokens';
import { rankPatches } from '../../../src/method/filter';
import { keepEvery } from '../../../src/method/filter';
import { lacking, tinyModel } from '../model';

/** Patches of 8×8 pixels. */
const imageSize = { width: 24, height: 16 };
const model = { ...tinyModel, imageSize };
const [width, height] = [24, 16];
const entropyBits = Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5);

/** An image of the tiny model with its first four patches dropped; red grows to the right, green downwards. */
export const tinyTokenization: ExportedTokenization = {
  model,
  image: {
    sourceWidth: 64,
    sourceHeight: 48,
    format: 'png',
    cropMode: 'fit',
    crop: { left: 0, top: 0, width: 64, height: 48 },
    width,
    height,
    tiles: { rows: 1, columns: 1 },
    grid: tinyModel.grid,
    reduction: 1,
    rgb: Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return [pixel % width, Math.floor(pixel / width), 7][i % 3] ?? 0;
    }),
  },
  tokens: {
    globalCodes: Int32Array.of(1, 5),
    patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
    otherCodes: [],
    entropyBits,
    surprisalBits: Float32Array.of(0.25, 0.75, 1.25, 1.75, 2.25, 2.75),
    expectedCodes: Float32Array.from({ length: 12 }, (_, i) => (i - 6) / 8),
  },
  ranking: rankPatches(entropyBits, tinyModel.grid, 0),
  reconstruction: {
    settings: { lossRate: 0.4, edgePriority: 0, budget: 'image', ranking: 'entropy' },
    keep: Uint8Array.of(0, 0, 0, 0, 1, 1),
    entropyBits,
    budgetBits: 7.5,
    lostBits: 3,
    actualLossRate: 0.4,
    keptTokens: 2,
    length: 1,
    totalTokens: 4,
    payloadBits: 4 * Math.log2(6),
    maskBits: Math.log2(15),
    rgb: new Uint8Array(width * height * 3),
    psnr: null,
    ssim: 1,
  },
  timings: {},
};

const nothing = new Float32Array();
const { tokens, reconstruction } = tinyTokenization;
const everyToken = {
  settings: { lossRate: 0, edgePriority: 0, budget: 'image', ranking: 'entropy' },
  entropyBits: nothing,
  actualLossRate: 0,
  maskBits: 0,
} as const;

/** The same of a model that keeps every patch token and has no others; two rows of pixels are padding. */
export const fixedPatchesTokenization: ExportedTokenization = {
  ...tinyTokenization,
  model: { ...lacking.fixedPatches, imageSize },
  image: { ...tinyTokenization.image, height: 8, rgb: tinyTokenization.image.rgb.slice(0, width * 8 * 3) },
  tokens: {
    ...tokens,
    globalCodes: new Int32Array(),
    entropyBits: nothing,
    surprisalBits: nothing,
    expectedCodes: nothing,
  },
  ranking: undefined,
  reconstruction: { ...reconstruction, ...everyToken, ...keepEvery(6), totalTokens: 6 },
};

/** The same of a model of global tokens alone. */
export const fixedGlobalsTokenization: ExportedTokenization = {
  ...tinyTokenization,
  model: { ...lacking.fixedGlobals, imageSize },
  tokens: {
    globalCodes: tokens.globalCodes,
    patchCodes: new Int32Array(),
    otherCodes: [],
    entropyBits: nothing,
    surprisalBits: nothing,
    expectedCodes: nothing,
  },
  ranking: undefined,
  reconstruction: { ...reconstruction, ...everyToken, ...keepEvery(0), totalTokens: 2 },
};
