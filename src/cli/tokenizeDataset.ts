/** `--dataset`: tokens of many images into a folder that can be gone on with. */
import { availableParallelism } from 'node:os';
import { dirname, relative, resolve } from 'node:path';
import type { InferenceClient } from '../client/client';
import { TatokError } from '../method/errors';
import { recordOf, resolveSettings } from '../method/settings';
import { ImageInputs } from '../tokens/inputs';
import { inputHash, isTokenDataset, TokenDataset } from '../tokens/tokenDataset';
import { tokenizeInputs } from '../tokens/tokenizeInputs';
import { defaultShardSize, type DatasetOptions } from './options';
import { modelLine, terminalLine } from './report';
import { complain, counted, durationText, grouped, ImageProgress, print } from './terminal';

/** The exit status of a shell's command that was interrupted. */
const interrupted = 130;

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
  const threads = begun?.threads ?? Math.max(1, Math.floor(availableParallelism() / options.workers));
  const provider = options.provider === 'auto' ? (begun?.provider ?? 'auto') : options.provider;
  const choice = { directory, providers: [provider], threads };
  const clients = Array.from({ length: options.workers }, start);
  const [first] = clients;
  if (first === undefined) throw new RangeError('there is no worker');
  const loaded = await first.prepareBatches(choice);
  const { model } = loaded;
  print(terminalLine(modelLine(loaded)));
  const settings = resolveSettings(options.settings, model);
  const { entropies, quality } = options;
  const dataset = await TokenDataset.begin(folder, {
    format: 'tatok-tokens',
    version: 1,
    model: { name: model.name, version: model.version, hash: model.hash },
    image: [model.imageSize, model.imageSize],
    grid: [model.grid.rows, model.grid.columns],
    globalTokens: model.globalTokens,
    codebookSize: model.codebookSize,
    settings: model.filters ? recordOf(settings) : {},
    provider: loaded.provider.provider,
    precision: loaded.precision,
    batchSize: loaded.batchSize,
    threads,
    crop: 'centre',
    columns: { entropies, quality },
    input: {
      count: inputs.count,
      hash: inputHash(pathsOf(inputs)),
      sources: options.inputs.map((input) => relative(dirname(folder), resolve(input)) || '.'),
    },
    shardSize: options.shardSize ?? begun?.shardSize ?? defaultShardSize,
  });
  const { rows: before } = dataset.counts;
  if (before > 0) print(`${terminalLine(options.dataset)} has ${grouped(before)} of ${grouped(inputs.count)} images.`);
  const progress = new ImageProgress(inputs.count, before);
  const stop = stopOnSignals(() => progress.end());
  const reasons: string[] = [];
  try {
    await tokenizeInputs({
      dataset,
      inputs,
      maker: {
        model,
        choice,
        settings,
        provider: dataset.recipe.provider,
        batchSize: dataset.recipe.batchSize,
        entropies,
        quality,
      },
      clients,
      stop: stop.signal,
      onRows: (rows) => {
        const failed = rows.filter(({ error }) => error !== null);
        for (const { path, error } of failed) if (reasons.length < mostReasons) reasons.push(`${path}: ${error ?? ''}`);
        progress.add(rows.length, failed.length);
      },
    });
  } finally {
    progress.end();
    stop.dispose();
  }
  return report(options, dataset, progress, reasons);
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
  print(`${name}: ${counted(rows, 'image')}, ${grouped(failed)} of them failed; ${progress.rate.toFixed(1)} images/s`);
  if (failed === 0) return 0;
  complain(`${counted(failed, 'image')} of ${grouped(rows)} without tokens; the column error says why.`);
  return 1;
}

function* pathsOf(inputs: ImageInputs): Generator<string> {
  for (const { path } of inputs) yield path;
}

/** The first signal ends the run after the open shards, the second one at once. */
function stopOnSignals(makeRoom: () => void): { readonly signal: AbortSignal; dispose(): void } {
  const stopping = new AbortController();
  const stop = (): void => {
    if (stopping.signal.aborted) process.exit(interrupted);
    stopping.abort();
    makeRoom();
    complain('Finishing the shard that is open; interrupt again to stop at once, which loses it.');
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
