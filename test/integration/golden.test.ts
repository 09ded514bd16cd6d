/** Holds the ONNX path in onnxruntime-node to what PyTorch computes in float32 from the same weights. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadBundle } from '../../src/engine/loadModel';
import { decodeImage } from '../../src/engine/image';
import { rankPatches, selectKept } from '../../src/method/filter';
import type { EntropyEstimate, Graphs } from '../../src/engine/graphs';
import type { TaTok } from '../../src/engine/pipeline';
import { readBundle, type Bundle } from '../../src/bundle/manifest';
import { QualityMeter } from '../../src/engine/metrics';
import { budgetOf } from '../../src/method/settings';
import { roundsOf } from '../../src/method/sequential';
import type { FilterSettings } from '../../src/method/types';
import { modelDirectory } from './support';

interface GoldenImage {
  /** The model's input and the reconstruction, relative to the repository. */
  readonly file: string;
  readonly reconstructionFile: string;
  readonly globalCodes: number[];
  readonly patchCodes: number[];
  readonly entropyBits: number[];
  readonly surprisalBits: number[];
  readonly settings: FilterSettings;
  readonly keep: number[];
  /** Its order of dropping by distortion under R rounds, and the bits lost along it. */
  readonly distortion: { readonly rounds: number; readonly order: number[]; readonly cumulativeBits: number[] };
  readonly psnr: number;
  readonly ssim: number;
}

const root = join(import.meta.dirname, '../..');
const golden = JSON.parse(await readFile(join(root, 'test/fixtures/golden/golden.json'), 'utf8')) as {
  images: GoldenImage[];
};

let bundle: Bundle;
let graphs: Graphs;
let tatok: TaTok;

beforeAll(async () => {
  bundle = await readBundle(modelDirectory);
  ({ graphs, tatok } = await loadBundle(bundle, { directory: modelDirectory, providers: ['cpu'] }));
});

const pixels = async (file: string) => (await decodeImage(await readFile(join(root, file)), bundle.model)).rgb;

/** Entropies and expectations of PyTorch's own codes, so that a flipped code is counted once, as a code. */
function estimateOf({ globalCodes, patchCodes }: GoldenImage): Promise<EntropyEstimate> {
  const codes = { globalCodes: Int32Array.from(globalCodes), patchCodes: Int32Array.from(patchCodes), otherCodes: [] };
  return graphs.estimateEntropy(codes, new Uint8Array(patchCodes.length));
}

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a, (value, i) => Math.abs(value - (b[i] ?? NaN))).reduce((most, error) => Math.max(most, error), 0);
}

describe('the ONNX path agrees with PyTorch', () => {
  it('in at least 99.9 % of the codes', async () => {
    let [equal, all] = [0, 0];
    for (const image of golden.images) {
      const encoded = await graphs.encodeAll([await pixels(image.file)]);
      const codes = encoded.flatMap(({ globalCodes, patchCodes }) => [
        ...(globalCodes as Int32Array),
        ...(patchCodes as Int32Array),
      ]);
      const expected = [...image.globalCodes, ...image.patchCodes];
      equal += codes.filter((code, i) => code === expected[i]).length;
      all += expected.length;
    }
    expect(equal / all).toBeGreaterThanOrEqual(0.999);
  });

  it.each(golden.images)('in the entropies of $file, within 0.01 bit', async (image) => {
    const { entropyBits, surprisalBits } = await estimateOf(image);
    expect(worst(entropyBits, image.entropyBits)).toBeLessThan(0.01);
    expect(worst(surprisalBits, image.surprisalBits)).toBeLessThan(0.01);
  });

  it.each(golden.images)('in what is kept of $file', ({ entropyBits, settings, keep }) => {
    const budgetBits = budgetOf(settings, bundle.model, { grid: bundle.model.grid, tiles: { rows: 1, columns: 1 } });
    const ranking = rankPatches(Float32Array.from(entropyBits), bundle.model.grid, settings.edgePriority);
    expect([...selectKept(ranking, settings.lossRate, budgetBits).keep]).toEqual(keep);
  });

  it.each(golden.images)('in the ranking of $file by distortion, as far as rounding lets it', async (image) => {
    const { globalCodes, patchCodes, distortion } = image;
    const given: FilterSettings = { ...image.settings, edgePriority: 0, ranking: 'distortion' };
    expect(roundsOf(given)).toBe(distortion.rounds);
    const codes = {
      globalCodes: Int32Array.from(globalCodes),
      patchCodes: Int32Array.from(patchCodes),
      otherCodes: [],
    };
    const tokens = { ...codes, ...(await estimateOf(image)) };
    const picture = await decodeImage(await readFile(join(root, image.file)), bundle.model);
    const { ranking } = await tatok.rank(tokens, picture, given);
    expect(worst(ranking.cumulativeBits, distortion.cumulativeBits)).toBeLessThan(0.01 * ranking.totalBits);
    for (const kept of [16, 48, 128]) {
      const first = new Set(distortion.order.slice(-kept));
      const both = [...ranking.order.subarray(-kept)].filter((patch) => first.has(patch)).length;
      expect(both / kept, `${kept} kept`).toBeGreaterThan(0.95);
    }
  });

  it.each(golden.images)('in the reconstruction of $file, within 1/255 on average', async (image) => {
    const { expectedCodes } = await estimateOf(image);
    const codes = {
      globalCodes: Int32Array.from(image.globalCodes),
      patchCodes: Int32Array.from(image.patchCodes),
      otherCodes: [],
    };
    const decoded = await graphs.decode(codes, expectedCodes, Uint8Array.from(image.keep));
    const expected = await sharp(join(root, image.reconstructionFile)).removeAlpha().raw().toBuffer();
    const total = decoded.reduce((sum, value, i) => sum + Math.abs(value - (expected[i] ?? NaN)), 0);
    expect(total / decoded.length).toBeLessThanOrEqual(1);
    const { psnr, ssim } = new QualityMeter(bundle.model.imageSize.width).add(await pixels(image.file), expected);
    expect(psnr).toBeCloseTo(image.psnr, 3);
    expect(Math.abs((ssim ?? NaN) - image.ssim)).toBeLessThan(1e-3);
  });
});
