import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { readBundle } from '../../src/bundle/manifest';
import { Engine } from '../../src/engine/engine';
import { InferenceClient, type InferenceClientOptions } from '../../src/client/client';
import { cudaDirectoryVariable } from '../../src/cuda/environment';
import { requirementsOf } from '../../src/cuda/requirements';
import type { Progress } from '../../src/protocol/analyses';
import type { DecodedPicture, LoadedChoice } from '../../src/protocol/engineMessages';
import type { Stage } from '../../src/method/types';
import { sharedLibrary } from '../sharedLibrary';
import { refusalOf } from '../unit/refusal';
import { until } from '../unit/until';
import { bundleFor, modelDirectory, sample } from './support';

const choice = { directory: modelDirectory, providers: ['cpu'] };
const clients: InferenceClient[] = [];
let modulePath: string;
let folder: string;
let file: Uint8Array;

beforeAll(async () => {
  modulePath = join(await bundleFor('inference-process'), 'inference.js');
  folder = await mkdtemp(join(tmpdir(), 'tatok-process-'));
  file = await readFile(sample('kodim23.png'));
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.dispose()));
  await rm(folder, { recursive: true });
});

function client(options: Partial<InferenceClientOptions> = {}): InferenceClient {
  const created = new InferenceClient({ modulePath, ...options });
  clients.push(created);
  return created;
}

/** The bundle with one file replaced. */
async function damagedModel(name: string, replaced: string, content: string): Promise<string> {
  const directory = join(folder, name);
  await mkdir(directory);
  for (const entry of await readdir(modelDirectory)) {
    if (entry === replaced) await writeFile(join(directory, entry), content);
    else await symlink(join(modelDirectory, entry), join(directory, entry));
  }
  return directory;
}

/** A process that is sent what no client of ours sends. */
function forkRaw() {
  const child = fork(modulePath, [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const lines: string[] = [];
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  const answers = new Map<unknown, unknown>();
  child.on('message', (message: { readonly id?: number }) => void answers.set(message.id, message));
  return { child, lines, answers };
}

describe('the inference process', () => {
  it('refuses messages that are not allowed, each in one line of its log, and answers the next true one', async () => {
    const { child, lines, answers } = forkRaw();
    const settings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };
    const image = { choice, file: Uint8Array.of(1), picture: 1 };
    const hostile: readonly (readonly [string, unknown])[] = [
      ['open', { ...image, settings: {} }],
      ['open', { id: 1, params: { ...image, file: [1, 2, 3], settings: {} } }],
      ['open', { id: 1, params: { ...image, settings: { lossRate: NaN } } }],
      ['open', { id: 1, params: { ...image, settings: {}, maxMegapixels: Infinity } }],
      ['open', { id: 1, params: { ...image, settings: {}, cropMode: 'all' } }],
      ['open', { id: 1, params: { ...image, settings: {}, choice: { ...choice, library: '/tmp/evil.so' } } }],
      ['model/load', { id: 1, params: { directory: '', providers: ['cpu'] } }],
      ['model/load', { id: 1, params: { directory: 'a\0b', providers: ['cpu'] } }],
      ['model/load', { id: 1, params: { ...choice, providers: 'cpu' } }],
      ['model/load', { id: -1, params: choice }],
      ['analysis', { id: 1, params: { picture: '1', name: 'rank', params: settings } }],
      ['analysis', { id: 1, params: { picture: 1, name: '', params: settings } }],
      ['reopen', { ...image, image: {}, tokens: {}, manifest: '{}' }],
      ['close', { picture: 0.5 }],
      ['provider/exclude', { choice, provider: 'abacus', reason: 'It is slow.' }],
      ['provider/note', { inUse: undefined }],
      ['shutdown', undefined],
    ];
    try {
      for (const [n, [method, params]] of hostile.entries()) child.send({ jsonrpc: '2.0', id: n, method, params });
      child.send(['no', 'message']);
      child.send({ jsonrpc: '2.0', id: 100, method: 'model/load', params: { id: 1, params: choice } });
      await until(() => answers.has(100));
      for (const n of hostile.keys())
        expect(answers.get(n), String(hostile[n]?.[0])).toMatchObject({ error: { code: -32602 } });
      expect(answers.get(100)).toMatchObject({ result: { provider: { provider: 'cpu' } } });
      await until(() => lines.length === hostile.length + 1);
      for (const line of lines)
        expect(line).toMatch(/^The client sent a message that is not allowed, and it is ignored: /);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('tokenizes, with typed arrays and progress', async () => {
    const inference = client();
    const stages: Stage[] = [];
    const hear = ({ stage }: Progress) => {
      if (stages.at(-1) !== stage) stages.push(stage);
    };
    const pictures: DecodedPicture[] = [];
    const onPicture = (picture: DecodedPicture) => pictures.push(picture);
    const opened = await inference.open({ choice, file, settings: {} }, { onProgress: hear, onPicture });
    expect(stages).toEqual(['read', 'load', 'encode', 'entropy']);
    const { image, tokens, settings, model, analyses } = opened;
    expect(tokens.patchCodes).toBeInstanceOf(Int32Array);
    expect(pictures).toEqual([{ image, model, settings }]);
    const ranking = await analyses.rank(settings, { onProgress: hear });
    expect(stages.splice(4).every((stage) => stage === 'rank')).toBe(true);
    expect(ranking.order).toBeInstanceOf(Uint32Array);
    const reconstruction = await analyses.reconstruct(settings, { onProgress: hear });
    expect(stages.splice(4)).toEqual(['filter', 'decode', 'metrics']);
    expect(reconstruction.keep).toBeInstanceOf(Uint8Array);
    expect(reconstruction.rgb).toHaveLength(256 * 256 * 3);
    const points = await analyses.measure({ settings, lossRates: [settings.lossRate] });
    expect(points[0]?.psnr).toBe(reconstruction.psnr);
    const map = await analyses.attention({ tile: 0, layer: 'mean', head: 0 });
    expect(map.weights).toHaveLength(32 * 256);
    opened.close();
    expect((await refusalOf(() => analyses.rank(settings))).code).toBe('cancelled');
  });

  it('ends what is asked of a picture when it is closed, and knows no analysis by another name', async () => {
    const opened = await client().open({ choice, file, settings: {}, cropMode: 'tiles' });
    const ranking = refusalOf(() =>
      opened.analyses.rank({ ...opened.settings, ranking: 'distortion', rankingRounds: 64 }),
    );
    const error = await refusalOf(() => opened.ask({ name: 'toString', params: {} }, {}));
    expect(error).toMatchObject({ code: 'bad-message', message: 'There is no analysis of that name.' });
    opened.close();
    expect((await ranking).code).toBe('cancelled');
  });

  it('stops a cancelled request between stages and goes on with the next', async () => {
    const inference = client();
    await inference.loadModel(choice);
    const source = new CancellationTokenSource();
    const stages: Stage[] = [];
    const onProgress = ({ stage }: Progress) => {
      stages.push(stage);
      if (stage === 'encode') source.cancel();
    };
    const request = inference.open({ choice, file, settings: {} }, { token: source.token, onProgress });
    expect((await refusalOf(() => request)).code).toBe('cancelled');
    await inference.tokenize({ choice, file, settings: {} });
    expect(stages).not.toContain('entropy');
  });

  it('refuses a bad image, and the next one is tokenized', async () => {
    const inference = client();
    const error = await refusalOf(() => inference.tokenize({ choice, file: file.subarray(0, 5000), settings: {} }));
    expect(error.code).toBe('image-unreadable');
    await expect(inference.tokenize({ choice, file, settings: {} })).resolves.toBeDefined();
  });

  it('refuses more pixels than asked for', async () => {
    const params = { choice, file, settings: {}, maxMegapixels: 0.1 };
    expect((await refusalOf(() => client().tokenize(params))).code).toBe('image-too-large');
  });
});

describe('models', () => {
  const load = async (directory: string) => refusalOf(() => client().loadModel({ ...choice, directory }));

  it('that are missing are refused with advice', async () => {
    const error = await load(join(folder, 'nowhere'));
    expect(error.code).toBe('model-missing');
    expect(error.advice).toContain('manifest.json');
  });

  it('with a damaged graph are refused before it is loaded', async () => {
    const error = await load(await damagedModel('damaged', 'decoder.onnx', 'not a graph'));
    expect(error.code).toBe('model-file-corrupt');
    expect(error.message).toContain('decoder.onnx');
  });

  it('with a manifest of another codebook are refused', async () => {
    const manifest = await readFile(join(modelDirectory, 'manifest.json'), 'utf8');
    const other = manifest.replace('"size": 65536', '"size": 65535');
    expect((await load(await damagedModel('codebook', 'manifest.json', other))).code).toBe('model-invalid');
  });

  it('whose graphs do not fit their manifest are refused', async () => {
    const manifest = await readFile(join(modelDirectory, 'manifest.json'), 'utf8');
    const other = manifest.replace('"globalTokens": 32', '"globalTokens": 31');
    const error = await load(await damagedModel('tokens', 'manifest.json', other));
    expect(error.code).toBe('model-incompatible');
    expect(error.message).toContain('its output global_codes is int32[batch, 32] instead of int32[batch, 31]');
  });

  it('that change on disk are loaded anew', async () => {
    const inference = client();
    const manifest = await readFile(join(modelDirectory, 'manifest.json'), 'utf8');
    const directory = await damagedModel('changing', 'manifest.json', manifest);
    await inference.loadModel({ ...choice, directory });
    await writeFile(join(directory, 'manifest.json'), manifest.replace(/"version": "[^"]+"/, '"version": "9.9.9"'));
    expect((await inference.loadModel({ ...choice, directory })).model.version).toBe('9.9.9');
  });
});

describe('execution providers', () => {
  const load = (providers: string[], options: Partial<InferenceClientOptions> = {}) =>
    client(options).loadModel({ ...choice, providers });

  it('that are unknown or absent are reported, and the next one is used', async () => {
    const { provider } = await load(['tpu', 'coreml', 'cpu']);
    expect(provider.provider).toBe('cpu');
    expect(provider.failures.map((failure) => failure.provider)).toEqual(['tpu', 'coreml']);
    expect(provider.failures[1]?.reason).toMatch(/^This build of ONNX Runtime has no coreml on /);
  });

  it('that are all unusable are an error with every reason', async () => {
    const error = await refusalOf(() => load(['tpu']));
    expect(error.code).toBe('provider-unavailable');
    expect(error.message).toContain('tpu is no known provider');
  });

  it.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
    'whose library is broken are reported with what is wrong with it',
    async () => {
      const libraryPath = join(folder, 'broken');
      await mkdir(libraryPath);
      for (const name of ['shared', 'cuda']) {
        await copyFile(sample('kodim23.png'), join(libraryPath, `libonnxruntime_providers_${name}.so`));
      }
      const cacheDirectory = join(folder, 'cache');
      const { provider } = await load(['cuda', 'cpu'], { cuda: () => ({ libraryPath, cacheDirectory }) });
      expect(provider.provider).toBe('cpu');
      expect(provider.failures).toHaveLength(1);
      expect(provider.failures[0]?.reason).toMatch(
        /The CUDA provider cannot be used: it is no shared library \(.*libonnxruntime_providers_cuda\.so\)\.$/,
      );
    },
  );

  it.skipIf(process.platform !== 'linux' || process.arch !== 'x64').each([
    [
      'can be loaded but holds no provider is not used',
      sharedLibrary(),
      'ONNX Runtime 1.29.0 does not take the provider’s libraries, though all that they need was found.',
    ],
    [
      'needs another one that is missing is not used',
      sharedLibrary({ needed: ['libother.so.1'] }),
      'libother.so.1, which the CUDA provider needs, was not found.',
    ],
    [
      'crashes the process when it is loaded is left out of the next one',
      sharedLibrary({ crashes: true }),
      'It crashed while it opened the model (signal SIGSEGV).',
    ],
  ])('whose library %s', async (name, library, reason) => {
    const libraryPath = join(folder, name);
    await mkdir(libraryPath);
    const setHost = sharedLibrary({ functions: ['Provider_SetHost'] });
    await writeFile(join(libraryPath, 'libonnxruntime_providers_shared.so'), setHost);
    await writeFile(join(libraryPath, 'libonnxruntime_providers_cuda.so'), library);
    // All else that discovery would miss, so that the loader has the word.
    for (const file of ['libcuda.so.1', ...requirementsOf(['libcudart.so.13']).libraries.map((each) => each.file)]) {
      await writeFile(join(libraryPath, file), sharedLibrary());
    }
    const cacheDirectory = join(folder, 'cache');
    const { provider } = await load(['cuda', 'cpu'], { cuda: () => ({ libraryPath, cacheDirectory }) });
    expect(provider).toEqual({ provider: 'cpu', failures: [{ provider: 'cuda', reason }] });
  });

  it.skipIf(process.platform === 'win32')(
    'that crash the process twice while they run are left out of the next one, which answers with what was tokenized',
    async () => {
      const told: LoadedChoice[] = [];
      const inference = client({
        execArgv: ['--require', join(import.meta.dirname, 'crashingProvider.cjs')],
        env: { [cudaDirectoryVariable]: folder, HOME: folder },
        onLoaded: (loaded) => told.push(loaded),
      });
      const withCuda = { ...choice, providers: ['cuda', 'cpu'] };
      const params = { file, settings: { ranking: 'entropy' } } as const;
      const opened = await inference.open({ choice: withCuda, ...params });
      expect(opened.provider).toEqual({ provider: 'cuda', failures: [] });
      await writeFile(join(folder, 'crash'), '');
      const { timings: _, ...reconstruction } = await opened.analyses.reconstruct(opened.settings);
      // The CPU goes on with the tokens of the provider that crashed, not with its own.
      const own = await client().tokenize({ choice, ...params });
      expect(opened.tokens.patchCodes).not.toEqual(own.tokens.patchCodes);
      const engine = new Engine();
      const { image, tokens } = opened;
      const { manifest } = await readBundle(choice.directory);
      engine.reopen(1, { choice, file, image, tokens, manifest: JSON.stringify(manifest) });
      const expected = await engine.analyse(1, { name: 'reconstruct', params: opened.settings }, {});
      expect(expected).toMatchObject(reconstruction);
      const reason = 'It crashed twice in a row while running (signal SIGSEGV).';
      expect(told.map((loaded) => loaded.provider)).toEqual([
        { provider: 'cuda', failures: [] },
        { provider: 'cuda', failures: [] },
        { provider: 'cpu', failures: [{ provider: 'cuda', reason }] },
      ]);
    },
  );

  it('say that no provider is set up, nor in the folder of the setting', async () => {
    const { provider } = await load(['cuda', 'cpu'], { cuda: () => ({ libraryPath: folder }) });
    expect(provider.failures[0]?.reason).toMatch(/ is neither set up nor in .+\.$|not available/);
  });
});
