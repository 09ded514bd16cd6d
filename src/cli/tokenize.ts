/** Entry of the command line (dist/cli.js): tokenizes images for scripts and tests. */
import { join, resolve } from 'node:path';
import { FileTooLarge, readRegular } from '../bundle/regularFile';
import { InferenceClient } from '../client/client';
import { TatokError } from '../method/errors';
import { mostFileBytes, requireFileSize } from '../method/imageLimits';
import { describeParts } from '../method/parts';
import { cudaOptionsIn } from './cudaOptions';
import { parseOptions, Usage, type CliOptions } from './options';
import { OutputFolder } from './output';
import type { StageTimings } from '../method/types';
import { jsonRecord, modelLine, summary, terminalLine } from './report';

const packageFolder = join(__dirname, '..');

/** Tokenizes every image; one that fails is reported in one line and the others are still done. Resolves to the exit status. */
async function tokenizeImages(options: CliOptions, client: InferenceClient): Promise<0 | 1> {
  const choice = {
    directory: resolve(options.model ?? join(packageFolder, 'models', 'tatok-s-256')),
    providers: [options.provider],
  };
  const start = performance.now();
  const loaded = await client.loadModel(choice);
  // Counted with the first image, because a user waits for both.
  let load: StageTimings = { load: performance.now() - start };
  if (!options.json) print(terminalLine(modelLine(loaded)));
  if (!loaded.model.filters && Object.keys(options.settings).length > 0) {
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
      complain(`${image}: ${reasonOf(error)}`);
      status = 1;
    }
  }
  return status;
}

/** @throws TatokError for a file that is too large, otherwise as {@link readRegular}. */
function readImage(path: string): Promise<Uint8Array> {
  return readRegular(path, mostFileBytes).catch((error: unknown) => {
    if (error instanceof FileTooLarge) requireFileSize(error.bytes);
    throw error;
  });
}

async function main(): Promise<number> {
  let options: CliOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof Usage)) throw error;
    (error.exitStatus === 0 ? process.stdout : process.stderr).write(`${error.message}\n`);
    return error.exitStatus;
  }
  const client = new InferenceClient({
    modulePath: join(__dirname, 'inference.js'),
    cuda: () => cudaOptionsIn(packageFolder),
    stepLimitMs: () => (options.timeLimit === null ? undefined : 1000 * options.timeLimit),
  });
  try {
    return await tokenizeImages(options, client);
  } finally {
    await client.dispose();
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function complain(line: string): void {
  process.stderr.write(`tatok: ${terminalLine(line)}\n`);
}

/** The problem and the next step, in one line, with plain words in place of the system's codes. */
function reasonOf(error: unknown): string {
  if (error instanceof TatokError)
    return error.advice === undefined ? error.message : `${error.message} ${error.advice}`;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'There is no such file.';
  if (code === 'EISDIR') return 'It is a folder, not an image.';
  if (code === 'EACCES') return 'It may not be read or written.';
  return error instanceof Error ? error.message : String(error);
}

// A reader such as head that has seen enough is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  complain(reasonOf(error));
  process.exit(1);
});

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    complain(reasonOf(error));
    process.exitCode = 1;
  },
);
