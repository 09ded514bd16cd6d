import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseManifest, readBundle } from '../../../src/bundle/manifest';
import { readGraph, verifyFiles } from '../../../src/bundle/verify';
import { constant, listed, onnxModel, toyGraph, writeToyBundle, type Constant } from '../../onnxGraphs';
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
    const codebook = { kind: 'fsq', levels: [8, 8, 8, 8] };
    expect(model).toEqual({
      name: 'tatok-test',
      version: '0.1.0',
      hash: createHash('sha256').update(JSON.stringify(manifest)).digest('hex'),
      directory: folder,
      imageSize: { width: 256, height: 256 },
      resample: 'lanczos3',
      grid: { rows: 16, columns: 16 },
      streams: [
        { name: 'global_codes', role: 'global', shape: [32], grid: null, codebook, prefixSteps: 0 },
        {
          ...{ name: 'patch_codes', role: 'patch', shape: [256], codebook, prefixSteps: 0 },
          grid: { rows: 16, columns: 16 },
        },
      ],
      globalTokens: 32,
      patchTokens: 256,
      filters: true,
      steps: [{ tokens: 288, bits: 288 * 12 }],
      expectedDimensions: 4,
      givenOthers: false,
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

describe('readManifest', () => {
  const path = () => join(folder, 'manifest.json');

  it('reads past a byte order mark', async () => {
    await writeFile(path(), `\uFEFF${JSON.stringify(manifest)}`);
    expect((await readBundle(folder)).model.name).toBe('tatok-test');
  });

  it('refuses one of a megabyte and more, without reading it', async () => {
    await truncate(path(), 2 ** 40);
    await expect(readBundle(folder)).rejects.toMatchObject({
      code: 'model-invalid',
      message: `${path()} is no manifest: it has ${2 ** 40} bytes.`,
    });
  });

  it.skipIf(process.platform === 'win32').each([
    ['a named pipe', (at: string) => Promise.resolve(execFileSync('mkfifo', [at]))],
    ['a link to a device', (at: string) => symlink('/dev/zero', at)],
    ['a link to a terminal', (at: string) => symlink('/dev/ptmx', at)],
  ])('refuses %s, without waiting for it', async (_name, make) => {
    await rm(path());
    await make(path());
    await expect(readBundle(folder)).rejects.toMatchObject({
      code: 'model-invalid',
      message: `${path()} is a pipe or a device instead of a file.`,
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
    ['a graph of an endless name', { graphs: { ...manifest.graphs, encoder: 'x'.repeat(1e5) } }, /must list x+…/],
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
    expect(message).toMatch(/^[^\n]{1,400}[^.]\.$/);
    expect(code).toBe('model-invalid');
    expect(message).toMatch(reason);
    expect(message).not.toContain('\n');
  });

  it.each(['', '{', 'null', '[]', '3'])('refuses %j', (text) => {
    expect(() => parseManifest(text, 'manifest.json')).toThrow(expect.objectContaining({ code: 'model-invalid' }));
  });

  it('names the version when it is another one', () => {
    expect(() => parseManifest(JSON.stringify({ ...manifest, formatVersion: 3 }), 'manifest.json')).toThrow(
      expect.objectContaining({
        code: 'model-incompatible',
        message: 'manifest.json has format version 3, this inspector reads versions 1 and 2.',
      }),
    );
  });
});

/** The manifest of a bundle of toy graphs as it stands in the folder. */
async function toyManifest(options?: Parameters<typeof writeToyBundle>[1]) {
  await writeToyBundle(folder, options);
  return (await readBundle(folder)).manifest;
}

describe('verifyFiles', () => {
  it('accepts what the manifest lists', async () => {
    const toy = await toyManifest({ files: { 'golden.json': Uint8Array.of(1) } });
    await expect(verifyFiles(folder, toy)).resolves.toBeUndefined();
  });

  it.each(['decoder.onnx', 'golden.json'])('refuses a missing, a shorter and a changed %s', async (name) => {
    const toy = await toyManifest({ files: { 'golden.json': Uint8Array.of(1, 2, 3, 4, 5) } });
    const path = join(folder, name);
    const content = await readFile(path);
    const refused = (message: string) =>
      expect(verifyFiles(folder, toy)).rejects.toMatchObject({ code: 'model-file-corrupt', message });
    content[content.length - 1] = 255;
    await writeFile(path, content);
    await refused(`${path} is damaged: its SHA-256 is not the manifest’s.`);
    await writeFile(path, content.subarray(1));
    await refused(`${path} has ${content.length - 1} bytes instead of ${content.length}.`);
    await rm(path);
    await refused(`${path} is missing.`);
    if (process.platform === 'win32') return;
    execFileSync('mkfifo', [path]);
    await refused(`${path} is a pipe or a device instead of a file.`);
  });

  it('notices a change after it has once hashed a file', async () => {
    const toy = await toyManifest();
    await verifyFiles(folder, toy);
    const path = join(folder, 'encoder.onnx');
    const content = await readFile(path);
    content[content.length - 1] = 255;
    await writeFile(path, content);
    // Some file systems count time in seconds.
    await utimes(path, new Date(2001, 1), new Date(2001, 1));
    await expect(verifyFiles(folder, toy)).rejects.toMatchObject({ code: 'model-file-corrupt' });
  });
});

describe('weights of a graph that are outside of its file', () => {
  const weights = Uint8Array.of(0, 0, 0, 0);
  const external = { location: 'weights.bin', offset: '0', length: '4' };

  it('are read with the graph, as they were verified', async () => {
    const { files, ...toy } = await toyManifest({
      graphs: { encoder: { external } },
      files: { 'weights.bin': weights },
    });
    await verifyFiles(folder, { ...toy, files });
    const { bytes, externalData } = await readGraph(folder, files, 'encoder.onnx');
    expect(Buffer.from(toyGraph('encoder', { external })).equals(bytes)).toBe(true);
    expect(externalData).toEqual([{ path: 'weights.bin', data: weights }]);
    expect((await readGraph(folder, files, 'decoder.onnx')).externalData).toEqual([]);
  });

  it.each(['weights.bin', 'encoder.onnx'])('are refused where %s is exchanged after it was verified', async (name) => {
    const toy = await toyManifest({ graphs: { encoder: { external } }, files: { 'weights.bin': weights } });
    await verifyFiles(folder, toy);
    const content = await readFile(join(folder, name));
    content[content.length - 1] = 255;
    await writeFile(join(folder, 'other'), content);
    await rename(join(folder, 'other'), join(folder, name));
    await expect(readGraph(folder, toy.files, 'encoder.onnx')).rejects.toMatchObject({
      code: 'model-file-corrupt',
      message: `${join(folder, name)} is damaged: its SHA-256 is not the manifest’s.`,
    });
  });

  it.each([
    [
      'in a file that is not listed',
      { ...external, location: 'other.bin' },
      '"other.bin", which the manifest does not',
    ],
    ['in a file elsewhere', { ...external, location: '/etc/passwd' }, '"/etc/passwd", which the manifest does not'],
    ['in a folder above', { ...external, location: '../weights.bin' }, '"../weights.bin", which the manifest does not'],
    ['in this process’s memory', { ...external, location: '*/_ORT_MEM_ADDR_/*' }, 'which the manifest does not list'],
    ['without a place', { offset: '0' }, '"", which the manifest does not list'],
    ['beyond the end of their file', { ...external, offset: '1' }, 'wants weights beyond the end of weights.bin.'],
  ])('are refused %s', async (_name, wrong, reason) => {
    for (const graph of ['encoder', 'entropy', 'decoder'] as const) {
      const toy = await toyManifest({ graphs: { [graph]: { external: wrong } }, files: { 'weights.bin': weights } });
      const { code, message } = await refusalOf(() => verifyFiles(folder, toy));
      expect(code).toBe('model-invalid');
      expect(message).toContain(join(folder, `${graph}.onnx`));
      expect(message).toContain(reason);
    }
  });

  it('are found wherever a graph has tensors', async () => {
    const away: Constant = { type: 'int64', shape: [1], external: { location: 'elsewhere' } };
    const io = { x: { type: 'int64', shape: [1] } } as const;
    const inner = { nodes: [], inputs: {}, outputs: io, constants: { away } };
    const fetched = { op: 'Constant', inputs: [], outputs: ['x'], attributes: { value: away } };
    const nested = (body: typeof inner) => ({ op: 'If', inputs: ['x'], outputs: ['y'], attributes: { body } });
    const graphs = {
      'an attribute': { nodes: [fetched], inputs: {}, outputs: io },
      'a subgraph': { nodes: [nested(inner)], inputs: io, outputs: io },
      'a subgraph of a subgraph': {
        nodes: [
          nested({ ...inner, constants: { away: constant('int64', [1], [0]) }, nodes: [nested(inner)] as never[] }),
        ],
        inputs: io,
        outputs: io,
      },
    };
    for (const graph of Object.values(graphs)) {
      const content = onnxModel(graph);
      await writeFile(join(folder, 'encoder.onnx'), content);
      const files = [listed('encoder.onnx', content)];
      await expect(readGraph(folder, files, 'encoder.onnx')).rejects.toMatchObject({ code: 'model-invalid' });
    }
  });

  it.each([
    ['no model at all', () => new TextEncoder().encode('#!/bin/sh\necho not a model at all\n')],
    ['a graph cut short', () => toyGraph('encoder').subarray(0, -9)],
    [
      'a graph behind a number in its place',
      () => behindNumber(toyGraph('encoder', { external: { location: 'elsewhere' } })),
    ],
  ])('cannot hide in %s', async (_name, make) => {
    const content = make();
    await writeFile(join(folder, 'encoder.onnx'), content);
    const files = [listed('encoder.onnx', content)];
    const { code } = await refusalOf(() => readGraph(folder, files, 'encoder.onnx'));
    expect(['model-incompatible', 'model-invalid']).toContain(code);
  });
});

/** The model with a number in the field of its graph first: a reader that takes it for the length of a message skips the graph that counts. */
function behindNumber(model: Uint8Array): Uint8Array {
  const [versionBytes, graphAsNumber] = [2, 7 << 3];
  const rest = model.subarray(versionBytes);
  return Uint8Array.of(
    ...model.subarray(0, versionBytes),
    ...[graphAsNumber, (rest.length & 127) | 128, rest.length >> 7],
    ...rest,
  );
}
