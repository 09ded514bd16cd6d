/** How many images go through a graph at once is bounded, whatever is asked for, and changes nothing but that. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadBundle, type RunningModel } from '../../src/inference/loadModel';
import { readBundle } from '../../src/tokenizer/manifest';
import { readPicture, shownImage } from '../../src/tokenizer/picture';
import { TaTok } from '../../src/tokenizer/pipeline';
import type { FilterSettings } from '../../src/tokenizer/types';
import { sample } from './support';

const directory = join(import.meta.dirname, '../fixtures/bundles/tiny');
const settings: FilterSettings = { lossRate: 0.5, edgePriority: 0, budget: 'image', conditioning: 'global' };
const lossRates = [0, 0.3, 0.6, 1];

let running: RunningModel;

beforeAll(async () => {
  running = await loadBundle(await readBundle(directory), { directory, providers: ['cpu'] });
});

afterAll(() => running.tatok.release());

/** What is measured and how a token matters, with at most `batch` images in a graph; and the most that there were. */
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
  const { change } = await tatok.influence(tokens, image, 5, settings, 1, reference);
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
