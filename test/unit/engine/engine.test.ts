import { beforeEach, describe, expect, it, vi } from 'vitest';
import { loadBundle, type RunningModel } from '../../../src/engine/loadModel';
import { ProviderFailed } from '../../../src/protocol/providerFailed';
import { InferenceService } from '../../../src/engine/engine';
import type { LoadedChoice, ProviderInUse } from '../../../src/protocol/engineMessages';
import { TatokError } from '../../../src/method/errors';
import { readBundle, type Bundle } from '../../../src/bundle/manifest';
import type { ShownImage, ProviderName, Tokens } from '../../../src/method/types';
import { refusalOf } from '../refusal';
import { tinyModel } from '../model';

vi.mock('../../../src/engine/loadModel');
vi.mock('../../../src/bundle/manifest');

const outOfMemory = new TatokError('inference-failed', 'The encoder graph could not be run.', undefined, {
  cause: new Error('/o/cuda_call.cc:1 CudaCall CUDA failure 2: out of memory ; GPU=0'),
});
const reason = 'It failed while running: CUDA failure 2: out of memory.';

let log: string[];
let loaded: LoadedChoice[];
let noted: (ProviderInUse | undefined)[];
let release: () => Promise<void>;
/** What attending costs on each provider. */
let failures: Partial<Record<ProviderName, Error>>;

beforeEach(() => {
  log = [];
  loaded = [];
  noted = [];
  failures = { cuda: outOfMemory };
  release = vi.fn(() => Promise.reject(new Error('lost device')));
  vi.mocked(readBundle).mockResolvedValue({ model: tinyModel } as Bundle);
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

const service = () =>
  new InferenceService({
    log: (line) => log.push(line),
    onLoaded: (told) => loaded.push(told),
    noteProvider: (inUse) => Promise.resolve(void noted.push(inUse)),
  });
const image = { reduction: 1 } as ShownImage;
const params = (providers: string[]) => ({
  choice: { directory: '/models/tiny', providers },
  image,
  tile: 0,
  layer: 'mean' as const,
  head: 'mean' as const,
});
const quiet = () => undefined;

const settings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
const pictureRequest = (image: ShownImage) => ({
  choice: { directory: '/models/tiny', providers: ['cuda', 'cpu'] },
  tokens: { globalCodes: new Int32Array(1), patchCodes: new Int32Array(1) } as Tokens,
  image: { ...image, rgb: new Uint8Array(3), tiles: { rows: 1, columns: 1 } },
  settings,
});

const choice = params(['cuda', 'cpu']).choice;

describe('a provider that fails while it runs', () => {
  it.each<[string, (inference: InferenceService) => Promise<unknown>]>([
    ['rank', (inference) => inference.rank({ ...pictureRequest(image) }, quiet)],
    ['reconstruct', (inference) => inference.reconstruct({ ...pictureRequest(image) }, quiet)],
    ['measure', (inference) => inference.measure({ ...pictureRequest(image), lossRates: [0.5] }, quiet)],
    ['influence', (inference) => inference.influence({ ...pictureRequest(image), tile: 0, globalToken: 0 }, quiet)],
    ['attention', (inference) => inference.attention(params(['cuda', 'cpu']), quiet)],
  ])(
    'is named to whoever can replace the process, when it fails at %s; its sessions are let be',
    async (_, request) => {
      const error: unknown = await request(service()).catch((refusal: unknown) => refusal);
      if (!(error instanceof ProviderFailed)) throw error;
      expect(error.failed).toEqual({ choice, provider: 'cuda', reason });
      expect(release).not.toHaveBeenCalled();
    },
  );

  it('is not tried in a process that was told so, and the report says why', async () => {
    const inference = service();
    inference.excludeProvider({ choice, provider: 'cuda', reason });
    expect(await inference.attention(params(['cuda', 'cpu']), quiet)).toBe('cpu');
    const report = { provider: 'cpu', failures: [{ provider: 'cuda', reason }] };
    expect(loaded.map(({ provider }) => provider)).toEqual([report]);
  });

  it('is ruled out for that choice alone', async () => {
    failures = {};
    const inference = service();
    inference.excludeProvider({ choice: { ...choice, cudaDevice: 1 }, provider: 'cuda', reason });
    expect(await inference.attention(params(['cuda', 'cpu']), quiet)).toBe('cuda');
  });

  it('is a failure where the order ends with it', async () => {
    expect(await refusalOf(() => service().attention(params(['cuda']), quiet))).toBe(outOfMemory);
  });

  it('is left for another although it is the CPU, where the order goes on after that', async () => {
    failures = { cpu: outOfMemory };
    expect(await refusalOf(() => service().attention(params(['cpu']), quiet))).toBe(outOfMemory);
    const choosing = params(['cpu', 'webgpu']);
    await expect(service().attention(choosing, quiet)).rejects.toMatchObject({
      failed: { choice: choosing.choice, provider: 'cpu', reason },
    });
  });

  it('is not at fault for what is wrong with the request itself', async () => {
    failures = { cuda: new TatokError('cancelled', 'The request was cancelled.') };
    expect((await refusalOf(() => service().attention(params(['cuda', 'cpu']), quiet))).code).toBe('cancelled');
    expect(log).toEqual([]);
  });
});

describe('the client', () => {
  beforeEach(() => {
    failures = {};
  });

  it('is told of a provider before its sessions are opened and before they run, and not again until that changes', async () => {
    const inference = service();
    const [opening, running] = [true, false].map((each) => ({ choice, provider: 'cuda', opening: each }));
    await inference.attention(params(['cuda', 'cpu']), quiet);
    expect(noted).toEqual([opening, running]);
    await inference.attention(params(['cuda', 'cpu']), quiet);
    expect(noted).toEqual([opening, running]);
  });

  it('is told that none is in use while an image file is read', async () => {
    const inference = service();
    await inference.loadModel(choice, quiet);
    const request = { choice, file: new Uint8Array(9), settings: {} };
    expect((await refusalOf(() => inference.tokenize(request, quiet))).code).toBe('image-unreadable');
    expect(noted.at(-1)).toBeUndefined();
    await inference.attention(params(['cuda', 'cpu']), quiet);
    expect(noted.at(-1)).toEqual({ choice, provider: 'cuda', opening: false });
  });

  it('is told nothing of the CPU', async () => {
    await service().attention(params(['cpu']), quiet);
    expect(noted).toEqual([]);
  });
});
