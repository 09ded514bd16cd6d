/** Graphs made for one provider: they replace the plain ones there and nowhere else. */
import { InferenceSession } from 'onnxruntime-node';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { loadBundle } from '../../src/engine/loadModel';
import { Graphs, type Sessions } from '../../src/engine/graphs';
import { readBundle } from '../../src/bundle/manifest';
import { readPicture, shownImage } from '../../src/engine/picture';
import { TaTok } from '../../src/engine/pipeline';
import type { FilterSettings } from '../../src/method/types';
import { modelDirectory, sample } from './support';
import { tokenizerOf } from './tokenizerStandIn.cjs';

const tiny = join(import.meta.dirname, '../fixtures/bundles/tiny');

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tatok-variants-'));
  await cp(modelDirectory, directory, { recursive: true });
});

afterAll(() => rm(directory, { recursive: true }));

/** Loads a bundle on the CPU, one of whose providers has an encoder and a decoder that stand for each other. */
async function loadWithExchanged(provider: string) {
  const { manifest } = await readBundle(modelDirectory);
  const { encoder, entropy, decoder } = manifest.graphs;
  const variants = { [provider]: { encoder: decoder, entropy, decoder: encoder } };
  await writeFile(join(directory, 'manifest.json'), JSON.stringify({ ...manifest, variants }));
  return loadBundle(await readBundle(directory), { directory, providers: ['cpu'] });
}

it('uses the graphs that the provider has of its own', async () => {
  await expect(loadWithExchanged('cpu')).rejects.toMatchObject({
    code: 'model-incompatible',
    message: expect.stringContaining('The encoder graph does not match') as string,
  });
});

it('uses the plain graphs where another provider has its own', async () => {
  const { tatok, loaded } = await loadWithExchanged('cuda');
  expect(loaded.provider.provider).toBe('cpu');
  await tatok.release();
});

it('opens the tokenizer that a provider has of its own', async () => {
  const { manifest } = await readBundle(modelDirectory);
  const variants = { cpu: { ...manifest.graphs, tokenizer: manifest.graphs.decoder } };
  await writeFile(join(directory, 'manifest.json'), JSON.stringify({ ...manifest, variants }));
  await expect(loadBundle(await readBundle(directory), { directory, providers: ['cpu'] })).rejects.toMatchObject({
    code: 'model-incompatible',
    message: expect.stringContaining('The tokenizer graph does not match') as string,
  });
});

it('tokenizes in one graph what it otherwise does in two', async () => {
  const { model } = await readBundle(tiny);
  const open = (name: string) => InferenceSession.create(join(tiny, `${name}.onnx`));
  const sessions = {
    encoder: await open('encoder'),
    entropy: await open('entropy'),
    decoder: await open('decoder'),
  };
  const tokenizer = tokenizerOf(sessions.encoder, sessions.entropy);
  const run = vi.spyOn(tokenizer, 'run');
  const settings: FilterSettings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };
  const { picture } = await readPicture(await readFile(sample('kodim23.png')), model, { cropMode: 'tiles' });
  const tokenize = async (given: Sessions) => {
    const stages: string[] = [];
    const tatok = new TaTok(model, new Graphs(given, model, 'cpu'), 2);
    const result = await tatok.tokenize(picture, shownImage(picture, model), settings, (stage) => {
      if (!stages.includes(stage)) stages.push(stage);
    });
    return { stages, tokens: result.tokens };
  };
  const [two, one] = [await tokenize(sessions), await tokenize({ ...sessions, tokenizer })];
  expect(one.tokens).toEqual(two.tokens);
  expect(two.stages).toEqual(['encode', 'entropy']);
  expect(one.stages).toEqual(['encode']);
  expect(run).toHaveBeenCalled();
  await new Graphs(sessions, model, 'cpu').release();
});
