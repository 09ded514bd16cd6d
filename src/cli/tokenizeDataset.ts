/** `--dataset`: tokens of many images into a folder that can be gone on with. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { InferenceClient } from '../client/client';
import { TatokError } from '../method/errors';
import { resolveSettings } from '../method/settings';
import { recipeOf } from '../tokens/datasetRecipe';
import { ImageInputs } from '../tokens/inputs';
import { isTokenDataset, TokenDataset } from '../tokens/tokenDataset';
import { tokenizeInputs } from '../tokens/tokenizeInputs';
import { defaultShardSize, type DatasetOptions } from './options';
import { modelLine, terminalLine } from './report';
import { complain, counted, durationText, grouped, ImageProgress, print, rateText } from './terminal';

/** The exit status of a shell's command that was interrupted. */
const interrupted = 130;

/**
 * Processes on the CPU unless asked for otherwise: on two cores, two of one thread made a fifth more images a second than one of two. Each has
 * the model in memory.
 */
const mostWorkers = 4;

/** How many reasons of failed images are printed; all are in the rows. */
const mostReasons = 5;

/**
 * @param start another inference process.
 * @returns the exit status: 1 if any image failed.
 * @throws TatokError of the inputs, the model or the folder.
 */
export async function tokenizeDataset(
  options: DatasetOptions,
  directory: string,
  start: () => InferenceClient,
): Promise<number> {
  const inputs = await ImageInputs.list(options.inputs);
  if (inputs.count === 0) throw new TatokError('input-unreadable', 'There are no images among the inputs.');
  const folder = resolve(options.dataset);
  const begun = (await isTokenDataset(folder)) ? (await TokenDataset.open(folder)).recipe : undefined;
  // The numbers of threads and of images in a batch may change how kernels round.
  const cores = availableParallelism();
  const threads = begun?.threads ?? Math.max(1, Math.floor(cores / (options.workers ?? Math.min(cores, mostWorkers))));
  const provider = options.provider === 'auto' ? (begun?.provider ?? 'auto') : options.provider;
  const choice = { directory, providers: [provider], threads };
  const first = start();
  const loaded = await first.prepareBatches(choice);
  const workers = options.workers ?? workersFor(loaded.provider.provider, threads);
  const clients = [first, ...Array.from({ length: workers - 1 }, start)];
  const { model } = loaded;
  print(terminalLine(modelLine(loaded)));
  const settings = resolveSettings(options.settings, model);
  const { entropies, quality } = options;
  let progress: ImageProgress | undefined;
  const reasons: string[] = [];
  const stop = stopOnSignals(() => progress?.end());
  try {
    const dataset = await TokenDataset.begin(
      folder,
      recipeOf({
        loaded,
        settings,
        columns: { entropies, quality },
        inputs,
        sources: options.inputs,
        folder,
        shardSize: options.shardSize ?? begun?.shardSize ?? defaultShardSize,
        threads,
      }),
    );
    const { rows: before } = dataset.counts;
    if (before > 0)
      print(`${terminalLine(options.dataset)} has ${grouped(before)} of ${grouped(inputs.count)} images.`);
    const shown = (progress = new ImageProgress(inputs.count, before));
    const { provider: made, batchSize } = dataset.recipe;
    await tokenizeInputs({
      dataset,
      inputs,
      maker: { model, choice, settings, provider: made, batchSize, entropies, quality },
      clients,
      stop: stop.signal,
      onRows: (rows) => {
        const failed = rows.filter(({ error }) => error !== null);
        for (const { path, error } of failed) if (reasons.length < mostReasons) reasons.push(`${path}: ${error ?? ''}`);
        shown.add(rows.length, failed.length);
      },
    });
    shown.end();
    return report(options, dataset, shown, reasons);
  } finally {
    progress?.end();
    stop.dispose();
  }
}

function report(
  options: DatasetOptions,
  dataset: TokenDataset,
  progress: ImageProgress,
  reasons: readonly string[],
): number {
  const { rows, failed } = dataset.counts;
  const { count } = dataset.recipe.input;
  const name = terminalLine(options.dataset);
  if (dataset.absent.length > 0) {
    const left = durationText((count - rows) / progress.rate);
    complain(
      `Stopped: ${name} has ${grouped(rows)} of ${grouped(count)} images, about ${left} are left. ` +
        'The same command goes on from there.',
    );
    return interrupted;
  }
  for (const reason of reasons) complain(reason);
  const rate = progress.rate > 0 ? `; ${rateText(progress.rate)} images/s` : '';
  print(`${name}: ${counted(rows, 'image')}, ${grouped(failed)} of them failed${rate}`);
  if (failed === 0) return 0;
  complain(`${counted(failed, 'image')} of ${grouped(rows)} without tokens; the column error says why.`);
  return 1;
}

/** Processes that suit a provider: as many as there are cores for, and one for a GPU. */
export function workersFor(provider: string, threads: number | undefined): number {
  if (provider !== 'cpu' || threads === undefined) return 1;
  return Math.max(1, Math.min(mostWorkers, Math.floor(availableParallelism() / threads)));
}

/** The first signal ends the run after the open shards, the second one at once. */
function stopOnSignals(makeRoom: () => void): { readonly signal: AbortSignal; dispose(): void } {
  const stopping = new AbortController();
  const stop = (): void => {
    if (stopping.signal.aborted) process.exit(interrupted);
    stopping.abort();
    makeRoom();
    complain('Stopping when the open shard is whole; interrupt again to stop at once, which loses it.');
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, stop);
  return {
    signal: stopping.signal,
    dispose: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}
