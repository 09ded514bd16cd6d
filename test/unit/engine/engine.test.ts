import { beforeEach, describe, expect, it, vi } from 'vitest';
import { loadBundle, type RunningModel } from '../../../src/engine/loadModel';
import { ProviderFailed } from '../../../src/protocol/errorTransfer';
import { Engine } from '../../../src/engine/engine';
import { readPicture } from '../../../src/engine/picture';
import type { LoadedChoice, ProviderInUse } from '../../../src/protocol/engineMessages';
import { TatokError } from '../../../src/method/errors';
import { readBundle, type Bundle } from '../../../src/bundle/manifest';
import type { Picture, ProviderName, ShownGeometry, Tokens } from '../../../src/method/types';
import { refusalOf } from '../refusal';
import { tinyModel } from '../model';

vi.mock('../../../src/engine/loadModel');
vi.mock('../../../src/bundle/manifest');
vi.mock('../../../src/engine/picture', { spy: true });

const outOfMemory = new TatokError('inference-failed', 'The encoder graph could not be run.', undefined, {
  cause: new Error('/o/cuda_call.cc:1 CudaCall CUDA failure 2: out of memory ; GPU=0'),
});
const reason = 'It failed while running: CUDA failure 2: out of memory.';

let log: string[];
let loaded: LoadedChoice[];
let noted: (ProviderInUse | undefined)[];
let release: () => Promise<void>;
/** Cost of attention on each provider. */
let failures: Partial<Record<ProviderName, Error>>;

beforeEach(() => {
  log = [];
  loaded = [];
  noted = [];
  failures = { cuda: outOfMemory };
  release = vi.fn(() => Promise.reject(new Error('lost device')));
  vi.mocked(readBundle).mockResolvedValue({ model: tinyModel, manifest: {} } as Bundle);
  vi.mocked(readPicture)
    .mockReset()
    .mockResolvedValue({ picture: {} as Picture, timings: {} });
  vi.mocked(loadBundle)
    .mockReset()
    .mockImplementation(async (_bundle, { providers }, excluded = new Map(), onOpening) => {
      const provider = (providers as ProviderName[]).find((name) => !excluded.has(name)) ?? 'cpu';
      await onOpening?.(provider);
      const failure = failures[provider];
      const run =
        <Result>(result: Result) =>
        () =>
          failure === undefined ? Promise.resolve(result) : Promise.reject(failure);
      const tatok = {
        model: tinyModel,
        attend: run(Float32Array.of(1)),
        rank: run({ ranking: {}, timings: {} }),
        reconstruct: run({ timings: {} }),
        measure: run([]),
        render: run({}),
        influence: run({}),
        tile: () => new Uint8Array(3),
        attentionOf: () => provider,
        release,
      };
      const report = [...excluded].map(([name, why]) => ({ provider: name, reason: why }));
      return {
        tatok,
        loaded: { model: tinyModel, provider: { provider, failures: report } },
      } as unknown as RunningModel;
    });
});

const newEngine = () =>
  new Engine({
    log: (line) => log.push(line),
    onLoaded: (told) => loaded.push(told),
    noteProvider: (inUse) => Promise.resolve(void noted.push(inUse)),
  });
const choice = { directory: '/models/tiny', providers: ['cuda', 'cpu'] };
const settings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;

/** Asks for an analysis of a picture that a former process tokenized. */
function ask(engine: Engine, name: string, params: unknown, providers = choice.providers): Promise<unknown> {
  engine.reopen(1, {
    choice: { ...choice, providers },
    file: new Uint8Array(9),
    image: { reduction: 1, tiles: { rows: 1, columns: 1 }, grid: { rows: 1, columns: 1 } } as ShownGeometry,
    tokens: { globalCodes: new Int32Array(1), patchCodes: new Int32Array(1) } as Tokens,
    manifest: '{}',
  });
  return engine.analyse(1, { name, params }, {});
}

const attend = (engine: Engine, providers?: string[]) =>
  ask(engine, 'attention', { tile: 0, layer: 'mean', head: 'mean' }, providers);

describe('a provider that fails while it runs', () => {
  it.each<[string, unknown]>([
    ['rank', settings],
    ['reconstruct', settings],
    ['measure', { settings, lossRates: [0.5] }],
    ['influence', { settings, tile: 0, globalToken: 0 }],
    ['attention', { tile: 0, layer: 'mean', head: 'mean' }],
  ])(
    'is named to the client, which can replace the process, when it fails at %s; its sessions are let be',
    async (name, params) => {
      const error: unknown = await ask(newEngine(), name, params).catch((refusal: unknown) => refusal);
      if (!(error instanceof ProviderFailed)) throw error;
      expect(error.failed).toEqual({ choice, provider: 'cuda', reason });
      expect(release).not.toHaveBeenCalled();
    },
  );

  it('is not tried in a process that was told so, and the report says why', async () => {
    const engine = newEngine();
    engine.excludeProvider({ choice, provider: 'cuda', reason });
    expect(await attend(engine)).toBe('cpu');
    const report = { provider: 'cpu', failures: [{ provider: 'cuda', reason }] };
    expect(loaded.map(({ provider }) => provider)).toEqual([report]);
  });

  it('is ruled out for that choice alone', async () => {
    failures = {};
    const engine = newEngine();
    engine.excludeProvider({ choice: { ...choice, cudaDevice: 1 }, provider: 'cuda', reason });
    expect(await attend(engine)).toBe('cuda');
  });

  it('is a failure where the order ends with it', async () => {
    expect(await refusalOf(() => attend(newEngine(), ['cuda']))).toBe(outOfMemory);
  });

  it('is left for another although it is the CPU, where the order goes on after that', async () => {
    failures = { cpu: outOfMemory };
    expect(await refusalOf(() => attend(newEngine(), ['cpu']))).toBe(outOfMemory);
    const providers = ['cpu', 'webgpu'];
    await expect(attend(newEngine(), providers)).rejects.toMatchObject({
      failed: { choice: { ...choice, providers }, provider: 'cpu', reason },
    });
  });

  it('is not at fault for what is wrong with the request itself', async () => {
    failures = { cuda: new TatokError('cancelled', 'The request was cancelled.') };
    expect((await refusalOf(() => attend(newEngine(), ['cuda', 'cpu']))).code).toBe('cancelled');
    expect(log).toEqual([]);
  });
});

describe('a picture that a former process tokenized', () => {
  beforeEach(() => {
    failures = {};
  });

  it('is not decoded by another model that is in the folder by now', async () => {
    const engine = newEngine();
    expect(await attend(engine)).toBe('cuda');
    vi.mocked(readBundle).mockResolvedValue({ model: tinyModel, manifest: { version: '2' } } as Bundle);
    const refusal = await refusalOf(() => attend(engine));
    expect([refusal.code, refusal.message]).toEqual([
      'model-incompatible',
      'The model in /models/tiny was replaced after it made the tokens of this picture.',
    ]);
    expect(loadBundle).toHaveBeenCalledOnce();
  });
});

describe('the client', () => {
  beforeEach(() => {
    failures = {};
  });

  it('is told of a provider before its sessions are opened and before they run, and not again until that changes', async () => {
    const engine = newEngine();
    const [opening, running] = [true, false].map((each) => ({ choice, provider: 'cuda', opening: each }));
    await attend(engine);
    expect(noted).toEqual([opening, running]);
    await attend(engine);
    expect(noted).toEqual([opening, running]);
  });

  it('is told that none is in use while an image file is read', async () => {
    const engine = newEngine();
    await engine.loadModel(choice);
    vi.mocked(readPicture).mockRestore();
    const request = { choice, file: new Uint8Array(9), settings: {} };
    expect((await refusalOf(() => engine.open(2, request))).code).toBe('image-unreadable');
    expect(noted.at(-1)).toBeUndefined();
    vi.mocked(readPicture).mockResolvedValue({ picture: {} as Picture, timings: {} });
    await attend(engine);
    expect(noted.at(-1)).toEqual({ choice, provider: 'cuda', opening: false });
  });

  it('is told nothing of the CPU', async () => {
    await attend(newEngine(), ['cpu']);
    expect(noted).toEqual([]);
  });
});
