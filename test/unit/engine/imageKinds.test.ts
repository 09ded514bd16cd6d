import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../../src/engine/image';
import { TatokError } from '../../../src/method/errors';
import { describePage } from '../../../src/method/patch';
import { refusalOf } from '../refusal';
import cases from '../../fixtures/images/cases.json';

interface Case {
  readonly file: string;
  readonly right?: string;
  readonly difference?: number;
  readonly page?: string;
  readonly code?: string;
  readonly says?: string;
}

const folder = join(import.meta.dirname, '../../fixtures/images');
const all: readonly Case[] = cases;

/** The longest side of a fixture is far below a model's, so that tiles are the picture as it is. */
const model = { imageSize: { width: 256, height: 256 }, resample: 'lanczos3' } as const;
const decode = async (file: string) => decodeImage(await readFile(join(folder, file)), model, { cropMode: 'tiles' });

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length;
}

describe('an image of each kind that is read', () => {
  it.each(all.filter(({ right }) => right !== undefined))('$file shows $right', async (each) => {
    const { rgb, page } = await decode(each.file);
    const right = await sharp(join(folder, 'right', each.right ?? ''))
      .removeAlpha()
      .raw()
      .toBuffer();
    expect(meanDifference(rgb, right)).toBeLessThan(each.difference ?? 0.5);
    expect(page && describePage(page)).toBe(each.page);
  });
});

describe('an image of each kind that is not read', () => {
  it.each(all.filter(({ code }) => code !== undefined))('$file is refused: $says', async ({ file, code, says }) => {
    const error = await refusalOf(() => decode(file));
    expect(error.code).toBe(code);
    expect(error.message).toContain(says);
    // One sentence without the names of the decoder's parts.
    expect(error.message).toMatch(/^[^\n]+\.$/);
    expect(error.message).not.toMatch(/vips|buffer:|failOn/i);
    if (code === 'image-unsupported') expect(error.advice).toMatch(/^(Convert it|Scale its samples) to/);
  });
});

describe('loaders of libvips', () => {
  it('are blocked but for those of the formats that are read, also for files named otherwise', async () => {
    const svg = await readFile(join(folder, 'svg-bomb.png'));
    await expect(sharp(svg).metadata()).rejects.toThrow('unsupported image format');
    const scratch = await mkdtemp(join(tmpdir(), 'tatok-loaders-'));
    const vips = join(scratch, 'x.v');
    await sharp({ create: { width: 4, height: 4, channels: 3, background: '#808080' } }).toFile(vips);
    await expect(sharp(vips).metadata()).rejects.toThrow('unsupported image format');
    await rm(scratch, { recursive: true });
  });
});

describe('many images at once', () => {
  it('do not disturb each other: every one shows, or says, the same as alone', async () => {
    const shown = async (file: string): Promise<string> => {
      try {
        const { rgb } = await decode(file);
        return createHash('sha256').update(rgb).digest('hex');
      } catch (error) {
        return error instanceof TatokError ? error.message : String(error);
      }
    };
    const files = all.map(({ file }) => file);
    const alone: string[] = [];
    for (const file of files) alone.push(await shown(file));
    const together = await Promise.all([...files, ...files, ...files, ...files].map(shown));
    expect(together).toEqual([...alone, ...alone, ...alone, ...alone]);
  });
});
