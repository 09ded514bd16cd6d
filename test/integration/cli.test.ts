import { execFileSync, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, parse } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeToyBundle } from '../onnxGraphs';
import { bundleFor, modelDirectory, sample } from './support';

const contractKeys = [
  'image',
  'width',
  'height',
  'model',
  'provider',
  'grid',
  'globalCodes',
  'patchCodes',
  'entropyBits',
  'surprisalBits',
  'keep',
  'lossRate',
  'actualLossRate',
  'keptTokens',
  'totalTokens',
  'payloadBits',
  'maskBits',
  'psnr',
  'ssim',
  'timings',
];

interface Run {
  readonly status: number | null;
  readonly lines: string[];
  readonly errors: string[];
}

let cli: string;
let folder: string;

beforeAll(async () => {
  cli = join(await bundleFor('cli'), 'cli.js');
  folder = await mkdtemp(join(tmpdir(), 'tatok-cli-'));
});

afterAll(() => rm(folder, { recursive: true }));

const nonEmptyLines = (text: string) => text.split('\n').filter((line) => line !== '');

function execute(command: string, args: string[], cwd?: string): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, lines: nonEmptyLines(out), errors: nonEmptyLines(err) }));
  });
}

const run = (...args: string[]) => execute(process.execPath, [cli, '--model', modelDirectory, ...args], folder);

describe('tokenize', () => {
  it('prints one object a line for each image, the contract’s keys first', async () => {
    const images = [sample('kodim05.png'), sample('kodim23.png')];
    const { status, lines, errors } = await run(...images, '--json', '--loss-rate', '0.4', '--provider', 'cpu');
    expect([status, errors]).toEqual([0, []]);
    const records = lines.map((line) => JSON.parse(line) as Record<string, never>);
    expect(records.map(({ image }) => image)).toEqual(images);
    for (const record of records) {
      expect(Object.keys(record).slice(0, contractKeys.length)).toEqual(contractKeys);
      const { keep, entropyBits } = record as unknown as { keep: number[]; entropyBits: number[] };
      expect(record).toMatchObject({ width: 768, height: 512, model: 'tatok-s-256', provider: 'cpu', lossRate: 0.4 });
      expect([keep.length, entropyBits.length]).toEqual([256, 256]);
      expect(record['keptTokens']).toBe(keep.reduce((sum, kept) => sum + kept, 0));
    }
  });

  it('takes the model’s defaults, says what is used and why not something else', async () => {
    const { status, lines, errors } = await run(sample('kodim07.png'));
    expect([status, lines.length, errors]).toEqual([0, 2, []]);
    expect(lines[0]).toMatch(/^tatok-s-256 \S+ on \w+/);
    expect(lines[1]).toMatch(/768×512 → 256×256 · kept \d+ \+ 32 global = \d+ tokens/);
  });

  it('tells of each bad image in one line and does the others', async () => {
    const [text, empty] = [join(folder, 'text.png'), join(folder, 'empty.jpg')];
    await writeFile(text, 'This is no image.\n');
    await writeFile(empty, '');
    const good = sample('kodim15.png');
    const missing = join(folder, 'missing.png');
    const vast = join(folder, 'vast.tif');
    await writeFile(vast, '');
    await truncate(vast, 2 ** 31);
    const { status, lines, errors } = await run(text, good, empty, missing, folder, vast, '--json');
    expect(status).toBe(1);
    expect(lines).toHaveLength(1);
    expect(errors).toEqual([
      `tatok: ${text}: The file is not an image of a supported format. Convert it to one of PNG, JPEG, WebP, GIF, TIFF, AVIF.`,
      `tatok: ${empty}: The file is empty.`,
      `tatok: ${missing}: There is no such file.`,
      `tatok: ${folder}: It is a folder, not an image.`,
      `tatok: ${vast}: The file has 2147 MB; more than 1074 MB cannot be read. Scale the image down, or compress it.`,
    ]);
  });

  it.skipIf(process.platform === 'win32')('refuses pipes and devices at once, as images and as manifests', async () => {
    const pipe = join(folder, 'pipe.png');
    execFileSync('mkfifo', [pipe]);
    const { status, lines, errors } = await run(pipe, '/dev/zero', sample('kodim15.png'), '--json');
    expect([status, lines.length]).toEqual([1, 1]);
    expect(errors).toEqual(
      [pipe, '/dev/zero'].map((image) => `tatok: ${image}: It is not a regular file but a pipe, a device or a socket.`),
    );
    const model = join(folder, 'piped');
    await mkdir(model);
    execFileSync('mkfifo', [join(model, 'manifest.json')]);
    const piped = await run(sample('kodim15.png'), '--model', model);
    expect([piped.status, piped.lines]).toEqual([1, []]);
    expect(piped.errors).toEqual([
      `tatok: ${join(model, 'manifest.json')} is a pipe or a device instead of a file. ` +
        'Choose the folder of a TaTok bundle, with manifest.json and its ONNX graphs.',
    ]);
  });

  it('prints nothing of numbers that are none, and ends with status 1', async () => {
    const graphs = { entropy: { value: { output: 'entropy', value: NaN } } };
    const model = await writeToyBundle(join(folder, 'nan'), { graphs });
    const image = sample('kodim15.png');
    const { status, lines, errors } = await run(image, '--model', model, '--json', '--provider', 'cpu');
    expect([status, lines]).toEqual([1, []]);
    expect(errors).toEqual([
      `tatok: ${image}: The entropy graph gave NaN as entropy on the provider cpu. ` +
        'If no other execution provider does better, the model is at fault: export it again.',
    ]);
  });

  it('writes pictures and tokens, also of two images with one name', async () => {
    const other = join(folder, 'kodim23.png');
    await copyFile(sample('kodim05.png'), other);
    const out = join(folder, 'deep', 'out');
    expect((await run(sample('kodim23.png'), other, '--out', out)).status).toBe(0);
    const suffixes = ['entropy.png', 'input.png', 'mask.png', 'reconstruction.png', 'tokens.json'];
    expect((await readdir(out)).sort()).toEqual(
      ['kodim23', 'kodim23-2'].flatMap((name) => suffixes.map((suffix) => `${name}.${suffix}`)).sort(),
    );
    for (const suffix of suffixes.slice(0, 4)) {
      const { width, height, channels } = await sharp(join(out, `kodim23.${suffix}`)).metadata();
      expect([width, height, channels]).toEqual([256, 256, 3]);
    }
    const tokens = JSON.parse(await readFile(join(out, 'kodim23.tokens.json'), 'utf8')) as Record<string, number[]>;
    expect(tokens['grid']).toEqual({ rows: 16, columns: 16 });
    expect([tokens['globalCodes'], tokens['patchCodes'], tokens['keep']].map((each) => each?.length)).toEqual([
      32, 256, 256,
    ]);
  });

  it.each([
    ['centre', 'png-cicp-p3.png', { left: 16, top: 0, width: 64, height: 64 }, [256, 256]],
    ['fit', 'tiff16-rgb-big-endian.tif', { left: 0, top: 0, width: 96, height: 64 }, [256, 171]],
    ['tiles', 'avif-alpha-premultiplied.avif', { left: 0, top: 0, width: 96, height: 64 }, [96, 64]],
  ] as const)('writes the pixels that the model was given: %s of %s', async (crop, name, part, [width, height]) => {
    const fixtures = join(import.meta.dirname, '../fixtures/images');
    const out = join(folder, crop);
    expect((await run(join(fixtures, name), '--out', out, '--crop', crop)).errors).toEqual([]);
    const cases = JSON.parse(await readFile(join(fixtures, 'cases.json'), 'utf8')) as { file: string; right: string }[];
    const right = cases.find(({ file }) => file === name)?.right ?? '';
    const expected = await sharp(join(fixtures, 'right', right))
      .removeAlpha()
      .extract(part)
      .resize({ width, height, fit: 'fill', kernel: 'lanczos3' })
      .raw()
      .toBuffer();
    const input = await sharp(join(out, `${parse(name).name}.input.png`))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([input.info.width, input.info.height, input.info.channels]).toEqual([width, height, 3]);
    const difference = input.data.reduce((sum, value, i) => sum + Math.abs(value - (expected[i] ?? NaN)), 0);
    expect(difference / expected.length).toBeLessThan(0.5);
  });

  it('says which page was taken of several', async () => {
    const file = join(import.meta.dirname, '../fixtures/images/tiff-second-page-zstd.tif');
    const { lines } = await run(file, '--json');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ page: { unit: 'page', number: 1, count: 2 } });
  });

  it('ends options at --', async () => {
    await copyFile(sample('kodim05.png'), join(folder, '--json'));
    const { status, lines, errors } = await run('--json', '--', '--json');
    expect([status, lines.length, errors]).toEqual([0, 1, []]);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ image: '--json' });
  });

  it.each([
    [[]],
    [['x.png', '--unknown']],
    [['x.png', '--loss-rate', '1.2']],
    [['x.png', '--loss-rate', 'half']],
    [['x.png', '--loss-rate']],
    [['x.png', '--edge-priority', '-1']],
    [['x.png', '--budget', 'all']],
    [['x.png', '--conditioning', 'none']],
    [['x.png', '--provider', 'tpu']],
  ])('refuses %j as bad usage, in one line', async (args) => {
    const { status, lines, errors } = await run(...args);
    expect([status, lines, errors.length]).toEqual([2, [], 1]);
    expect(errors[0]).toMatch(/^tatok: /);
  });

  it('fails in one line without a model', async () => {
    const { status, errors } = await run(sample('kodim05.png'), '--model', join(folder, 'nowhere'));
    expect([status, errors.length]).toEqual([1, 1]);
    expect(errors[0]).toMatch(/^tatok: There is no model: /);
  });

  it('tolerates a reader that has seen enough', async () => {
    const images = Array.from({ length: 4 }, () => `'${sample('kodim05.png')}'`).join(' ');
    const command = `'${process.execPath}' '${cli}' --model '${modelDirectory}' ${images} --json | head -c 10`;
    const { status, errors } = await execute('bash', ['-o', 'pipefail', '-c', command]);
    expect([status, errors]).toEqual([0, []]);
  });
});

describe('npm run tokenize', () => {
  it('works from any folder of the project, with names relative to it', async () => {
    const args = ['run', '-s', 'tokenize', '--', 'kodim05.png', '--json'];
    const { status, lines } = await execute('npm', args, sample('.'));
    expect(status).toBe(0);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ image: 'kodim05.png', width: 768 });
  });
});
