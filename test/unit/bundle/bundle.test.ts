import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseManifest, readBundle } from '../../../src/bundle/manifest';
import { verifyFiles } from '../../../src/bundle/verify';
import { refusalOf } from '../refusal';

const content = { 'encoder.onnx': 'one', 'entropy.onnx': 'two', 'decoder.onnx': 'three' };

const manifest = {
  format: 'tatok-bundle',
  formatVersion: 1,
  name: 'tatok-test',
  version: '0.1.0',
  description: 'For tests',
  licence: 'MIT',
  image: { size: 256, patch: 16 },
  grid: { rows: 16, columns: 16 },
  globalTokens: 32,
  codebook: { size: 4096, levels: [8, 8, 8, 8] },
  attention: { layers: 6, heads: 6 },
  defaults: { lossRate: 0.8, edgePriority: 0, budget: 'image', conditioning: 'global' },
  referenceBudgetBits: 2000,
  graphs: { encoder: 'encoder.onnx', entropy: 'entropy.onnx', decoder: 'decoder.onnx' },
  files: Object.entries(content).map(([path, text]) => ({
    path,
    bytes: text.length,
    sha256: createHash('sha256').update(text).digest('hex'),
  })),
  training: { anything: ['goes'] },
  metrics: {},
  somethingNew: true,
};

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-bundle-'));
  await Promise.all(Object.entries(content).map(([name, text]) => writeFile(join(folder, name), text)));
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
});

afterEach(() => rm(folder, { recursive: true }));

describe('readBundle', () => {
  it('describes the model and ignores keys it does not know', async () => {
    const { model } = await readBundle(folder);
    expect(model).toEqual({
      name: 'tatok-test',
      version: '0.1.0',
      directory: folder,
      imageSize: 256,
      grid: { rows: 16, columns: 16 },
      globalTokens: 32,
      patchTokens: 256,
      filters: true,
      codebookSize: 4096,
      levels: [8, 8, 8, 8],
      attentionLayers: 6,
      attentionHeads: 6,
      defaults: { lossRate: 0.8, edgePriority: 0, budget: 'image', ranking: 'entropy' },
      referenceBudgetBits: 2000,
    });
  });

  it('describes what a tokenizer lacks', async () => {
    const written = async (change: object) => {
      await writeFile(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, ...change }));
      const { globalTokens, patchTokens, filters } = (await readBundle(folder)).model;
      return { globalTokens, patchTokens, filters };
    };
    const { encoder, decoder } = manifest.graphs;
    expect(await written({ globalTokens: 0, patchTokens: 256, graphs: { encoder, decoder } })).toEqual({
      globalTokens: 0,
      patchTokens: 256,
      filters: false,
    });
    expect(await written({ globalTokens: 57, patchTokens: 0, graphs: { encoder, decoder } })).toEqual({
      globalTokens: 57,
      patchTokens: 0,
      filters: false,
    });
    expect(await written({ globalTokens: 0 })).toEqual({ globalTokens: 0, patchTokens: 256, filters: true });
  });

  it('says where it looked when there is no manifest', async () => {
    await rm(join(folder, 'manifest.json'));
    await expect(readBundle(folder)).rejects.toMatchObject({
      code: 'model-missing',
      message: `There is no model: ${join(folder, 'manifest.json')} cannot be read.`,
    });
  });
});

describe('parseManifest', () => {
  const refused: [string, object, RegExp][] = [
    ['another format', { format: 'other' }, /format/],
    [
      'a provider’s graph that is not among the files',
      { variants: { cuda: { ...manifest.graphs, decoder: 'decoder.cuda.onnx' } } },
      /files: must list decoder\.cuda\.onnx/,
    ],
    [
      'a provider’s graphs that are not complete',
      { variants: { cuda: { encoder: 'encoder.onnx' } } },
      /variants\.cuda/,
    ],
    ['an ε above 1', { defaults: { ...manifest.defaults, lossRate: 2 } }, /defaults\.lossRate/],
    ['an unknown budget', { defaults: { ...manifest.defaults, budget: 'none' } }, /defaults\.budget/],
    ['levels that do not make the codebook', { codebook: { size: 4096, levels: [8, 8] } }, /product of its levels/],
    ['a grid that does not fill the image', { grid: { rows: 8, columns: 16 } }, /16 rows and columns/],
    ['a graph outside the folder', { graphs: { ...manifest.graphs, encoder: '../encoder.onnx' } }, /graphs\.encoder/],
    ['a graph whose file is not listed', { files: manifest.files.slice(1) }, /must list encoder\.onnx/],
    ['a hash of another length', { files: [{ path: 'a', bytes: 1, sha256: 'abc' }] }, /64 hexadecimal digits/],
    ['no word of global tokens', { globalTokens: undefined }, /globalTokens/],
    ['no token at all', { globalTokens: 0, patchTokens: 0 }, /globalTokens: must not be 0 without patch tokens/],
    ['patch tokens for some of the patches', { patchTokens: 100 }, /must be 0 or the 256 cells of the grid/],
    ['entropies of patch tokens that there are not', { patchTokens: 0 }, /graphs: need no entropy/],
    [
      'a provider’s tokenizer that is not among the files',
      { variants: { cuda: { ...manifest.graphs, tokenizer: 'tokenizer.cuda.onnx' } } },
      /files: must list tokenizer\.cuda\.onnx/,
    ],
    [
      'a provider’s tokenizer where there are no entropies',
      {
        graphs: { encoder: 'encoder.onnx', decoder: 'decoder.onnx' },
        variants: { cuda: { encoder: 'encoder.onnx', decoder: 'decoder.onnx', tokenizer: 'entropy.onnx' } },
      },
      /variants\.cuda: need no tokenizer without an entropy graph/,
    ],
    [
      'a provider without the entropy graph that the others have',
      { variants: { cuda: { encoder: 'encoder.onnx', decoder: 'decoder.onnx' } } },
      /variants\.cuda: must have the graphs of the others/,
    ],
  ];

  it.each(refused)('refuses %s', async (_name, change, reason) => {
    const text = JSON.stringify({ ...manifest, ...change });
    const { code, message } = await refusalOf(() => parseManifest(text, 'manifest.json'));
    expect(code).toBe('model-invalid');
    expect(message).toMatch(reason);
    expect(message).not.toContain('\n');
  });

  it.each(['', '{', 'null', '[]', '3'])('refuses %j', (text) => {
    expect(() => parseManifest(text, 'manifest.json')).toThrow(expect.objectContaining({ code: 'model-invalid' }));
  });

  it('names the version when it is another one', () => {
    expect(() => parseManifest(JSON.stringify({ ...manifest, formatVersion: 2 }), 'manifest.json')).toThrow(
      expect.objectContaining({
        code: 'model-incompatible',
        message: 'manifest.json has format version 2, this inspector reads version 1.',
      }),
    );
  });
});

describe('verifyFiles', () => {
  it('accepts what the manifest lists', async () => {
    await expect(verifyFiles(folder, manifest.files)).resolves.toBeUndefined();
  });

  it('refuses a missing, a shorter and a changed file', async () => {
    const verify = () => verifyFiles(folder, manifest.files);
    const decoder = join(folder, 'decoder.onnx');
    await writeFile(decoder, 'eerht');
    await expect(verify()).rejects.toMatchObject({
      code: 'model-file-corrupt',
      message: `${decoder} is damaged: its SHA-256 is not the manifest’s.`,
    });
    await writeFile(decoder, 'thre');
    await expect(verify()).rejects.toMatchObject({ message: `${decoder} has 4 bytes instead of 5.` });
    await rm(decoder);
    await expect(verify()).rejects.toMatchObject({ message: `${decoder} is missing.` });
  });

  it('notices a change after it has once hashed a file', async () => {
    await verifyFiles(folder, manifest.files);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await writeFile(join(folder, 'encoder.onnx'), 'eno');
    await expect(verifyFiles(folder, manifest.files)).rejects.toMatchObject({ code: 'model-file-corrupt' });
  });
});
