import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { OutputFolder } from '../../../src/cli/output';
import { entropyPng, maskPng } from '../../../src/cli/savedPictures';
import { jsonRecord, modelLine, summary, terminalLine, type TokenizedImage } from '../../../src/cli/report';
import { tokensRecord } from '../../../src/export/tokens';
import { tinyModel } from '../model';

/** Patches of 8×8 pixels. */
const model = { ...tinyModel, imageSize: { width: 24, height: 16 } };
const [width, height] = [24, 16];
const grey = new Uint8Array(width * height * 3).fill(200);
const keep = Uint8Array.of(1, 0, 1, 0, 0, 1);

const result: TokenizedImage = {
  model,
  provider: { provider: 'cpu', failures: [{ provider: 'cuda', reason: 'It is not there.' }] },
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
    rgb: grey,
  },
  tokens: {
    globalCodes: Int32Array.of(1, 2),
    patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
    otherCodes: [],
    entropyBits: Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5),
    surprisalBits: new Float32Array(6),
    expectedCodes: new Float32Array(12),
  },
  reconstruction: {
    settings: { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'sequential' },
    keep,
    entropyBits: new Float32Array(6),
    budgetBits: 7.5,
    lostBits: 3,
    actualLossRate: 0.4,
    keptTokens: 3,
    length: 1,
    totalTokens: 5,
    payloadBits: 5 * Math.log2(6),
    maskBits: Math.log2(20),
    rgb: grey,
    psnr: null,
    ssim: 1,
  },
  timings: { read: 1, encode: 2 },
};

describe('what is printed of an image', () => {
  it('holds no control character that a terminal would act on, and no line break', () => {
    const name = '\u001b]0;title\u0007\u009b31m\u202egnp.a\n  b.png';
    expect(terminalLine(summary(name, result))).toMatch(
      /^\ufffd\]0;title\ufffd\ufffd31m\ufffdgnp\.a b\.png: 64×48 → [^\n]+ ms$/,
    );
  });

  it('keeps spaces but those around line breaks, of which it makes one', () => {
    expect(terminalLine(' a  b \n\t\n  c\n')).toBe(' a  b c ');
  });

  it('is JSON, with null for an infinite PSNR', () => {
    const record = jsonRecord('a.png', result);
    expect(JSON.parse(JSON.stringify(record))).toEqual(record);
    expect(record).toMatchObject({
      image: 'a.png',
      width: 64,
      height: 48,
      keep: [1, 0, 1, 0, 0, 1],
      entropyBits: [0, 0.5, 1, 1.5, 2, 2.5],
      conditioning: 'sequential',
      rankingRounds: 8,
      psnr: null,
    });
  });

  it('is one line for people', () => {
    expect(summary('a.png', result)).toBe(
      'a.png: 64×48 → 24×16 · kept 3 + 2 global = 5 tokens · 13 bits + 4 for the mask · loss rate 0.400 of 0.5 · PSNR ∞ dB · SSIM 1.000 · cpu, 3 ms',
    );
    expect(modelLine(result)).toBe('tiny 0 on cpu; cuda is not used: It is not there.');
  });

  it('names the page of several', () => {
    const page = { unit: 'frame', number: 1, count: 12 } as const;
    expect(summary('a.gif', { ...result, image: { ...result.image, page } })).toContain(
      'a.gif: 64×48 (frame 1 of 12) → 24×16 · ',
    );
  });

  it('keeps what decodes the tokens again', () => {
    expect(tokensRecord(result)).toEqual({
      format: 'tatok-token-file',
      version: 1,
      model: { name: 'tiny', version: '0', hash: 'a'.repeat(64) },
      cropMode: 'fit',
      width: 24,
      height: 16,
      grid: { rows: 2, columns: 3 },
      globalCodes: [1, 2],
      patchCodes: [0, 1, 2, 3, 4, 5],
      keep: [1, 0, 1, 0, 0, 1],
      edits: { forcedKept: [], forcedDropped: [], replaced: [] },
      settings: { lossRate: 0.5, edgePriority: 0, budget: 'image', conditioning: 'sequential', rankingRounds: 8 },
    });
  });
});

describe('pictures', () => {
  const pixels = (png: Buffer) => sharp(png).raw().toBuffer();

  it('show 0 bits as viridis’ darkest and log2 V as its lightest colour', async () => {
    const entropy = Float32Array.of(0, Math.log2(6), 0, 0, 0, 99);
    const data = await pixels(await entropyPng(entropy, result.image, model));
    expect([...data.subarray(0, 3)]).toEqual([68, 1, 84]);
    expect([...data.subarray(3 * 8, 3 * 9)]).toEqual([253, 231, 37]);
    expect([...data.subarray(-3)]).toEqual([253, 231, 37]);
  });

  it('leave kept patches as they are, and dim and hatch dropped ones', async () => {
    const data = await pixels(await maskPng(result.image, keep, model));
    const at = (x: number, y: number) => data[(y * width + x) * 3];
    expect(at(2, 2)).toBe(200);
    const dropped = new Set(Array.from({ length: 8 }, (_, i) => at(8 + i, 2)));
    expect([...dropped].sort((a = 0, b = 0) => a - b)).toEqual([50, 110]);
  });
});

describe('files of an image', () => {
  it('have the pixels that were tokenized, at full size also where less is shown', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tatok-output-'));
    const noise = Uint8Array.from({ length: 64 * 48 * 3 }, (_, i) => (i * i * 31) % 251);
    const file = await sharp(noise, { raw: { width: 64, height: 48, channels: 3 } })
      .png()
      .toBuffer();
    const shown = { width: 64, height: 48, reduction: 2, rgb: new Uint8Array(32 * 24 * 3) };
    const image: TokenizedImage['image'] = { ...result.image, ...shown, cropMode: 'tiles' };
    const reconstruction = { ...result.reconstruction, rgb: image.rgb };
    await new OutputFolder(folder).write('large.png', file, {
      ...result,
      image,
      reconstruction,
      model: { ...model, filters: false },
    });
    expect((await readdir(folder)).sort()).toEqual(
      ['input', 'reconstruction', 'tokens'].map((kind) => `large.${kind}.${kind === 'tokens' ? 'json' : 'png'}`),
    );
    const input = await sharp(join(folder, 'large.input.png')).raw().toBuffer();
    expect(input.equals(noise)).toBe(true);
    await rm(folder, { recursive: true });
  });
});
