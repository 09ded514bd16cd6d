/** Models that no exporter would write: they are refused in one sentence that says what is wrong with them, and where. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CancellationTokenSource, type CancellationToken } from 'vscode-jsonrpc/node';
import { readBundle } from '../../src/bundle/manifest';
import { Engine } from '../../src/engine/engine';
import { InferenceClient, type InferenceClientOptions } from '../../src/client/client';
import { cudaDirectoryVariable } from '../../src/cuda/environment';
import type { RankingCriterion, Stage } from '../../src/method/types';
import { watchedClient } from '../fuzz/watched';
import { writeToyBundle, type ToyBundle, type ToyGraph } from '../onnxGraphs';
import { refusalOf } from '../unit/refusal';
import { bundleFor } from './support';

let modulePath: string;
let folder: string;
let file: Uint8Array;
let models = 0;
const clients: InferenceClient[] = [];

beforeAll(async () => {
  modulePath = join(await bundleFor('hostile-models'), 'inference.js');
  folder = await mkdtemp(join(tmpdir(), 'tatok-hostile-'));
  file = await sharp({ create: { width: 32, height: 32, channels: 3, background: '#468' } })
    .png()
    .toBuffer();
});

afterEach(() => Promise.all(clients.splice(0).map((client) => client.dispose())));
afterAll(() => rm(folder, { recursive: true }));

function client(options: Partial<InferenceClientOptions> = {}): InferenceClient {
  const created = new InferenceClient({ modulePath, ...options });
  clients.push(created);
  return created;
}

const model = (bundle?: ToyBundle) => writeToyBundle(join(folder, `model-${models++}`), bundle);

/** All that the page asks of an image: every graph runs. */
async function askEverything(inference: InferenceClient, directory: string, providers: readonly string[]) {
  const choice = { directory, providers };
  const { tokens, settings, provider, analyses } = await inference.open({ choice, file, settings: {} });
  const reconstruction = await analyses.reconstruct(settings);
  const attention = await analyses.attention({ tile: 0, layer: 0, head: 'mean' });
  return { tokens, reconstruction, attention, provider };
}

describe('Weights of a graph in another file', () => {
  it('are loaded as they were verified', async () => {
    // The encoder's code of every patch is the four bytes from the second on: 1, as a little-endian int32.
    const external = { location: 'weights.bin', offset: '1', length: '4' };
    const files = { 'weights.bin': Uint8Array.of(9, 1, 0, 0, 0, 9) };
    const directory = await model({ graphs: { encoder: { external } }, files });
    const { tokens } = await client().tokenize({ choice: { directory, providers: ['cpu'] }, file, settings: {} });
    expect([...tokens.globalCodes]).toEqual([1]);
  });

  it('are refused in one sentence where the manifest does not list them', async () => {
    const directory = await model({ graphs: { encoder: { external: { location: '../weights.bin', length: '4' } } } });
    const error = await refusalOf(() => client().loadModel({ directory, providers: ['cpu'] }));
    expect(error.code).toBe('model-invalid');
    expect(error.message).toContain('"../weights.bin", which the manifest does not list under its files.');
  });
});

describe('Work that never ends', () => {
  const stuck: [string, ToyBundle, Stage][] = [
    ['an encoder', { graphs: { encoder: { endless: true } } }, 'encode'],
    ['an entropy model', { graphs: { entropy: { endless: true } } }, 'entropy'],
    ['a decoder', { graphs: { decoder: { endless: true } } }, 'decode'],
    ['an encoder with the entropy model', { graphs: { tokenizer: { endless: true } }, tokenizer: true }, 'encode'],
  ];

  /** Asks for everything until the stage that never ends begins. */
  async function ask(
    inference: InferenceClient,
    directory: string,
    onProgress: (stage: Stage) => void,
    token?: CancellationToken,
  ) {
    const choice = { directory, providers: ['cpu'] };
    const call = { token, onProgress: ({ stage }: { stage: Stage }) => onProgress(stage) };
    const { settings, analyses } = await inference.open({ choice, file, settings: {} }, call);
    return analyses.reconstruct(settings, call);
  }

  it.each(stuck)('is left by cancelling, and the next image is tokenized: %s', async (_name, bundle, endless) => {
    const inference = client();
    const source = new CancellationTokenSource();
    const cancel = (stage: Stage) => {
      if (stage === endless) source.cancel();
    };
    const request = refusalOf(async () => ask(inference, await model(bundle), cancel, source.token));
    expect((await request).code).toBe('cancelled');
    const { reconstruction } = await askEverything(inference, await model(), ['cpu']);
    expect(reconstruction.keptTokens).toBe(2);
  });

  it.each(stuck)('ends at the time limit, and the next image is tokenized: %s', async (_name, bundle, endless) => {
    // No limit for anything but the step that has no end, however slow the machine is.
    let limit: number | undefined;
    const inference = client({ stepLimitMs: () => limit });
    const directory = await model(bundle);
    const error = await refusalOf(() =>
      ask(inference, directory, (stage) => (limit = stage === endless ? 100 : undefined)),
    );
    limit = undefined;
    expect(error.code).toBe('time-limit');
    expect(error.message).toContain(`The step “${endless}” took longer than 0.1 seconds`);
    const { reconstruction } = await askEverything(inference, await model(), ['cpu']);
    expect(reconstruction.keptTokens).toBe(2);
  });

  it('is left by cancelling where it is the decoder of an image file, and the next image is tokenized', async () => {
    const inference = client({
      execArgv: ['--require', join(import.meta.dirname, 'hangingDecoder.cjs')],
      env: { HANGING_BYTES: String(file.length) },
    });
    const choice = { directory: await model(), providers: ['cpu'] };
    const source = new CancellationTokenSource();
    const call = { token: source.token, onProgress: () => source.cancel() };
    const hanging = inference.open({ choice, file, settings: {} }, call);
    expect((await refusalOf(() => hanging)).code).toBe('cancelled');
    const other = Buffer.concat([file, Buffer.of(0)]);
    const { tokens } = await inference.tokenize({ choice, file: other, settings: {} });
    expect(tokens.patchCodes).toHaveLength(4);
  });
});

describe.runIf(process.platform === 'linux')('Work that takes all memory', () => {
  const hungry = { endless: true, hungry: 1.5e9 };

  it.each(['encoder', 'decoder'] as const)('ends at the limit, and the next image is tokenized: %s', async (graph) => {
    const inference = client({ memoryLimit: 1e9 });
    const directory = await model({ graphs: { [graph]: hungry } });
    const { code, message } = await refusalOf(() => askEverything(inference, directory, ['cpu']));
    expect(code).toBe('memory-limit');
    expect(message).toContain(`“${graph === 'encoder' ? 'encode' : 'decode'}” took more than 1.0 GB of memory`);
    const { reconstruction } = await askEverything(inference, await model(), ['cpu']);
    expect(reconstruction.keptTokens).toBe(2);
  });

  it('has the system end the inference process before any other', async () => {
    const watched = await watchedClient({ modulePath, memoryMiB: 8192 });
    await watched.client.loadModel({ directory: await model(), providers: ['cpu'] });
    expect(await readFile(`/proc/${watched.pid()}/oom_score_adj`, 'utf8')).toBe('1000\n');
    await watched.dispose();
  });
});

it('A graph whose outputs have another shape than it promised is refused', async () => {
  const shape = [1, 7] as const;
  const directory = await model({ graphs: { encoder: { gives: { output: 'patch_codes', shape } } } });
  const error = await refusalOf(() =>
    client().tokenize({ choice: { directory, providers: ['cpu'] }, file, settings: {} }),
  );
  expect(error.code).toBe('model-incompatible');
  expect(error.message).toContain('it gave patch_codes as int32[1, 7] instead of int32[1, 4].');
});

describe('A number that is not one', () => {
  const values = [
    [NaN, 'NaN'],
    [Infinity, 'an infinite number'],
    [-Infinity, 'an infinite number'],
  ] as const;
  const outputs = [
    ['encoder', 'global_attention'],
    ['entropy', 'entropy'],
    ['entropy', 'surprisal'],
    ['entropy', 'expected_code'],
    ['tokenizer', 'entropy'],
    ['tokenizer', 'surprisal'],
    ['tokenizer', 'expected_code'],
  ] as const satisfies [ToyGraph, string][];

  it('is in no graph of a sound model', async () => {
    for (const tokenizer of [false, true]) {
      const { reconstruction, attention } = await askEverything(client(), await model({ tokenizer }), ['cpu']);
      expect(reconstruction.keptTokens).toBe(2);
      expect([...attention.weights]).toEqual([0.25, 0.25, 0.25, 0.25]);
    }
  });

  it.each(outputs)('of the %s graph as %s is refused, with graph and provider named', async (graph, output) => {
    const inference = client();
    for (const [value, name] of values) {
      const directory = await model({
        graphs: { [graph]: { value: { output, value } } },
        tokenizer: graph === 'tokenizer',
      });
      const error = await refusalOf(() => askEverything(inference, directory, ['cpu']));
      expect(error.code).toBe('inference-failed');
      expect(error.message).toBe(`The ${graph} graph gave ${name} as ${output} on the provider cpu.`);
      expect(error.advice).toContain('export it again');
    }
  });

  it.each(['sequential', 'distortion'] satisfies RankingCriterion[])(
    'is refused where it comes with visible patches only, in a %s ranking',
    async (ranking) => {
      const choice = { directory: await model(), providers: ['cpu'] };
      const { tokens, image, settings } = await client().open({ choice, file, settings: { ranking } });
      const graphs = { entropy: { value: { output: 'entropy', value: NaN } } };
      const other = { directory: await model({ graphs }), providers: ['cpu'] };
      const engine = new Engine();
      const { manifest } = await readBundle(other.directory);
      engine.reopen(1, { choice: other, file, image, tokens, manifest: JSON.stringify(manifest) });
      const error = await refusalOf(() => engine.analyse(1, { name: 'rank', params: settings }, {}));
      expect(error.message).toBe('The entropy graph gave NaN as entropy on the provider cpu.');
    },
  );

  it.each(['entropy', 'surprisal', 'expected_code', 'global_attention'])(
    'of one provider as %s has the next one asked',
    async (output) => {
      const inference = client({
        execArgv: ['--require', join(import.meta.dirname, 'nanProvider.cjs')],
        env: { [cudaDirectoryVariable]: folder, NAN_OUTPUT: output },
      });
      const directory = await model();
      const answers = await askEverything(inference, directory, ['cuda', 'cpu']);
      const sound = await askEverything(client(), directory, ['cpu']);
      expect([answers.tokens, answers.reconstruction.keep]).toEqual([sound.tokens, sound.reconstruction.keep]);
      const { provider } = await inference.loadModel({ directory, providers: ['cuda', 'cpu'] });
      const graph = output === 'global_attention' ? 'encoder' : 'entropy';
      const reason = `It failed while running: The ${graph} graph gave NaN as ${output} on the provider cuda.`;
      expect(provider).toEqual({ provider: 'cpu', failures: [{ provider: 'cuda', reason }] });
      const alone = await refusalOf(() => askEverything(inference, directory, ['cuda']));
      expect(alone.message).toBe(`The ${graph} graph gave NaN as ${output} on the provider cuda.`);
    },
  );

  it('of all providers ends with that of the last', async () => {
    const directory = await model({ graphs: { entropy: { value: { output: 'entropy', value: Infinity } } } });
    const inference = client({
      execArgv: ['--require', join(import.meta.dirname, 'nanProvider.cjs')],
      env: { [cudaDirectoryVariable]: folder, NAN_OUTPUT: 'entropy' },
    });
    const error = await refusalOf(() => askEverything(inference, directory, ['cuda', 'cpu']));
    expect(error.message).toBe('The entropy graph gave an infinite number as entropy on the provider cpu.');
    const reversed = await refusalOf(() => askEverything(inference, directory, ['cpu', 'cuda']));
    expect(reversed.message).toBe('The entropy graph gave NaN as entropy on the provider cuda.');
  });
});
