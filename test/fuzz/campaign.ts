/** All mutants of a run, from its seed: images of six formats, manifests, graphs with their weights, and tokens. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import * as fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import type { InferenceClient } from '../../src/client/client';
import { tokenizationNpz } from '../../src/export/npz';
import { tokensRecord } from '../../src/export/tokens';
import { cropModes } from '../../src/method/types';
import { listed, toyGraph, writeToyBundle, type ToyGraph } from '../onnxGraphs';
import cases from '../fixtures/images/cases.json';
import { manifestRecipes, mutated, mutatedManifest, recipes } from './mutants';
import { formats, type Format } from './structure';
import { Ordeal, type Outcome, type Trial } from './trials';

/** Where the parts of the project are. */
export interface Places {
  /** The project's folder. */
  readonly root: string;
  /** Folder of the bundled command line and inference process. */
  readonly built: string;
}

export interface Campaign {
  readonly seed: number;
  /** Mutants: half are images; the rest are manifests, graphs, and tokens of three kinds. */
  readonly count: number;
}

export interface Tried extends Trial {
  readonly outcome: Outcome;
}

/** The command line's answers to some of the images: how many, and what is wrong with them. */
export interface CommandLine {
  readonly images: number;
  readonly refused: number;
  readonly findings: readonly string[];
}

/** Gives every mutant to the inference process, and the first images of each format to the command line. */
export async function fuzz(
  { root, built }: Places,
  { seed, count }: Campaign,
  onTried: (tried: Tried) => void,
): Promise<CommandLine> {
  const scratch = await mkdtemp(join(tmpdir(), 'tatok-fuzz-'));
  const sound = join(root, 'test/fixtures/bundles/tiny');
  const file = await readFile(join(root, 'test/fixtures/bundles/image.png'));
  const ordeal = await Ordeal.begin(join(built, 'inference.js'), sound, file);
  const sample = <Value>(values: fc.Arbitrary<Value>, numRuns: number) => fc.sample(values, { seed, numRuns });
  const each = Math.ceil(count / 12);
  const forCommandLine: string[] = [];
  try {
    const seeds = await seedImages(root);
    for (const format of formats) {
      const files = seeds[format];
      for (const [index, recipe] of sample(recipes(files.length), each).entries()) {
        const mutant = mutated(format, at(files, recipe.file), at(files, recipe.other), recipe);
        const cropMode = at(cropModes, index % cropModes.length);
        const image = { kind: format, directory: sound, file: mutant, cropMode, sized: true };
        onTried(await attempt(ordeal, { ...image, recipe: `${index}: ${JSON.stringify(recipe)}` }));
        if (index >= 8) continue;
        forCommandLine.push(join(scratch, `${index}.${format}`));
        await writeFile(at(forCommandLine, -1), mutant);
      }
    }
    const bundle = { file, cropMode: 'centre', sized: false } as const;
    const others = Math.floor((count - formats.length * each) / 5);
    const manifest: unknown = JSON.parse(await readFile(join(sound, 'manifest.json'), 'utf8'));
    for (const [index, steps] of sample(manifestRecipes, others).entries()) {
      const directory = await folderLike(sound, join(scratch, 'manifest'), {
        'manifest.json': mutatedManifest(manifest, steps),
      });
      const recipe = `${index}: ${JSON.stringify(steps).slice(0, 500)}`;
      onTried(await attempt(ordeal, { ...bundle, kind: 'manifest', directory, recipe }));
      await rm(directory, { recursive: true });
    }
    const graphs = await seedGraphs(scratch, sound);
    for (const [index, recipe] of sample(recipes(graphs.length), others).entries()) {
      const { folder, name, bytes } = at(graphs, recipe.file);
      const mutant = mutated('onnx', bytes, at(graphs, recipe.other).bytes, recipe);
      const directory = await withGraph(folder, join(scratch, 'graph'), name, mutant);
      onTried(
        await attempt(ordeal, { ...bundle, kind: 'graph', directory, recipe: `${index}: ${JSON.stringify(recipe)}` }),
      );
      await rm(directory, { recursive: true });
    }
    const ofPicture = await seedTokens(ordeal.client, sound, file);
    const record: unknown = JSON.parse(new TextDecoder().decode(ofPicture.json));
    for (const [index, steps] of sample(manifestRecipes, others).entries()) {
      const recipe = `${index}: ${JSON.stringify(steps).slice(0, 500)}`;
      const mutant = { ...bundle, directory: sound, recipe, file: mutatedManifest(record, steps) };
      onTried(await attempt(ordeal, { ...mutant, kind: 'tokens.json', tokens: { name: 'X.tokens.json' } }));
    }
    for (const [index, recipe] of sample(recipes(1), others).entries()) {
      const mutant = mutated('zip', ofPicture.npz, ofPicture.npz, recipe);
      const npz = { ...bundle, directory: sound, file: mutant, recipe: `${index}: ${JSON.stringify(recipe)}` };
      onTried(await attempt(ordeal, { ...npz, kind: 'npz', tokens: { name: 'X.npz' } }));
    }
    const dataset = join(root, 'test/fixtures/tokens/typescript.tokens');
    const description: unknown = JSON.parse(await readFile(join(dataset, 'dataset.json'), 'utf8'));
    for (const [index, steps] of sample(manifestRecipes, others).entries()) {
      const folder = await folderLike(dataset, join(scratch, 'x.tokens'), {
        'dataset.json': mutatedManifest(description, steps),
      });
      const recipe = `${index}: ${JSON.stringify(steps).slice(0, 500)}`;
      onTried(await attempt(ordeal, { ...bundle, directory: sound, recipe, kind: 'dataset.json', tokens: { folder } }));
      await rm(folder, { recursive: true });
    }
    return await askCommandLine(join(built, 'cli.js'), sound, forCommandLine);
  } finally {
    await ordeal.end();
    await rm(scratch, { recursive: true });
  }
}

async function attempt(ordeal: Ordeal, trial: Trial): Promise<Tried> {
  return { ...trial, outcome: await ordeal.try(trial) };
}

function at<Value>(values: readonly Value[], index: number): Value {
  const value = values.at(index);
  if (value === undefined) throw new RangeError(`there is no value ${index}`);
  return value;
}

const extensions: Readonly<Record<string, Format>> = {
  '.png': 'png',
  '.jpg': 'jpeg',
  '.webp': 'webp',
  '.tif': 'tiff',
  '.avif': 'avif',
  '.gif': 'gif',
};

/** Images of every kind that is read which the tests have, a HEIC, and kinds that only encoders' options give. */
async function seedImages(root: string): Promise<Record<Format, Uint8Array[]>> {
  const folder = join(root, 'test/fixtures/images');
  const seeds: Record<Format, Uint8Array[]> = { png: [], jpeg: [], webp: [], tiff: [], avif: [], gif: [] };
  for (const { file, right } of cases as readonly { readonly file: string; readonly right?: string }[]) {
    const format = extensions[extname(file)];
    if (format !== undefined && (right !== undefined || file === 'heic.avif'))
      seeds[format].push(await readFile(join(folder, file)));
  }
  const colours = sharp(join(folder, 'right/source.png'));
  const half = sharp(join(folder, 'png16-cicp-p3-alpha.png'));
  const made: readonly (readonly [Format, Sharp])[] = [
    ['png', colours.clone().png({ progressive: true })],
    ['png', colours.clone().png({ palette: true, colours: 16 })],
    ['jpeg', colours.clone().jpeg({ progressive: true })],
    ['jpeg', colours.clone().jpeg({ mozjpeg: true, chromaSubsampling: '4:2:0' })],
    ['jpeg', colours.clone().toColourspace('cmyk').jpeg()],
    ['jpeg', colours.clone().withMetadata({ orientation: 6 }).jpeg()],
    ['webp', colours.clone().webp()],
    ['webp', colours.clone().webp({ lossless: true })],
    ['webp', half.clone().webp()],
    ['webp', half.clone().webp({ lossless: true })],
    ['webp', colours.clone().keepIccProfile().withMetadata({ orientation: 3 }).webp()],
    ['gif', colours.clone().gif({ progressive: true })],
    ['gif', half.clone().gif()],
    ['tiff', colours.clone().tiff({ compression: 'jpeg', tile: true, tileWidth: 32, tileHeight: 32 })],
    ['tiff', colours.clone().tiff({ compression: 'deflate', predictor: 'horizontal' })],
    ['tiff', colours.clone().toColourspace('b-w').tiff({ compression: 'ccittfax4', bitdepth: 1 })],
    ['tiff', colours.clone().tiff({ compression: 'lzw', pyramid: true, tile: true, tileWidth: 32, tileHeight: 32 })],
  ];
  for (const [format, image] of made) seeds[format].push(await image.toBuffer());
  return seeds;
}

/** Both files of tokens of one picture, as an export writes them. */
async function seedTokens(
  client: InferenceClient,
  directory: string,
  file: Uint8Array,
): Promise<{ readonly json: Uint8Array; readonly npz: Uint8Array }> {
  const picture = await client.open({ choice: { directory, providers: ['cpu'] }, file, settings: {} });
  const { image, tokens, model, settings, analyses } = picture;
  const ranking = await analyses.rank(settings);
  const { timings, ...reconstruction } = await analyses.reconstruct(settings);
  picture.close();
  const exported = { image, tokens, model, ranking, reconstruction, timings };
  const json = new TextEncoder().encode(JSON.stringify(tokensRecord(exported)));
  return { json, npz: tokenizationNpz('x.png', exported) };
}

/** A graph of a bundle, whose mutants take its place. */
interface SeedGraph {
  readonly folder: string;
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Real graphs, and small ones whose fields are easily hit: with weights in another file, and all in one. */
async function seedGraphs(scratch: string, sound: string): Promise<SeedGraph[]> {
  const external = { location: 'weights.bin', offset: '1', length: '4' };
  const files = { 'weights.bin': Uint8Array.of(9, 1, 0, 0, 0, 9) };
  const toy = await writeToyBundle(join(scratch, 'toy'), { graphs: { encoder: { external } }, files });
  const together = await writeToyBundle(join(scratch, 'together'), { tokenizer: true });
  const small: readonly [string, ToyGraph, Uint8Array][] = [
    [toy, 'encoder', toyGraph('encoder', { external })],
    [toy, 'encoder', toyGraph('encoder', { external })],
    [toy, 'entropy', toyGraph('entropy')],
    [toy, 'decoder', toyGraph('decoder')],
    [together, 'tokenizer', toyGraph('tokenizer')],
  ];
  const seeds = small.map(([folder, graph, bytes]): SeedGraph => ({ folder, name: `${graph}.onnx`, bytes }));
  for (const name of ['encoder.onnx', 'entropy.onnx', 'decoder.onnx']) {
    seeds.push({ folder: sound, name, bytes: await readFile(join(sound, name)) });
  }
  return seeds;
}

/** A folder with the files of another, some of them others. */
async function folderLike(model: string, folder: string, files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  await mkdir(folder);
  for (const name of await readdir(model)) if (!(name in files)) await symlink(join(model, name), join(folder, name));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

/** A bundle with another graph, whose manifest has the hash of it: nothing but its content is wrong. */
async function withGraph(model: string, folder: string, name: string, bytes: Uint8Array): Promise<string> {
  const manifest = JSON.parse(await readFile(join(model, 'manifest.json'), 'utf8')) as { files: { path: string }[] };
  const files = manifest.files.map((file) => (file.path === name ? listed(name, bytes) : file));
  const text = new TextEncoder().encode(JSON.stringify({ ...manifest, files }));
  return folderLike(model, folder, { [name]: bytes, 'manifest.json': text });
}

/** One line for each image, on one of the two streams, and status 1 where any was refused. */
async function askCommandLine(cli: string, model: string, images: readonly string[]): Promise<CommandLine> {
  const args = [cli, '--model', model, '--json', '--provider', 'cpu', ...images];
  const { status, out, err } = await new Promise<{ status: unknown; out: string[]; err: string[] }>((resolve) => {
    const lines = (text: string) => text.split('\n').filter((line) => line !== '');
    execFile(process.execPath, args, { maxBuffer: 2 ** 30 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, out: lines(stdout), err: lines(stderr) });
    });
  });
  const findings: string[] = [];
  const shown = out.flatMap((line) => {
    const record: unknown = JSON.parse(line);
    return typeof record === 'object' && record !== null && 'image' in record ? [record.image] : [];
  });
  for (const image of images) {
    const lines = err.filter((line) => line.startsWith(`tatok: ${image}: `)).length;
    if (lines + shown.filter((path) => path === image).length !== 1) findings.push(`${image} has not one line`);
  }
  if (out.length + err.length !== images.length) findings.push(`lines of no image: ${err.join(' ').slice(0, 500)}`);
  if (status !== (err.length > 0 ? 1 : 0)) findings.push(`status ${String(status)}`);
  return { images: images.length, refused: err.length, findings };
}
