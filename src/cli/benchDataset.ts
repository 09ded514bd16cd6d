/**
 * Entry of the benchmark of token data sets (dist/benchDataset.js): images a second from files to shards beside what the graphs alone
 * allow, measured in turn in the same run; or, with `--memory`, the memory of both processes over many small images.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { Command, Option } from 'commander';
import { mean, median } from 'd3-array';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { readBundle } from '../bundle/manifest';
import { InferenceClient } from '../client/client';
import { loadBundle } from '../engine/loadModel';
import { resolveSettings } from '../method/settings';
import { roundsOf } from '../method/sequential';
import type { ModelChoice } from '../protocol/engineMessages';
import { ImageInputs } from '../tokens/inputs';
import { inputHash, TokenDataset } from '../tokens/tokenDataset';
import { tokenizeInputs } from '../tokens/tokenizeInputs';
import { modelLine } from './report';

type Ranking = 'entropy' | 'distortion';

interface Options {
  readonly model: string;
  readonly ranking: Ranking;
  readonly rounds: number;
  readonly seconds: number;
  readonly images: number;
  readonly memory: boolean;
  readonly json?: string;
}

const packageFolder = join(__dirname, '..');

/** A rate, and the processor time that an image took of all cores: the same whatever else a machine does. */
interface Speed {
  readonly imagesPerSecond: number;
  readonly processorSecondsPerImage: number;
}

/** The runs of graphs that an image takes, one batch after another for some seconds, and nothing else. */
async function timeGraphs(choice: ModelChoice, ranking: Ranking, seconds: number): Promise<Speed> {
  const { graphs, batching, loaded } = await loadBundle(await readBundle(choice.directory), choice);
  const { imageSize, patchTokens } = loaded.model;
  const pixels = 3 * imageSize.width * imageSize.height;
  const images = Array.from({ length: batching.batchSize }, (_, i) => new Uint8Array(pixels).fill(97 * i));
  const visible = new Uint8Array(patchTokens);
  const keep = new Uint8Array(patchTokens).map((_, i) => (i % 4 === 0 ? 1 : 0));
  // Ranked in rounds: an estimate in each, a decoding in each and one with every patch, and both again of what is kept.
  const [estimates, decodings] =
    ranking === 'entropy' ? [1, 0] : [roundsOf({ ranking }) + 1, roundsOf({ ranking }) + 2];
  let done = 0;
  let start = 0;
  let before = process.cpuUsage();
  // The first batch is not counted.
  for (let batch = 0; start === 0 || performance.now() - start < 1000 * seconds; batch++) {
    const codes = await graphs.encodeAll(images);
    let expected = await graphs.estimateEntropies(codes.map((each) => ({ codes: each, visible })));
    for (let i = 1; i < estimates; i++) {
      expected = await graphs.estimateEntropies(codes.map((each) => ({ codes: each, visible: keep })));
    }
    const inputs = codes.map((each, i) => ({
      codes: each,
      expectedCodes: expected[i]?.expectedCodes ?? new Float32Array(),
      keep,
    }));
    for (let i = 0; i < decodings; i++) await graphs.decodeAll(inputs);
    if (batch === 0) [start, before] = [performance.now(), process.cpuUsage()];
    else done += images.length;
  }
  const { user, system } = process.cpuUsage(before);
  return {
    imagesPerSecond: (1000 * done) / (performance.now() - start),
    processorSecondsPerImage: (user + system) / 1e6 / done,
  };
}

/** Makes a data set in a folder that is deleted. @param onImages told how many images are done. */
async function makeDataset(
  inputs: Pick<ImageInputs, 'count' | 'at'>,
  choice: ModelChoice,
  workers: number,
  ranking: Ranking,
  onImages: (done: number) => void = () => undefined,
): Promise<Speed> {
  const modulePath = join(__dirname, 'inference.js');
  const clients = Array.from({ length: workers }, () => new InferenceClient({ modulePath }));
  const folder = await mkdtemp(join(tmpdir(), 'tatok-bench-'));
  try {
    const [loaded] = await Promise.all(clients.map((client) => client.prepareBatches(choice)));
    if (loaded === undefined) throw new RangeError('there is no worker');
    const { model, batchSize, precision, provider } = loaded;
    const dataset = await TokenDataset.begin(folder, {
      format: 'tatok-tokens',
      version: 1,
      model: { name: model.name, hash: model.hash },
      grid: [model.grid.rows, model.grid.columns],
      globalTokens: model.globalTokens,
      settings: {},
      provider: provider.provider,
      precision,
      batchSize,
      crop: 'centre',
      input: { count: inputs.count, hash: inputHash([]) },
      shardSize: 1024,
    });
    const settings = resolveSettings({ ranking }, model);
    const quality = ranking === 'distortion';
    let done = 0;
    const start = performance.now();
    const before = await processorSeconds();
    await tokenizeInputs({
      dataset,
      inputs,
      maker: { model, choice, settings, provider: provider.provider, batchSize, entropies: true, quality },
      clients,
      stop: new AbortController().signal,
      onRows: ({ length }) => onImages((done += length)),
    });
    return {
      imagesPerSecond: (1000 * inputs.count) / (performance.now() - start),
      processorSecondsPerImage: ((await processorSeconds()) - before) / inputs.count,
    };
  } finally {
    await Promise.all(clients.map((client) => client.dispose()));
    await rm(folder, { recursive: true });
  }
}

/** Graphs alone and whole data sets in turn, so that what else the machine does falls on both. */
async function measureSpeed(folder: string, options: Options) {
  const all = await ImageInputs.list([folder]);
  const inputs = { count: Math.min(all.count, options.images), at: (index: number) => all.at(index) };
  const cores = availableParallelism();
  const choice = { directory: resolve(options.model), providers: ['cpu'], threads: cores };
  const rounds: Record<'graphs' | 'one worker' | 'two workers', Speed>[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const task = JSON.stringify({ choice, ranking: options.ranking, seconds: options.seconds });
    const alone = await promisify(execFile)(process.execPath, [__filename, '--graphs', task]);
    const one = await makeDataset(inputs, choice, 1, options.ranking);
    const each = { ...choice, threads: Math.max(1, Math.floor(cores / 2)) };
    const two = await makeDataset(inputs, each, 2, options.ranking);
    const round = { graphs: JSON.parse(alone.stdout) as Speed, 'one worker': one, 'two workers': two };
    rounds.push(round);
    console.log(
      Object.entries(round)
        .map(
          ([name, { imagesPerSecond, processorSecondsPerImage }]) =>
            `${name} ${imagesPerSecond.toFixed(2)} images/s, ${(1000 * processorSecondsPerImage).toFixed(0)} ms of a core each`,
        )
        .join('; '),
    );
  }
  const shares = (['one worker', 'two workers'] as const).map((name) => {
    const rate = median(rounds, (round) => round[name].imagesPerSecond / round.graphs.imagesPerSecond);
    const processor = median(
      rounds,
      ({ graphs, [name]: made }) => graphs.processorSecondsPerImage / made.processorSecondsPerImage,
    );
    return [name, { rate, processor }] as const;
  });
  const shareOfGraphs = Object.fromEntries(shares);
  console.log(`share of what the graphs allow, median: ${JSON.stringify(shareOfGraphs)}`);
  return { ranking: options.ranking, images: inputs.count, rounds, shareOfGraphs };
}

/** Numbers of the inference processes. */
function inferenceProcesses(): number[] {
  const processes = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  return processes.split('\n').flatMap((line) => (line.includes('inference.js') ? [Number.parseInt(line, 10)] : []));
}

/** Of this process and of the inference processes, since they began. Linux counts them in hundredths. */
async function processorSeconds(): Promise<number> {
  const { user, system } = process.cpuUsage();
  let seconds = (user + system) / 1e6;
  for (const id of inferenceProcesses()) {
    // The name, in brackets, may hold spaces; user and system time are the 12th and 13th field after it.
    const fields = (await readFile(`/proc/${id}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
    seconds += (Number(fields[11]) + Number(fields[12])) / 100;
  }
  return seconds;
}

/** Resident memory of this process and of the inference process, MiB. */
function memory(): { readonly own: number; readonly inference: number } {
  const [id = 0] = inferenceProcesses();
  const kibibytes = execFileSync('ps', ['-o', 'rss=', '-p', String(id)], { encoding: 'utf8' });
  return {
    own: Math.round(process.memoryUsage.rss() / 2 ** 20),
    inference: Math.round(Number(kibibytes) / 2 ** 10),
  };
}

/** A tar of small pictures of one colour each. */
async function writeTar(path: string, images: number): Promise<void> {
  const tar = pack();
  const writing = pipeline(tar, createWriteStream(path));
  for (let i = 0; i < images; i++) {
    const background = { r: i % 256, g: (i >> 8) % 256, b: (7 * i) % 256 };
    const png = await sharp({ create: { width: 64, height: 64, channels: 3, background } })
      .png()
      .toBuffer();
    await new Promise<void>((written, failed) => {
      tar.entry({ name: `${i}.png` }, png, (error) => (error ? failed(error) : written()));
    });
  }
  tar.finalize();
  await writing;
}

async function measureMemory(options: Options) {
  const folder = await mkdtemp(join(tmpdir(), 'tatok-bench-'));
  try {
    const archive = join(folder, 'small.tar');
    await writeTar(archive, options.images);
    const inputs = await ImageInputs.list([archive]);
    const choice = { directory: resolve(options.model), providers: ['cpu'], threads: availableParallelism() };
    const samples: { images: number; own: number; inference: number }[] = [];
    const step = Math.ceil(options.images / 20);
    const made = await makeDataset(inputs, choice, 1, 'entropy', (done) => {
      if (done < step * (samples.length + 1)) return;
      samples.push({ images: done, ...memory() });
      const { own, inference } = samples.at(-1) ?? { own: 0, inference: 0 };
      console.log(`${done} images: ${own} MiB and, in the inference process, ${inference} MiB`);
    });
    const half = (from: number, key: 'own' | 'inference') =>
      mean(samples.slice(from, from + samples.length / 2), (sample) => sample[key]);
    const [first, second] = [0, samples.length / 2].map((from) => ({
      own: half(from, 'own'),
      inference: half(from, 'inference'),
    }));
    return { images: options.images, imagesPerSecond: made.imagesPerSecond, meanMiB: { first, second }, samples };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const command = new Command('bench:dataset')
    .description('Times token data sets beside the graphs alone, or measures memory over many small images.')
    .argument('[images]', 'folder, tar or list of photographs', join(packageFolder, 'media', 'samples'))
    .option('--model <DIR>', 'folder of a model bundle', join(packageFolder, 'models', 'tatok-s-256'))
    .addOption(
      new Option('--ranking <CRITERION>', 'by distortion with PSNR and SSIM')
        .choices(['entropy', 'distortion'])
        .default('entropy'),
    )
    .option('--rounds <N>', 'times that all is measured', Number, 5)
    .option('--seconds <S>', 'of the graphs alone, each time', Number, 15)
    .option('--images <N>', 'at most', Number, 128)
    .option('--memory', 'resident memory over so many images of 64×64 pixels', false)
    .option('--json <FILE>', 'write the figures with the machine to a file')
    .parse();
  const options = command.opts<Options>();
  const { model } = await readBundle(resolve(options.model));
  console.log(modelLine({ model, provider: { provider: 'cpu', failures: [] } }));
  const figures = options.memory
    ? await measureMemory(options)
    : await measureSpeed(command.processedArgs[0] as string, options);
  if (options.json === undefined) return;
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version };
  const { name, version } = model;
  await writeFile(options.json, `${JSON.stringify({ machine, model: name, version, ...figures }, null, 2)}\n`);
}

/** In a process of its own, as the inference process is. */
async function graphsOnly(task: string): Promise<void> {
  const { choice, ranking, seconds } = JSON.parse(task) as { choice: ModelChoice; ranking: Ranking; seconds: number };
  process.stdout.write(JSON.stringify(await timeGraphs(choice, ranking, seconds)));
}

const [mode, task = ''] = process.argv.slice(2);
(mode === '--graphs' ? graphsOnly(task) : main()).catch((error: unknown) => {
  console.error(`tatok: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
