/** A tiny bundle of every kind of tokenizer, under the name of a public one: each opens in the engine, or is refused for its reason. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine';
import { npy } from '../../src/method/npy';
import type { FilterSettings } from '../../src/method/types';
import { codesOf, writeStreamBundle, type TestBundle } from '../streamBundles';
import { refusalOf } from '../unit/refusal';
import { bundleFor, tokenizeIn } from './support';

const square = { width: 32, height: 32, patch: 16 };
const sequence = { name: 'global_codes', kind: 'sequence', tokens: 8 } as const;
const grid = { name: 'patch_codes', kind: 'grid', rows: 2, columns: 2 } as const;
const vq = { kind: 'vq', size: 4096 } as const;

/** Kind by kind; what the command line says of each. */
const systems = {
  titok: {
    bundle: { image: square, streams: [sequence], codebook: vq },
    says: ['8 global tokens', '8 global tokens · 96 bits'],
  },
  'titok-attention': {
    bundle: { image: square, streams: [sequence], codebook: vq, attention: { layers: 2, heads: 3 } },
    says: ['8 global tokens'],
  },
  'one-d-piece': {
    bundle: { image: square, streams: [{ ...sequence, prefix: true }], codebook: vq },
    says: ['every image takes 1 to 8 tokens', 'kept 8 global tokens · 8 of 8 tokens · 96 bits'],
  },
  flextok: {
    bundle: {
      image: square,
      streams: [{ ...sequence, prefix: true }],
      codebook: { kind: 'fsq', levels: [8, 8, 8, 5, 5, 5] },
    },
    says: ['8 of 8 tokens · 128 bits'],
  },
  karl: {
    bundle: { image: square, streams: [sequence], codebook: vq, expected: 3 },
    says: ['every image takes 0 to 8 tokens'],
  },
  llamagen: {
    bundle: {
      image: { width: 48, height: 32, patch: 16, resample: 'adm' },
      streams: [{ ...grid, columns: 3 }],
      codebook: { kind: 'vq', size: 16384 },
      integers: 'int64',
    },
    says: ['6 patch tokens', '6 tokens · 84 bits'],
  },
  'vq-with-entropies': {
    bundle: { image: square, streams: [grid], codebook: vq, expected: 8 },
    says: ['0 to 4 tokens'],
  },
  'rq-vae': {
    bundle: { image: square, streams: [{ ...grid, depth: 4, prefix: true }], codebook: vq },
    says: ['4 patch tokens of 4 residual codes', 'kept 16 tokens · 4 of 4 residual codes · 192 bits'],
  },
  var: {
    bundle: {
      image: square,
      streams: [
        { ...grid, name: 'scale_1_codes', rows: 1, columns: 1, prefix: true },
        { ...grid, name: 'scale_2_codes', prefix: true },
      ],
      codebook: vq,
    },
    says: ['2 scales of 1×1, 2×2', 'kept 5 tokens · 2 of 2 scales · 60 bits'],
  },
  cosmos: {
    bundle: {
      image: { width: 32, height: 64, patch: 16 },
      streams: [{ ...grid, rows: 4 }],
      codebook: { kind: 'fsq', levels: [8, 8, 8, 5, 5, 5] },
    },
    says: ['8 patch tokens', '8 tokens · 128 bits'],
  },
  infinity: {
    bundle: {
      image: square,
      streams: [{ ...grid, depth: 2, prefix: true }],
      codebook: { kind: 'bits', bits: 32 },
      integers: 'int64',
    },
    says: ['kept 8 tokens · 2 of 2 residual codes · 256 bits'],
  },
  'open-magvit2': {
    bundle: { image: square, streams: [grid], codebook: { kind: 'bits', bits: 18 } },
    says: ['4 tokens · 72 bits'],
  },
  'sd-vae': {
    bundle: { image: square, streams: [grid], codebook: { kind: 'continuous', dimensions: 4 } },
    says: ['4 tokens · 512 bits'],
  },
  'titok-vae': {
    bundle: { image: square, streams: [sequence], codebook: { kind: 'continuous', dimensions: 2 } },
    says: ['8 global tokens · 512 bits'],
  },
} as const satisfies Record<string, { bundle: Omit<TestBundle, 'name'>; says: readonly string[] }>;

type System = keyof typeof systems;
const names = Object.keys(systems) as System[];

let folder: string;
let image: Uint8Array;
const engine = new Engine();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-tokenizers-'));
  const noise = Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * 7919) % 251);
  image = await sharp(noise, { raw: { width: 90, height: 70, channels: 3 } })
    .png()
    .toBuffer();
  await writeFile(join(folder, 'image.png'), image);
  for (const name of names) await writeStreamBundle(join(folder, name), { name, ...systems[name].bundle });
});

afterAll(() => rm(folder, { recursive: true }));

function open(name: string, settings: Partial<FilterSettings> = {}, cropMode: 'centre' | 'tiles' = 'centre') {
  const choice = { directory: join(folder, name), providers: ['cpu'] };
  return tokenizeIn(engine, { choice, file: image, settings, cropMode });
}

const sum = (values: Iterable<number | bigint>) => [...values].reduce<number>((all, value) => all + Number(value), 0);

describe.each(names)('%s', (name) => {
  const bundle: Omit<TestBundle, 'name'> = systems[name].bundle;
  const own = bundle.streams.map((stream) => codesOf(stream, bundle));

  it('has the codes that its encoder gives, and decodes all of them', async () => {
    const { tokens, reconstruction, model } = await open(name, { lossRate: 0 });
    const inOrder = [tokens.globalCodes, ...tokens.otherCodes, tokens.patchCodes].filter(({ length }) => length > 0);
    expect(inOrder.map((codes) => Array.from<number | bigint, number>(codes, Number))).toEqual(own);
    expect(reconstruction.rgb).toHaveLength(3 * model.imageSize.width * model.imageSize.height);
    expect(new Set(reconstruction.rgb)).toEqual(new Set([sum(own.flat())]));
  });

  it('opens in tiles, each with codes of its own', async () => {
    const { tokens, image: shown, model, reconstruction } = await open(name, { lossRate: 0 }, 'tiles');
    const { width, height } = bundle.image;
    expect(shown.tiles).toEqual({ rows: Math.ceil(70 / height), columns: Math.ceil(90 / width) });
    // Where an expectation can stand in, patches wholly in padding have no tokens.
    const whole = !(model.filters && model.patchTokens > 0);
    if (whole) expect(new Set(reconstruction.rgb)).toEqual(new Set([sum(own.flat())]));
    const tiles = shown.tiles.rows * shown.tiles.columns;
    expect(sum(tokens.globalCodes)).toBe(tiles * sum(bundle.streams[0]?.kind === 'sequence' ? (own[0] ?? []) : []));
    expect(reconstruction.rgb).toHaveLength(3 * 90 * 70);
  });
});

describe('ε as a length', () => {
  it('keeps the leading tokens of a sequence, and one of them at least', async () => {
    const lengths: number[] = [];
    for (const lossRate of [0, 0.1, 0.125, 0.5, 1]) {
      const { reconstruction: r } = await open('one-d-piece', { lossRate });
      lengths.push(r.length);
      expect(r.totalTokens).toBe(r.length);
      expect(r.payloadBits).toBe(12 * r.length);
      expect(r.actualLossRate).toBeCloseTo(1 - r.length / 8);
      expect(r.rgb[0]).toBe(sum([0, 1, 2, 0, 1, 2, 0, 1].slice(0, r.length)));
    }
    expect(lengths).toEqual([8, 8, 7, 4, 1]);
  });

  it('is a depth of residual codes, and a number of scales', async () => {
    const depth = (await open('rq-vae', { lossRate: 0.5 })).reconstruction;
    // Of 4 cells the first two residual codes: 0 1 2 0, 1 2 0 1, 2 0 1 2, 0 1 2 0.
    expect([depth.length, depth.totalTokens, depth.rgb[0]]).toEqual([2, 8, 1 + 3 + 2 + 1]);
    const scales = (await open('var', { lossRate: 0.8 })).reconstruction;
    expect([scales.length, scales.totalTokens, scales.rgb[0]]).toEqual([1, 1, 0]);
    expect((await open('var', { lossRate: 0.79 })).reconstruction.length).toBe(2);
  });

  it('has points of the curve for every ε, and no ranking', async () => {
    const { analyses } = await open('one-d-piece');
    const settings = { lossRate: 0, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
    const points = await analyses.measure({ settings, lossRates: [0, 0.25, 0.75] });
    expect(points.map(({ length, payloadBits }) => [length, payloadBits])).toEqual([
      [8, 96],
      [6, 72],
      [2, 24],
    ]);
    await expect(analyses.rank(settings)).rejects.toMatchObject({ code: 'bad-settings' });
  });
});

describe('vectors of a table', () => {
  it('are near to each other as the table says, for every residual code of a patch', async () => {
    const name = 'rq-with-table';
    await writeStreamBundle(join(folder, name), { name, ...systems['rq-vae'].bundle });
    const manifestFile = join(folder, name, 'manifest.json');
    const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as {
      codebooks: Record<string, object>;
      files: object[];
    };
    const values = Float32Array.from({ length: 4096 }, (_, i) => i * i);
    const bytes = npy({ kind: 'float32', shape: [4096, 1], values });
    await writeFile(join(folder, name, 'codebook.npy'), bytes);
    for (const key of Object.keys(manifest.codebooks)) {
      manifest.codebooks[key] = { ...vq, dimensions: 1, file: 'codebook.npy' };
    }
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    manifest.files.push({ path: 'codebook.npy', bytes: bytes.length, sha256 });
    await writeFile(manifestFile, JSON.stringify(manifest));
    const { analyses, tokens } = await open(name);
    expect([...tokens.patchCodes.slice(0, 4)]).toEqual([0, 1, 2, 0]);
    const near = await analyses.nearest({ patch: 0 });
    expect(near.map((entries) => entries.map(({ code }) => code))).toEqual([
      [1, 2, 3, 4, 5],
      [0, 2, 3, 4, 5],
      [1, 0, 3, 4, 5],
      [1, 2, 3, 4, 5],
    ]);
    expect(near[1]?.[1]).toEqual({ code: 2, distance: 3 });
  });

  it('are not told where the bundle has none', async () => {
    const { analyses } = await open('rq-vae');
    await expect(analyses.nearest({ patch: 0 })).rejects.toMatchObject({ code: 'bad-settings' });
  });
});

describe('tokens of a sequence that an entropy model estimates', () => {
  it('are dropped one by one, those of the fewest bits first', async () => {
    const { tokens, reconstruction: r, analyses } = await open('karl', { lossRate: 0.5 });
    expect([...tokens.entropyBits]).toEqual([0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]);
    // Σ = 9 bits: 0.25 + … + 1.25 = 3.75 may be lost, 1.5 more may not.
    expect([...r.keep]).toEqual([0, 0, 0, 0, 0, 1, 1, 1]);
    expect([r.keptTokens, r.totalTokens, r.payloadBits, r.rgb[0]]).toEqual([3, 3, 36, 2 + 0 + 1]);
    const settings = { ...r.settings, ranking: 'sequential' } as const;
    expect((await analyses.rank(settings)).order).toHaveLength(8);
    await expect(analyses.rank({ ...settings, ranking: 'distortion' })).rejects.toMatchObject({ code: 'bad-settings' });
  });

  it('are ranked over all tiles', async () => {
    const { reconstruction: r } = await open('karl', { lossRate: 0.5 }, 'tiles');
    expect(r.keep).toHaveLength(9 * 8);
    expect(r.actualLossRate).toBeLessThanOrEqual(0.5);
    expect(r.keptTokens).toBe(sum(r.keep));
  });
});

describe('bundles that break the contract', () => {
  const broken: readonly (readonly [string, Omit<TestBundle, 'name'>, string])[] = [
    [
      'codes of 32 bits of which there are 2^32',
      { ...systems.infinity.bundle, integers: 'int32' },
      'its output patch_codes is int32[batch, 4, 2] instead of int64[batch, 4, 2]',
    ],
    [
      'codes that the codebook does not have',
      { ...systems.titok.bundle, offset: 4095 },
      'The encoder graph gave 4096, which is no code of its codebook of 4096, as global_codes',
    ],
    [
      'negative codes',
      { ...systems.llamagen.bundle, offset: -1 },
      'gave -1, which is no code of its codebook of 16384, as patch_codes',
    ],
    [
      'a decoder that takes no length',
      { ...systems['one-d-piece'].bundle, without: ['keep_global'] },
      'it has no input keep_global, bool[batch, 8]',
    ],
    [
      'an entropy model whose expectation no one takes',
      { ...systems['vq-with-entropies'].bundle, without: ['expected_code'] },
      'it has no input expected_code, float32[batch, 4, 8]',
    ],
  ];

  it.each(broken)('are refused: %s', async (kind, bundle, reason) => {
    const name = kind.replaceAll(/\W/g, '-');
    await writeStreamBundle(join(folder, name), { name, ...bundle });
    const { code, message } = await refusalOf(() => open(name));
    expect(code).toBe(reason.includes('code of') ? 'inference-failed' : 'model-incompatible');
    expect(message).toContain(reason);
  });
});

describe('token data sets', () => {
  it.each(names)('are made by %s, or refused for its kind of tokens', async (name) => {
    const plain = ['titok', 'titok-attention', 'llamagen', 'vq-with-entropies', 'cosmos', 'open-magvit2'];
    const prepared = engine.prepareBatches({ directory: join(folder, name), providers: ['cpu'] });
    if (plain.includes(name)) await expect(prepared).resolves.toMatchObject({ model: { name } });
    else await expect(prepared).rejects.toMatchObject({ code: 'model-incompatible' });
  });
});

describe('what a tokenizer lacks', () => {
  it('cannot be asked for', async () => {
    const all = { tile: 0, layer: 'mean', head: 'mean' } as const;
    const plain = await open('titok');
    await expect(plain.analyses.attention(all)).rejects.toMatchObject({
      code: 'bad-settings',
      message: expect.stringContaining('its encoder gives none') as string,
    });
    const attentive = await open('titok-attention');
    expect([...(await attentive.analyses.attention(all)).weights]).toEqual(new Array(32).fill(0.25));
    const latent = await open('titok-vae');
    const settings = latent.reconstruction.settings;
    await expect(latent.analyses.influence({ settings, tile: 0, globalToken: 1 })).rejects.toMatchObject({
      code: 'bad-settings',
    });
    const { change } = await plain.analyses.influence({ settings, tile: 0, globalToken: 1 });
    expect(change).toHaveLength(4);
  });
});

describe('the command line', () => {
  it('says of each kind what it is and what it keeps', { timeout: 60_000 }, async () => {
    const dist = await bundleFor('tokenizers');
    for (const name of [
      'titok',
      'one-d-piece',
      'karl',
      'vq-with-entropies',
      'rq-vae',
      'var',
      'llamagen',
      'infinity',
      'sd-vae',
    ] as const) {
      const model = ['--provider', 'cpu', '--model', join(folder, name), '--loss-rate', '0'];
      const { stdout } = await promisify(execFile)(process.execPath, [
        join(dist, 'cli.js'),
        join(folder, 'image.png'),
        ...model,
      ]);
      for (const part of systems[name].says) expect(stdout).toContain(part);
    }
  });

  it('writes codes of 64 bits as text', async () => {
    const dist = join(import.meta.dirname, '../../.cache/integration/tokenizers');
    const model = ['--provider', 'cpu', '--model', join(folder, 'infinity'), '--json', '--loss-rate', '0.5'];
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(dist, 'cli.js'),
      join(folder, 'image.png'),
      ...model,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      patchCodes: ['0', '1', '2', '0', '1', '2', '0', '1'],
      codebook: { kind: 'bits', bits: 32 },
      ...{ length: 1, steps: 2, totalTokens: 4, payloadBits: 128, lossRate: 0.5, actualLossRate: 0.5 },
    });
  });
});
