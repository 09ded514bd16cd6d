/** Entry of the benchmark (dist/bench.js): median and spread of every stage, through the same inference process users have. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { InferenceClient, type OpenedPicture } from '../client/client';
import { cudaVariables } from '../cuda/environment';
import type { LoadedModel, ModelChoice } from '../protocol/engineMessages';
import { force, noEdits } from '../method/edits';
import { rankingCriteria, type RankingCriterion, type StageTimings } from '../method/types';
import type { GraphsToTime, TimedBatch } from './benchGraphs';
import { cudaOptionsIn } from './cudaOptions';
import { timeGraphsIn } from './graphsProcess';
import { spread, type Spread, timed } from './spread';

interface BenchOptions {
  readonly provider: string;
  readonly model?: string;
  readonly runs: number;
  readonly warmUp: number;
  readonly batches?: readonly number[];
  readonly ranking?: RankingCriterion;
  readonly stall: number;
  readonly json?: string;
}

const packageFolder = join(__dirname, '..');

async function measure(client: InferenceClient, choice: ModelChoice, image: string, options: BenchOptions) {
  const { ranking } = options;
  const settings = ranking === undefined ? {} : { ranking };
  const file = await readFile(image);
  const coldStart = performance.now();
  const loaded = await client.loadModel(choice);
  const load = performance.now() - coldStart;
  const first = await timed(() => client.open({ choice, file, settings }));
  first.value.close();
  const samples = new Map<string, number[]>();
  for (let run = 0; run < options.warmUp + options.runs; run++) {
    const opened = await timed(() => client.open({ choice, file, settings }));
    // Ranks the patches, which a slider does not ask for again.
    const shown = await timed(() => opened.value.analyses.reconstruct(opened.value.settings));
    const again = await timed(() => reconstructAgain(opened.value));
    const forced = await timed(() => reconstructForced(opened.value, shown.value.keep));
    opened.value.close();
    if (run < options.warmUp) continue;
    record(samples, 'tokenize: ', opened.value.timings);
    add(samples, 'tokenize, request to answer', opened.milliseconds);
    record(samples, 'first reconstruction: ', shown.value.timings);
    add(samples, 'first reconstruction, request to answer', shown.milliseconds);
    record(samples, 'reconstruct: ', again.value.timings);
    add(samples, 'reconstruct, request to answer', again.milliseconds);
    record(samples, 'forced patch: ', forced.value.timings);
    add(samples, 'forced patch, request to answer', forced.milliseconds);
  }
  const spreads = Object.fromEntries([...samples].map(([name, values]) => [name, spread(values)]));
  return { loaded, cold: { 'start and load': load, 'first tokenize': first.milliseconds }, warm: spreads };
}

/** The request of a released slider: the same tokens under another loss rate. */
function reconstructAgain({ analyses, settings }: OpenedPicture) {
  return analyses.reconstruct({ ...settings, lossRate: settings.lossRate / 2 });
}

/** The request of a patch that is kept by hand; at most two decodings and 50 ms. */
function reconstructForced({ analyses, settings }: OpenedPicture, keep: Uint8Array) {
  return analyses.reconstruct({ ...settings, edits: force(noEdits, [Math.max(0, keep.indexOf(0))], 'keep') });
}

function record(samples: Map<string, number[]>, prefix: string, timings: StageTimings): void {
  for (const [stage, milliseconds] of Object.entries(timings)) add(samples, prefix + stage, milliseconds);
}

function add(samples: Map<string, number[]>, name: string, value: number): void {
  samples.set(name, [...(samples.get(name) ?? []), value]);
}

/** Times the graphs alone, in a process of their own that finds CUDA as the inference process does. */
async function timeGraphs(task: GraphsToTime, stallMs: number, onTimed: (timed: TimedBatch) => void): Promise<void> {
  const modulePath = join(__dirname, 'benchGraphs.js');
  const env = { ...process.env, ...(await cudaVariables(cudaOptionsIn(packageFolder), modulePath)) };
  await timeGraphsIn(modulePath, task, { env, stallMs, onTimed });
}

const longestName = 'first reconstruction, request to answer'.length;

function table(warm: Readonly<Record<string, Spread>>): string {
  const cell = (value: number) => value.toFixed(2).padStart(10);
  const rows = Object.entries(warm).map(
    ([name, { least, median, p90, most }]) => name.padEnd(longestName) + [median, least, p90, most].map(cell).join(''),
  );
  const header = ['median', 'least', '90 %', 'most'].map((name) => name.padStart(10)).join('');
  return [`${'ms'.padEnd(longestName)}${header}`, ...rows].join('\n');
}

function batchTable({ batch, milliseconds, imagesPerSecond }: TimedBatch): string {
  const rates = Object.entries(imagesPerSecond).map(([name, rate]) => `${name}: ${rate.toFixed(1)} images/s`);
  return [`\nGraphs alone, batch ${batch}`, table(milliseconds), ...rates].join('\n');
}

function machine({ provider, model }: LoadedModel) {
  const [cpu] = cpus();
  const node = process.version;
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    node,
    provider,
    model: model.name,
    version: model.version,
  };
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a whole number.');
}

function batchSizes(text: string): number[] {
  const sizes = text.split(',').map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size > 0)) return sizes;
  throw new InvalidArgumentError('It must be whole numbers with commas between them.');
}

async function main(): Promise<void> {
  const command = new Command('bench')
    .description('Times the pipeline, stage by stage, through the inference process.')
    .argument('[image]', 'photograph to tokenize', join(packageFolder, 'media', 'samples', 'kodim23.png'))
    .addOption(new Option('--provider <NAME>', 'execution provider').choices(['auto', 'cuda', 'cpu']).default('cpu'))
    .option('--model <DIR>', 'folder of a model bundle')
    .option('--runs <N>', 'counted runs', count, 20)
    .option('--warm-up <N>', 'runs before those', count, 3)
    .addOption(new Option('--ranking <CRITERION>', "default: the model's").choices(rankingCriteria))
    .option('--batches <N,N,…>', 'also time the graphs alone, in batches of these sizes', batchSizes)
    .option('--stall <S>', 'seconds without a sign after which the graphs are given up', count, 120)
    .option('--json <FILE>', 'write the figures with the machine to a file')
    .parse();
  const options = command.opts<BenchOptions>();
  const image = command.processedArgs[0] as string;
  const directory = resolve(options.model ?? join(packageFolder, 'models', 'tatok-s-256'));
  const client = new InferenceClient({
    modulePath: join(__dirname, 'inference.js'),
    cuda: () => cudaOptionsIn(packageFolder),
  });
  try {
    const choice = { directory, providers: [options.provider] };
    const { loaded, ...figures } = await measure(client, choice, image, options);
    const result = { image: basename(image), runs: options.runs, machine: machine(loaded), ...figures };
    console.log(
      `${loaded.model.name} on ${loaded.provider.provider}, ${options.runs} runs, batch 1, ${basename(image)}`,
    );
    for (const [name, milliseconds] of Object.entries(result.cold))
      console.log(`${name}: ${milliseconds.toFixed(0)} ms`);
    console.log(table(result.warm));
    await client.stop();
    const { batches = [], runs, warmUp } = options;
    const graphs: TimedBatch[] = [];
    try {
      if (batches.length > 0) {
        await timeGraphs({ choice, image, batches, runs, warmUp }, 1000 * options.stall, (timed) => {
          graphs.push(timed);
          console.log(batchTable(timed));
        });
      }
    } finally {
      if (options.json !== undefined) {
        await writeFile(options.json, `${JSON.stringify({ ...result, graphs }, null, 2)}\n`);
      }
    }
  } finally {
    await client.dispose();
  }
}

main().catch((error: unknown) => {
  console.error(`tatok: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
