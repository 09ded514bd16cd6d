/** Token data sets by the command line, with real graphs: made, killed and gone on with, decoded, verified. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QualityMeter } from '../../src/engine/metrics';
import { npy } from '../../src/method/npy';
import { TokenDataset } from '../../src/tokens/tokenDataset';
import type { TokenRow } from '../../src/tokens/tokenRows';
import { bundleFor, sample } from './support';

const bundles = join(import.meta.dirname, '../fixtures/bundles');
const tiny = join(bundles, 'tiny');

let cli: string;
let folder: string;

beforeAll(async () => {
  cli = join(await bundleFor('tokenDataset'), 'cli.js');
  folder = await mkdtemp(join(tmpdir(), 'tatok-datasets-'));
});

afterAll(() => rm(folder, { recursive: true }));

const start = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [cli, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });

async function finished(child: ChildProcess): Promise<{ status: number | null; out: string; errors: string }> {
  let [out, errors] = ['', ''];
  child.stdout?.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, out, errors };
}

const run = (...args: string[]) => finished(start([...args, '--provider', 'cpu', '--model', tiny]));

async function rowsOf(name: string): Promise<TokenRow[]> {
  const rows: TokenRow[] = [];
  for await (const row of (await TokenDataset.open(join(folder, name))).rows()) rows.push(row);
  return rows;
}

/** Numbers that are the same in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Parts of the sample photographs. */
async function writePictures(into: string, count: number): Promise<void> {
  const photographs = ['kodim05.png', 'kodim07.png', 'kodim15.png', 'kodim23.png'];
  await mkdir(into, { recursive: true });
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const image = sharp(sample(photographs[i % 4] ?? ''));
      const part = { left: (i * 37) % 600, top: (i * 53) % 400, width: 80 + (i % 3) * 16, height: 72 };
      await image
        .extract(part)
        .png({ compressionLevel: 1 })
        .toFile(join(into, `${String(i).padStart(3, '0')}.png`));
    }),
  );
}

const pixels = (path: string) => sharp(path).removeAlpha().raw().toBuffer();

describe('a token data set', () => {
  beforeAll(async () => {
    await writePictures(join(folder, 'in/a'), 5);
    await writeFile(join(folder, 'in/a/001.jpg'), 'This is no image.\n');
    await cp(join(folder, 'in/a/000.png'), join(folder, 'in/b/copy.png'));
  });

  it.each(['entropy', 'distortion'])('holds what the command line says of each image: %s', async (ranking) => {
    const filter = ['--ranking', ranking, '--loss-rate', '0.6'];
    const name = `${ranking}.tokens`;
    const made = await run('in', '--dataset', name, '--shard-size', '3', '--entropies', '--quality', ...filter);
    expect(made.status).toBe(1);
    expect(made.errors).toMatch(
      /tatok: a\/001\.jpg: The file is not an image[^\n]+\ntatok: 1 image of 7 without tokens/,
    );
    const rows = await rowsOf(name);
    expect(rows.map(({ path, label }) => [path, label])).toEqual([
      ...['000.png', '001.jpg', '001.png', '002.png', '003.png', '004.png'].map((file) => [`a/${file}`, 'a']),
      ['b/copy.png', 'b'],
    ]);
    const good = rows.filter(({ error }) => error === null);
    const single = await run(...good.map(({ path }) => join('in', path)), '--json', ...filter);
    const records = single.out.trim().split('\n');
    for (const [i, row] of good.entries()) {
      const record = JSON.parse(records[i] ?? '') as Record<string, number & number[]> & { crop: { left: number } };
      const {
        keep = [],
        patchCodes = [],
        surprisalBits = [],
        psnr = 0,
        ssim = 0,
      } = record as Record<string, number[] & number>;
      const kept = <T>(values: readonly T[]) => values.filter((_, patch) => keep[patch] === 1);
      const file = await readFile(join(folder, 'in', row.path));
      expect(row).toMatchObject({
        id: createHash('sha256').update(file).digest('hex'),
        width: record['width'],
        height: record['height'],
        crop_x: record.crop.left,
        global_codes: record['globalCodes'],
        patch_codes: kept(patchCodes),
        kept: record['keptTokens'],
        tokens: record['totalTokens'],
        payload_bits: record['payloadBits'],
        mask_bits: record['maskBits'],
      });
      // Alone an image goes through the graphs in another batch.
      expect(row.psnr).toBeCloseTo(psnr, 4);
      expect(row.ssim).toBeCloseTo(ssim, 4);
      const coded = kept(surprisalBits).reduce((sum, bits) => sum + bits, 4 * 12);
      expect(row.coded_bits).toBeCloseTo(coded, 3);
      for (const [patch, bits] of (row.entropy ?? [NaN]).entries()) {
        expect(bits).toBeCloseTo((record['entropyBits'] ?? [])[patch] ?? NaN, 2);
      }
    }
    expect([rows[0]?.id, rows[0]?.patch_codes]).toEqual([rows[6]?.id, rows[6]?.patch_codes]);
  });

  it('decodes to the pictures that its PSNR is of, bit for bit, whichever rows are chosen', async () => {
    const rows = (await rowsOf('distortion.tokens')).filter(({ error }) => error === null);
    const all = await run('decode', 'distortion.tokens', '--out', 'all');
    expect([all.status, all.out]).toEqual([0, '6 pictures in all; 1 row without tokens\n']);
    const inputs = await run(...rows.map(({ path }) => join('in', path)), '--out', 'singly');
    expect(inputs.status).toBe(0);
    for (const [i, { path, psnr, ssim }] of rows.entries()) {
      const stem = path.replace(/^.*\/|\.png$/g, '');
      const meter = new QualityMeter(64).add(
        await pixels(join(folder, 'singly', `${stem}.input.png`)),
        await pixels(join(folder, 'all', `${path}.png`)),
      );
      expect([meter.psnr, meter.ssim], String(i)).toEqual([psnr, ssim]);
    }
    const psnrs = rows.map(({ psnr }) => psnr ?? 0).sort((a, b) => a - b);
    const some = await run(
      'decode',
      'distortion.tokens',
      '--out',
      'some',
      '--where',
      `psnr < ${psnrs[1] ?? 0} and kept > 0`,
    );
    expect(some.out).toMatch(/^1 picture in some/);
    const [name = ''] = (await readdir(join(folder, 'some'), { recursive: true })).filter((each) =>
      each.endsWith('.png'),
    );
    expect((await pixels(join(folder, 'some', name))).equals(await pixels(join(folder, 'all', name)))).toBe(true);
  });

  it('is verified: bytes, counts, repeated images, codes of a sample', async () => {
    const good = await run('verify', 'entropy.tokens');
    expect(good).toEqual({
      status: 0,
      errors: '',
      out: [
        '3 of 3 shards with the bytes that were written.',
        '7 rows, 1 without tokens; 1 row with the image of an earlier one.',
        '6 of 6 images with the same codes when tokenized again on cpu.\n',
      ].join('\n'),
    });
    await cp(join(folder, 'in'), join(folder, 'changed'), { recursive: true });
    await cp(join(folder, 'in/a/003.png'), join(folder, 'changed/a/002.png'));
    const changed = await run('verify', 'entropy.tokens', 'changed');
    expect([changed.status, changed.errors]).toEqual([1, 'tatok: a/002.png: the file was changed since.\n']);
    await rm(join(folder, 'changed/a/002.png'));
    expect((await run('verify', 'entropy.tokens', 'changed')).errors).toMatch(/are not those of the data set/);
  });

  it('is not decoded by another model, nor gone on with under other settings', async () => {
    const other = await finished(
      start(['decode', 'entropy.tokens', '--out', 'x', '--model', join(bundles, 'patches-only')]),
    );
    expect([other.status, other.errors]).toEqual([
      1,
      expect.stringMatching(
        /^tatok: entropy\.tokens has tokens of the model tiny 0\.0\.1 \(\w+…\), not of [\w-]+ [\d.]+ \(\w+…\)\./,
      ),
    ]);
    const again = await run(
      'in',
      '--dataset',
      'entropy.tokens',
      '--entropies',
      '--quality',
      '--loss-rate',
      '0.1',
      '--ranking',
      'entropy',
    );
    expect([again.status, again.errors]).toEqual([
      1,
      'tatok: entropy.tokens was begun with other settings. Give the same arguments to go on with it, or choose a new folder.\n',
    ]);
  });

  it.each(['fixed-16', 'fixed-7', 'patches-only'])(
    'is made and decoded by a model that lacks parts: %s',
    async (name) => {
      const model = ['--model', join(bundles, name)];
      const dataset = `${name}.tokens`;
      await finished(start(['in/b', '--dataset', dataset, '--quality', '--provider', 'cpu', ...model]));
      const [row] = await rowsOf(dataset);
      expect([row?.error, row?.keep === null, row?.coded_bits === null]).toEqual([
        null,
        name !== 'patches-only',
        name !== 'patches-only',
      ]);
      const decoded = await finished(start(['decode', dataset, '--out', name, ...model]));
      expect([decoded.status, decoded.out]).toEqual([0, `1 picture in ${name}\n`]);
      const singly = await finished(start(['in/b/copy.png', '--out', name, '--provider', 'cpu', ...model]));
      expect(singly.status).toBe(0);
      const meter = new QualityMeter(64).add(
        await pixels(join(folder, name, 'copy.input.png')),
        await pixels(join(folder, name, 'copy.png.png')),
      );
      expect(meter.psnr).toBe(row?.psnr);
    },
  );
});

describe('a token file', () => {
  it('may be NumPy’s', async () => {
    const name = 'npz';
    await writePictures(join(folder, name), 1);
    expect((await run(`${name}/000.png`, '--out', name)).status).toBe(0);
    const { globalCodes, patchCodes, keep, ...settings } = JSON.parse(
      await readFile(join(folder, name, '000.tokens.json'), 'utf8'),
    ) as Record<string, number[]>;
    const arrays = {
      'global_codes.npy': npy({ kind: 'int32', shape: [4], values: globalCodes ?? [] }),
      'patch_codes.npy': npy({ kind: 'int32', shape: [4, 4], values: patchCodes ?? [] }),
      'keep.npy': npy({ kind: 'bool', shape: [4, 4], values: keep ?? [] }),
      'settings.npy': npy({ kind: 'text', text: JSON.stringify(settings) }),
    };
    await writeFile(join(folder, 'x.npz'), zipSync(arrays));
    expect((await run('decode', 'x.npz', '--out', name)).out).toBe('npz/x.reconstruction.png\n');
    const of = (file: string) => readFile(join(folder, name, `${file}.reconstruction.png`));
    expect((await of('x')).equals(await of('000'))).toBe(true);
  });

  it.each([
    ['centre', 'sequential'],
    ['fit', 'entropy'],
    ['tiles', 'distortion'],
  ])('decodes to the picture that was written with it: %s, %s', async (crop, ranking) => {
    const [from, to] = [`${crop}-from`, `${crop}-to`];
    const source = await sharp(sample('kodim23.png')).resize(150).png().toBuffer();
    await writeFile(join(folder, `${crop}.png`), source);
    expect((await run(`${crop}.png`, '--out', from, '--crop', crop, '--ranking', ranking)).status).toBe(0);
    const decoded = await run('decode', join(from, `${crop}.tokens.json`), '--out', to);
    expect([decoded.status, decoded.errors]).toEqual([0, '']);
    const name = `${crop}.reconstruction.png`;
    expect((await readFile(join(folder, from, name))).equals(await readFile(join(folder, to, name)))).toBe(true);
  });

  it('whose codes the model cannot have given is refused', async () => {
    const path = join(folder, 'centre-from/centre.tokens.json');
    const content = JSON.parse(await readFile(path, 'utf8')) as { patchCodes: number[] };
    await writeFile(
      join(folder, 'bad.tokens.json'),
      JSON.stringify({ ...content, patchCodes: [5000, ...content.patchCodes.slice(1)] }),
    );
    const { status, errors } = await run('decode', 'bad.tokens.json', '--out', 'x');
    expect([status, errors]).toEqual([
      1,
      'tatok: bad.tokens.json: The tokens do not fit tiny: the code 5000 is not in its codebook of 4096.\n',
    ]);
  });
});

describe('a run that is stopped', () => {
  const count = 48;
  const arguments_ = ['many', '--dataset', 'killed.tokens', '--shard-size', '4', '--provider', 'cpu', '--model', tiny];

  beforeAll(async () => {
    await writePictures(join(folder, 'many'), count);
    await writeFile(join(folder, 'many/broken.png'), 'no image');
  });

  it('by SIGKILL ten times at any moment and started again has every input exactly once', async () => {
    const random = randomNumbers(19);
    for (let kill = 0; kill < 10; kill++) {
      const files = () => readdir(join(folder, 'killed.tokens')).catch((): string[] => []);
      const before = await files();
      const child = start(arguments_);
      const ended = finished(child);
      // At some time of its start, or at the moment when a file is begun or renamed.
      if (kill % 3 === 0) await wait(900 * random());
      else while (child.exitCode === null && (await files()).join() === before.join()) await wait(1);
      if (kill % 3 === 2) await wait(50 * random());
      child.kill('SIGKILL');
      await ended;
    }
    const last = await finished(start(arguments_));
    expect(last.status).toBe(1);
    const rows = await rowsOf('killed.tokens');
    const names = (await readdir(join(folder, 'many'))).sort();
    expect(rows.map(({ path }) => path)).toEqual(names);
    const description = JSON.parse(await readFile(join(folder, 'killed.tokens/dataset.json'), 'utf8')) as object;
    expect(description).toMatchObject({ counts: { rows: count + 1, failed: 1 } });
    expect((await readdir(join(folder, 'killed.tokens'))).filter((name) => name.startsWith('.'))).toEqual([]);

    // One that was never stopped has the same files.
    const whole = await finished(start(arguments_.map((each) => (each === 'killed.tokens' ? 'whole.tokens' : each))));
    expect(whole.status).toBe(1);
    const hashes = async (name: string) =>
      (await TokenDataset.open(join(folder, name))).shards.map(({ file, sha256 }) => [file, sha256]);
    expect(await hashes('killed.tokens')).toEqual(await hashes('whole.tokens'));
  });

  it.skipIf(process.platform === 'win32')(
    'by an interrupt ends after the open shard and says how to go on',
    async () => {
      const name = 'interrupted.tokens';
      const args = arguments_.map((each) => (each === 'killed.tokens' ? name : each));
      const child = start([...args, '--workers', '2']);
      const ended = finished(child);
      while (!(await readdir(join(folder, name)).catch((): string[] => [])).includes('dataset.json')) await wait(5);
      child.kill('SIGINT');
      const { status, errors } = await ended;
      expect(status).toBe(130);
      expect(errors).toMatch(
        /Stopping when the open shard is whole.*\n.*Stopped: interrupted\.tokens has \d+ of 49 images, .* The same command goes on from there\./,
      );
      const dataset = await TokenDataset.open(join(folder, name));
      expect(dataset.counts.rows % 4).toBe(0);
      expect(dataset.absent.length).toBeGreaterThan(0);
      expect((await finished(start(args))).status).toBe(1);
      expect((await rowsOf(name)).map(({ path }) => path)).toEqual((await readdir(join(folder, 'many'))).sort());
    },
  );

  it('is verified without codes where its images are elsewhere by now', async () => {
    await rename(join(folder, 'many'), join(folder, 'moved'));
    const moved = await run('verify', 'whole.tokens');
    expect([moved.status, moved.out]).toEqual([
      0,
      expect.stringMatching(/Codes were not compared: \S+many cannot be read/),
    ]);
  });
});

describe('a budget over a data set', () => {
  it.each(['entropy', 'distortion'])('gives what tokenizing under it again does: %s', async (ranking) => {
    await writePictures(join(folder, 'many'), 6);
    const filter = ['--ranking', ranking, '--edge-priority', '0.5'];
    const name = `budget-${ranking}.tokens`;
    expect((await run('many', '--dataset', name, '--entropies', ...filter)).status).toBe(0);
    const { status, out } = await run('budget', name, '--tokens', '10', '--json');
    expect(status).toBe(0);
    const { images, approximate, budgets } = JSON.parse(out) as {
      images: number;
      approximate: boolean;
      budgets: { kind: string; lossRate: number; spread: { mean: number; least: number; most: number } }[];
    };
    expect([images, approximate]).toEqual([6, false]);
    expect(budgets.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['image', 'collection']));
    for (const { kind, lossRate, spread } of budgets.filter((each) => each.kind !== 'collection')) {
      const again = `${kind}-${ranking}.tokens`;
      await run('many', '--dataset', again, ...filter, '--budget', kind, '--loss-rate', String(lossRate));
      const tokens = (await rowsOf(again)).map((row) => row.tokens ?? NaN);
      expect(tokens.reduce((a, b) => a + b, 0) / 6).toBeCloseTo(spread.mean, 9);
      expect([Math.min(...tokens), Math.max(...tokens)]).toEqual([spread.least, spread.most]);
      expect(spread.mean).toBeLessThanOrEqual(10);
    }
    expect((await run('budget', name, '--tokens', '20')).errors).toContain('A mean of 20 tokens is out of reach');
  });
});
