/** Entry of the command line (dist/cli.js): tokenizes images for scripts and tests, makes token data sets, decodes and checks them. */
import { join, resolve } from 'node:path';
import { InferenceClient } from '../client/client';
import { describeParts, hasPart } from '../method/parts';
import { findBudgets } from './collectionBudgets';
import { cudaOptionsIn } from './cudaOptions';
import { decodeTokens } from './decodeTokens';
import { parseOptions, Usage, type CliOptions, type ImagesOptions } from './options';
import { OutputFolder } from './output';
import type { StageTimings } from '../method/types';
import { jsonRecord, modelLine, summary, terminalLine } from './report';
import { complain, print } from './terminal';
import { tokenizeDataset } from './tokenizeDataset';
import { readImage } from '../tokens/inputs';
import { sentenceOf } from '../tokens/tokenizeInputs';
import { verifyDataset } from './verifyDataset';

const packageFolder = join(__dirname, '..');

/** Tokenizes every image; one that fails is reported in one line and the others are still done. Resolves to the exit status. */
async function tokenizeImages(options: ImagesOptions, directory: string, client: InferenceClient): Promise<0 | 1> {
  const choice = { directory, providers: [options.provider] };
  const start = performance.now();
  const loaded = await client.loadModel(choice);
  // Counted with the first image, because a user waits for both.
  let load: StageTimings = { load: performance.now() - start };
  if (!options.json) print(terminalLine(modelLine(loaded)));
  if (!hasPart(loaded.model, 'rates') && Object.keys(options.settings).length > 0) {
    complain(`${loaded.model.name} can drop nothing, so that every token is kept: ${describeParts(loaded.model)}.`);
  }
  const out = options.out === undefined ? undefined : new OutputFolder(options.out);
  let status: 0 | 1 = 0;
  for (const image of options.images) {
    try {
      const { settings, cropMode } = options;
      const file = await readImage(image);
      const tokenized = await client.tokenize({ choice, file, settings, cropMode });
      const result = { ...tokenized, timings: { ...load, ...tokenized.timings } };
      load = {};
      await out?.write(image, file, result);
      print(options.json ? JSON.stringify(jsonRecord(image, result)) : terminalLine(summary(image, result)));
    } catch (error) {
      complain(`${image}: ${sentenceOf(error)}`);
      status = 1;
    }
  }
  return status;
}

/** Does what was asked for. Resolves to the exit status. */
async function run(options: CliOptions): Promise<number> {
  const clients: InferenceClient[] = [];
  const start = (): InferenceClient => {
    const client = new InferenceClient({
      modulePath: join(__dirname, 'inference.js'),
      cuda: () => cudaOptionsIn(packageFolder),
      stepLimitMs: () => (options.timeLimit === null ? undefined : 1000 * options.timeLimit),
    });
    clients.push(client);
    return client;
  };
  const directory = resolve(options.model ?? join(packageFolder, 'models', 'tatok-s-256'));
  try {
    switch (options.command) {
      case 'images':
        return await tokenizeImages(options, directory, start());
      case 'dataset':
        return await tokenizeDataset(options, directory, start);
      case 'decode':
        return await decodeTokens(options, directory, start);
      case 'verify':
        return await verifyDataset(options, directory, start());
      case 'budget':
        return await findBudgets(options, directory);
    }
  } finally {
    await Promise.all(clients.map((client) => client.dispose()));
  }
}

async function main(): Promise<number> {
  try {
    return await run(parseOptions(process.argv.slice(2)));
  } catch (error) {
    if (!(error instanceof Usage)) throw error;
    (error.exitStatus === 0 ? process.stdout : process.stderr).write(`${error.message}\n`);
    return error.exitStatus;
  }
}

// A reader such as head that has seen enough is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  complain(sentenceOf(error));
  process.exit(1);
});

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    complain(sentenceOf(error));
    process.exitCode = 1;
  },
);
