/**
 * Entry of the process that times single graphs and batches (dist/benchGraphs.js), where ONNX Runtime lives: without requests to
 * another process. It is forked with what to do as JSON, tells what it is doing and every batch that is timed, and waits to be ended.
 */
import { readFile } from 'node:fs/promises';
import { loadBundle } from '../engine/loadModel';
import type { ModelChoice } from '../protocol/engineMessages';
import { keepEvery, rankPatches, selectKept } from '../method/filter';
import type { DecoderInput, Graphs } from '../engine/graphs';
import { decodeImage } from '../engine/image';
import { readBundle } from '../bundle/manifest';
import { budgetOf, resolveSettings } from '../method/settings';
import type { ModelDescription } from '../method/types';
import { spread, type Spread, timed } from './spread';

export interface GraphsToTime {
  readonly choice: ModelChoice;
  readonly image: string;
  readonly batches: readonly number[];
  readonly runs: number;
  readonly warmUp: number;
}

/** Milliseconds a batch by what was done, and images a second at the median. */
export interface TimedBatch {
  readonly batch: number;
  readonly milliseconds: Readonly<Record<string, Spread>>;
  readonly imagesPerSecond: Readonly<Record<string, number>>;
}

export type GraphsMessage =
  | { readonly kind: 'doing'; readonly what: string }
  | { readonly kind: 'timed'; readonly timed: TimedBatch }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'done' };

/** Resolves when the message is out, so that it is out before native code blocks the thread. */
function tell(message: GraphsMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()));
}

/**
 * Awaited before what is timed, so that it is not in it; only the first run, which may compile or choose algorithms, tells every stage.
 * Overlapped batches are reported while they are timed, without waiting: nothing may hold up the batch that is due.
 */
function doing(what: string): Promise<void> {
  return tell({ kind: 'doing', what });
}

/** Samples in milliseconds by name. */
type Samples = Record<string, number[]>;

/** One size of batch of one picture, and how often. */
interface BatchToTime {
  readonly graphs: Graphs;
  readonly model: ModelDescription;
  /** Of the picture, encoded. */
  readonly file: Uint8Array;
  readonly batch: number;
  readonly runs: number;
  readonly warmUp: number;
}

async function* timeGraphs({ choice, image, batches, runs, warmUp }: GraphsToTime): AsyncGenerator<TimedBatch> {
  await doing('load');
  const { graphs, loaded } = await loadBundle(await readBundle(choice.directory), choice);
  const file = await readFile(image);
  for (const batch of batches) {
    const task = { graphs, model: loaded.model, file, batch, runs, warmUp };
    const samples = { ...(await timeStages(task)) };
    if (graphs.decodesBatchesAside && batch > 1) {
      samples['encode + entropy + decode, overlapped'] = await timeBatches(task);
    }
    samples['file bytes to overlays'] = await timeFiles(task);
    const spreads = Object.entries(samples).map(([name, values]) => [name, spread(values)] as const);
    yield {
      batch,
      milliseconds: Object.fromEntries(spreads),
      imagesPerSecond: Object.fromEntries(spreads.map(([name, { median }]) => [name, (1000 * batch) / median])),
    };
  }
}

/** One graph after another on the same batch, and their sums in each run; sums are of other runs where one graph does for two. */
async function timeStages(task: BatchToTime): Promise<Samples> {
  const { graphs, model, batch, runs, warmUp } = task;
  const images = await copiesOf(task);
  const visible = new Uint8Array(model.patchTokens);
  const keep = everyFourth(model);
  const samples: Samples = {};
  for (let run = 0; run < warmUp + runs; run++) {
    const first = (stage: string) => (run === 0 ? doing(`${stage}, batch ${batch}, first run`) : undefined);
    await doing(`graphs, batch ${batch}, run ${run}`);
    await first('encode');
    const encoded = await timed(() => graphs.encodeAll(images));
    const codes = encoded.value;
    const hidden = codes.map((each) => ({ codes: each, visible }));
    await first('entropy');
    const estimated = await timed(() => graphs.estimateEntropies(hidden));
    const jobs = estimated.value.flatMap(({ expectedCodes }, i) => {
      const each = codes[i];
      return each === undefined ? [] : [{ codes: each, expectedCodes, keep }];
    });
    await first('decode');
    const decoded = await timed(() => graphs.decodeAll(jobs));
    if (run < warmUp) continue;
    add(samples, 'encode', encoded.milliseconds);
    add(samples, 'entropy', estimated.milliseconds);
    add(samples, 'decode', decoded.milliseconds);
    if (!graphs.tokenizesAtOnce) {
      const tokenized = encoded.milliseconds + estimated.milliseconds;
      add(samples, 'encode + entropy', tokenized);
      add(samples, 'encode + entropy + decode', tokenized + decoded.milliseconds);
    }
  }
  if (graphs.tokenizesAtOnce) await timeTokenizer(task, images, samples);
  return samples;
}

/** The graph that stands for encoder and entropy model, and the decoder after it. */
async function timeTokenizer(task: BatchToTime, images: readonly Uint8Array[], samples: Samples): Promise<void> {
  const { graphs, model, runs, warmUp } = task;
  const keep = everyFourth(model);
  for (let run = 0; run < warmUp + runs; run++) {
    await doing(`tokenizer, batch ${images.length}, run ${run}`);
    const start = performance.now();
    const tokenized = await graphs.tokenizeAll(images);
    const estimated = performance.now();
    const jobs = tokenized.map((codes) => ({ codes, expectedCodes: codes.expectedCodes, keep }));
    await graphs.decodeAll(jobs);
    if (run < warmUp) continue;
    add(samples, 'encode + entropy', estimated - start);
    add(samples, 'encode + entropy + decode', performance.now() - start);
  }
}

/** {@link timeOverlapped} from pictures in memory. */
async function timeBatches(task: BatchToTime): Promise<number[]> {
  const { graphs, model, batch } = task;
  const images = await copiesOf(task);
  const keep = everyFourth(model);
  return timeOverlapped(task, async (run) => {
    void doing(`overlapped, batch ${batch}, run ${run}`);
    return (await graphs.tokenizeAll(images)).map((codes) => ({ codes, expectedCodes: codes.expectedCodes, keep }));
  });
}

/**
 * From encoded files to codes, entropies, kept masks and decoded pictures. While the graphs run on one batch, sharp's threads
 * decode the files of the next.
 */
async function timeFiles(task: BatchToTime): Promise<number[]> {
  const { graphs, model, file, batch } = task;
  const settings = resolveSettings({}, model);
  const budget = budgetOf(settings, model, { grid: model.grid, tiles: { rows: 1, columns: 1 } });
  const read = () => Promise.all(Array.from({ length: batch }, () => decodeImage(file, model)));
  let next = read();
  const samples = await timeOverlapped(task, async (run) => {
    void doing(`files, batch ${batch}, run ${run}`);
    const pictures = await next;
    next = read();
    const tokenized = await graphs.tokenizeAll(pictures.map(({ rgb }) => rgb));
    return tokenized.map((codes) => {
      const { keep } = model.filters
        ? selectKept(rankPatches(codes.entropyBits, model.grid, settings.edgePriority), settings.lossRate, budget)
        : keepEvery(model.patchTokens);
      return { codes, expectedCodes: codes.expectedCodes, keep };
    });
  });
  await next;
  return samples;
}

/**
 * Milliseconds from one finished batch to the next. Where batches are decoded in another thread, the next one is tokenized meanwhile, and
 * waits there for its turn.
 */
async function timeOverlapped(
  { graphs, runs, warmUp }: BatchToTime,
  tokenize: (run: number) => Promise<readonly DecoderInput[]>,
): Promise<number[]> {
  const samples: number[] = [];
  let decoding = graphs.decodeAll(await tokenize(0));
  let start = performance.now();
  for (let run = 1; run <= warmUp + runs; run++) {
    const tokenized = tokenize(run);
    const next = tokenized.then((inputs) => graphs.decodeAll(inputs));
    // It is awaited in the next turn, which does not come if this one fails.
    next.catch(() => undefined);
    await Promise.all([decoding, tokenized]);
    decoding = next;
    const now = performance.now();
    if (run > warmUp) samples.push(now - start);
    start = now;
  }
  await decoding;
  return samples;
}

async function copiesOf({ file, model, batch }: BatchToTime): Promise<Uint8Array[]> {
  const { rgb } = await decodeImage(file, model);
  return new Array<Uint8Array>(batch).fill(rgb);
}

function everyFourth({ patchTokens }: ModelDescription): Uint8Array {
  return new Uint8Array(patchTokens).map((_, i) => (i % 4 === 0 ? 1 : 0));
}

function add(samples: Samples, name: string, milliseconds: number): void {
  (samples[name] ??= []).push(milliseconds);
}

async function main(): Promise<void> {
  for await (const batch of timeGraphs(JSON.parse(process.argv[2] ?? '') as GraphsToTime)) {
    await tell({ kind: 'timed', timed: batch });
  }
}

// Nobody is left to end it.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
main().then(
  () => tell({ kind: 'done' }),
  (error: unknown) => tell({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) }),
);
