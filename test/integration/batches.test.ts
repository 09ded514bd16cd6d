/** How many images go through a graph at once is bounded, whatever is asked for, and changes nothing but that; nor do other batches. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadBundle, type RunningModel } from '../../src/engine/loadModel';
import { readBundle } from '../../src/bundle/manifest';
import { readPicture, shownImage } from '../../src/engine/picture';
import { TaTok } from '../../src/engine/pipeline';
import type { FilterSettings } from '../../src/method/types';
import { sample } from './support';

const directory = join(import.meta.dirname, '../fixtures/bundles/tiny');
const settings: FilterSettings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };
const lossRates = [0, 0.3, 0.6, 1];

let running: RunningModel;

beforeAll(async () => {
  running = await loadBundle(await readBundle(directory), { directory, providers: ['cpu'] });
});

afterAll(() => running.tatok.release());

/** Measurements and one influence map, with at most `batch` images in a graph; and the largest batch seen. */
async function run(batch: number) {
  const { graphs, loaded } = running;
  const { model } = loaded;
  const spies = [
    vi.spyOn(graphs, 'encodeAll'),
    vi.spyOn(graphs, 'estimateEntropies'),
    vi.spyOn(graphs, 'decodeAll'),
  ] as const;
  const tatok = new TaTok(model, graphs, batch);
  const { picture } = await readPicture(await readFile(sample('kodim23.png')), model, { cropMode: 'tiles' });
  const image = shownImage(picture, model);
  const { tokens } = await tatok.tokenize(picture, image, settings);
  const { ranking } = await tatok.rank(tokens, image, settings);
  const measured = await tatok.measure(tokens, image, picture, settings, lossRates, ranking);
  const reference = await tatok.render(tokens, image, 5, settings, ranking);
  const { change } = await tatok.influence(image, 5, settings, 1, reference);
  const most = Math.max(...spies.flatMap(({ mock }) => mock.calls.map(([images]) => images.length)));
  for (const spy of spies) spy.mockRestore();
  return { measured, change, most };
}

describe('a limit of images in a graph', () => {
  it('holds for tiles, for several ε at once and for replaced tokens, which are the same as without', async () => {
    const [few, many] = [await run(3), await run(64)];
    expect(few.most).toBe(3);
    expect(many.most).toBeGreaterThan(3);
    expect(few.measured.map(({ totalTokens }) => totalTokens)).toEqual(
      many.measured.map(({ totalTokens }) => totalTokens),
    );
    few.measured.forEach(({ psnr }, i) => expect(psnr).toBeCloseTo(many.measured[i]?.psnr ?? NaN, 3));
    few.change.forEach((value, i) => expect(value).toBeCloseTo(many.change[i] ?? NaN, 3));
  });
});

it('returns pictures and codes that later runs do not change, whatever the size of their batches', async () => {
  const { graphs, loaded } = running;
  const { patchTokens, globalTokens, expectedDimensions, imageSize } = loaded.model;
  const image = (grey: number) => new Uint8Array(imageSize.width * imageSize.height * 3).fill(grey);
  const input = (code: number) => ({
    codes: {
      globalCodes: new Int32Array(globalTokens).fill(code),
      patchCodes: new Int32Array(patchTokens).fill(code),
      otherCodes: [],
    },
    expectedCodes: new Float32Array(patchTokens * expectedDimensions),
    keep: new Uint8Array(patchTokens).fill(1),
  });
  const run = async (values: readonly number[]) => ({
    codes: await graphs.encodeAll(values.map(image)),
    pictures: await graphs.decodeAll(values.map(input)),
  });
  const first = await run([10, 200]);
  const before = structuredClone(first);
  const others = await run([90, 200, 10]);
  const alone = await run([200]);
  expect(first).toEqual(before);
  expect(others.codes).toEqual([others.codes[0], first.codes[1], first.codes[0]]);
  expect(others.pictures).toEqual([others.pictures[0], first.pictures[1], first.pictures[0]]);
  expect(alone).toEqual({ codes: [first.codes[1]], pictures: [first.pictures[1]] });
  expect(first.pictures[0]).not.toEqual(first.pictures[1]);
});

it('puts the images of batches that run at the same time together apart', async () => {
  const { graphs, loaded } = running;
  const { width, height } = loaded.model.imageSize;
  const images = [10, 90, 200].map((grey) => new Uint8Array(width * height * 3).fill(grey));
  const [a, b, c] = images as [Uint8Array, Uint8Array, Uint8Array];
  const [together, inTurn] = [
    await Promise.all([graphs.encodeAll([a, b]), graphs.encodeAll([b, c])]),
    [await graphs.encodeAll([a, b]), await graphs.encodeAll([b, c])],
  ];
  expect(together).toEqual(inTurn);
});
