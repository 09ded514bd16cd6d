/** Graphs made for one provider: they replace the plain ones there and nowhere else. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadBundle } from '../../src/inference/loadModel';
import { readBundle } from '../../src/tokenizer/manifest';
import { modelDirectory } from './support';

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
