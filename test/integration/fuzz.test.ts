/** The fast part of `npm run fuzz`: hostile and random input for the inference process and the command line. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fuzz, type Tried } from '../fuzz/campaign';
import { bundleFor } from './support';

it('Images, manifests, graphs and tokens of no meaning give a picture or one sentence, and the process survives', async () => {
  const all: Tried[] = [];
  const root = join(import.meta.dirname, '../..');
  const built = await bundleFor('fuzz');
  const { images, refused, findings } = await fuzz({ root, built }, { seed: 15, count: 120 }, (tried) =>
    all.push(tried),
  );
  const found = all.flatMap(({ kind, recipe, outcome }) =>
    outcome.findings.map((finding) => `${kind} ${recipe}: ${finding}`),
  );
  expect([...found, ...findings]).toEqual([]);
  expect(all).toHaveLength(120);
  const pictures = new Set(all.filter(({ outcome }) => outcome.result === 'picture').map(({ kind }) => kind));
  expect([...pictures].sort()).toEqual([
    ...['avif', 'dataset.json', 'gif', 'graph', 'jpeg', 'manifest', 'npz', 'png', 'tiff', 'tokens.json', 'webp'],
  ]);
  expect(images).toBe(48);
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThan(images);
});
