/** Tokens of a file, opened in the engine without their picture or beside it: the same pixels, bits and measurements as when they were made. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine';
import { withEdits } from '../../src/export/editedTokens';
import { readTokens } from '../../src/export/npz';
import { tokensRecord, withoutEdits } from '../../src/export/tokens';
import type { Edits } from '../../src/method/edits';
import { decodedFormat, type CropMode, type FilterSettings, type RankingCriterion } from '../../src/method/types';
import type { ModelChoice, OpenTokensParams } from '../../src/protocol/engineMessages';
import { refusalOf } from '../unit/refusal';
import { openIn, openTokensIn, sample, tokenizeIn } from './support';

const bundles = join(import.meta.dirname, '../fixtures/bundles');
const choice: ModelChoice = { directory: join(bundles, 'tiny'), providers: ['cpu'] };
const engine = new Engine();

let photograph: Uint8Array;
beforeAll(async () => {
  photograph = await sharp(await readFile(sample('kodim23.png')))
    .resize(150)
    .png()
    .toBuffer();
});

/** A picture tokenized, written as a token file and read again. */
async function written(cropMode: CropMode, ranking: RankingCriterion) {
  const settings: FilterSettings = { lossRate: 0.4, edgePriority: 1, budget: 'image', ranking };
  const made = await tokenizeIn(engine, { choice, file: photograph, cropMode, settings });
  const record = new TextEncoder().encode(JSON.stringify(tokensRecord(made)));
  const { tokens, settings: read, cropMode: crop } = readTokens('a', record, made.model);
  const params: OpenTokensParams = { choice, tokens, cropMode: crop, settings: read, everyCode: true };
  return { made, params };
}

describe('a token file', () => {
  it.each([
    ['centre', 'sequential'],
    ['fit', 'entropy'],
    ['tiles', 'distortion'],
  ] as const)('opens without its picture and decodes to the same pixels: %s, %s', async (cropMode, ranking) => {
    const { made, params } = await written(cropMode, ranking);
    const opened = await openTokensIn(engine, params);
    const { reconstruction } = made;
    expect(opened.image.rgb).toEqual(reconstruction.rgb);
    expect(opened.image).toMatchObject({ format: decodedFormat, cropMode, grid: made.image.grid });
    const again = await opened.analyses.reconstruct(opened.settings);
    expect(again.rgb).toEqual(reconstruction.rgb);
    const { keep, keptTokens, totalTokens, payloadBits, maskBits } = reconstruction;
    expect(again).toMatchObject({ keep, keptTokens, totalTokens, payloadBits, maskBits, psnr: null, ssim: null });
    expect(opened.settings).toMatchObject(made.reconstruction.settings);
    expect(opened.tokens.entropyBits).toEqual(made.tokens.entropyBits);
    expect(opened.tokens.surprisalBits).toEqual(made.tokens.surprisalBits);
    opened.close();
  });

  it.each(['entropy', 'sequential'] as const)(
    'is measured against its picture where that is there: %s',
    async (ranking) => {
      const { made, params } = await written('centre', ranking);
      const opened = await openTokensIn(engine, { ...params, original: photograph });
      expect(opened.image).toEqual(made.image);
      const { psnr, ssim, rgb } = await opened.analyses.reconstruct(opened.settings);
      expect([psnr, ssim]).toEqual([made.reconstruction.psnr, made.reconstruction.ssim]);
      expect(rgb).toEqual(made.reconstruction.rgb);
      expect(opened.model.attentionLayers).toBeGreaterThan(0);
      await opened.analyses.attention({ tile: 0, layer: 0, head: 0 });
      opened.close();
    },
  );

  it('has the influence that its picture’s tokens have, and no attention without the picture', async () => {
    const { made, params } = await written('centre', 'entropy');
    const [picture, opened] = [
      await openIn(engine, { choice, file: photograph, settings: made.reconstruction.settings }),
      await openTokensIn(engine, params),
    ];
    const asked = { settings: opened.settings, tile: 0, globalToken: 1 };
    expect(await opened.analyses.influence(asked)).toEqual(await picture.analyses.influence(asked));
    expect(opened.model.attentionLayers).toBe(0);
    expect((await refusalOf(() => opened.analyses.attention({ tile: 0, layer: 0, head: 0 }))).code).toBe(
      'image-unreadable',
    );
  });

  it.each([
    ['is no image', () => Promise.resolve(Uint8Array.of(1, 2, 3))],
    ['is cut to another size', () => sharp(photograph).resize(40, 200).png().toBuffer()],
  ])('does without a picture that %s', async (_name, other) => {
    const { made, params } = await written('tiles', 'entropy');
    const opened = await openTokensIn(engine, { ...params, original: await other() });
    expect(opened.image).toMatchObject({ format: decodedFormat, width: made.image.width });
    opened.close();
  });

  it('knows no surprisal of codes that are not in it', async () => {
    const { made, params } = await written('centre', 'entropy');
    const { keep } = params.tokens;
    const patchCodes = params.tokens.patchCodes.map((code, patch) => (keep[patch] === 1 ? code : 0));
    const opened = await openTokensIn(engine, {
      ...{ ...params, everyCode: false, tokens: { ...params.tokens, patchCodes } },
    });
    const bits = opened.tokens.surprisalBits;
    expect(bits).toEqual(made.tokens.surprisalBits.map((own, patch) => (keep[patch] === 1 ? own : NaN)));
    expect((await opened.analyses.reconstruct(opened.settings)).rgb).toEqual(made.reconstruction.rgb);
  });

  it('is refused where the model cannot have given it', async () => {
    const { params } = await written('centre', 'entropy');
    const tokens = { ...params.tokens, globalCodes: params.tokens.globalCodes.map(() => 5000) };
    expect(await refusalOf(() => openTokensIn(engine, { ...params, tokens }))).toMatchObject({
      code: 'tokens-invalid',
      message: 'The tokens do not fit tiny: the code 5000 is not in its codebook of 4096.',
    });
  });
});

describe('an edited token file', () => {
  it.each(['entropy', 'sequential'] as const)(
    'decodes by the command line to what its editor shows, bit for bit: %s',
    async (ranking) => {
      const { made, params } = await written('centre', ranking);
      const { keep } = params.tokens;
      const [kept, dropped] = [keep.indexOf(1), keep.indexOf(0)];
      const edits: Edits = {
        forcedKept: [dropped],
        forcedDropped: [kept],
        replaced: [
          { token: 'global', index: 2, code: 4000 },
          { token: 'patch', index: dropped, code: 17 },
        ],
      };
      const opened = await openTokensIn(engine, params);
      const shown = await opened.analyses.reconstruct({ ...opened.settings, edits });
      const record = new TextEncoder().encode(JSON.stringify(tokensRecord(made)));
      const file = readTokens('a', withEdits('a', record, made.model, edits), made.model);
      const { pictures } = await engine.decodeTokens({ choice, pictures: [file.tokens] });
      expect(pictures).toEqual([{ width: 64, height: 64, rgb: shown.rgb }]);
      expect(shown.rgb).not.toEqual(made.reconstruction.rgb);
      expect(shown.keptTokens).toBe(made.reconstruction.keptTokens);
      // Opened again, its edits lie over the tokens that the model gave.
      const { own, edits: found } = withoutEdits('a', file);
      expect(found).toEqual(edits);
      const again = await openTokensIn(engine, { ...params, tokens: own });
      expect((await again.analyses.reconstruct({ ...again.settings, edits: found })).rgb).toEqual(shown.rgb);
      expect((await again.analyses.reconstruct(again.settings)).rgb).toEqual(made.reconstruction.rgb);
    },
  );
});
