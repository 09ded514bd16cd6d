import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CancellationToken } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import type { TatokSettings } from '../../../src/host/tatokSettings';
import type { Inference } from '../../../src/host/sharedInference';
import { TokenizationDocument, type DocumentState } from '../../../src/panel/tokenizationDocument';
import { compute, type Analyses, type AnalysisRequest } from '../../../src/protocol/analyses';
import type { LoadedChoice, OpenParams } from '../../../src/protocol/engineMessages';
import { TatokError } from '../../../src/method/errors';
import { resolveSettings } from '../../../src/method/settings';
import type { FilterSettings, Ranking, Reconstruction, Tokenized } from '../../../src/method/types';

import { modelWith, tinyModel } from '../model';
vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const defaults: FilterSettings = { lossRate: 0.2, edgePriority: 0, budget: 'image', ranking: 'entropy' };

const settings: TatokSettings = {
  choice: { directory: '/models/tatok-s-256', providers: ['cpu'] },
  filter: {},
  cropMode: 'centre',
  cudaLibraryPath: undefined,
  maxMegapixels: 100,
  stepLimitMs: undefined,
};

const model = modelWith(
  {
    ...tinyModel,
    name: 'tatok-s-256',
    directory: '/models/tatok-s-256',
    imageSize: { width: 2, height: 2 },
    grid: { rows: 1, columns: 1 },
    defaults,
  },
  { globalTokens: 1, patchTokens: 1, filters: true },
);

const attention = { name: 'attention', params: { tile: 0, layer: 0, head: 0 } };

const region = { row: 0, column: 0, rows: 1, columns: 1 };

const ranking: Ranking = { order: Uint32Array.of(0), cumulativeBits: Float64Array.of(0, 9), totalBits: 9 };

function reconstruction(filter: FilterSettings): Reconstruction {
  return {
    settings: filter,
    keep: Uint8Array.of(1),
    entropyBits: Float32Array.of(9),
    budgetBits: 9,
    lostBits: 0,
    actualLossRate: 0,
    keptTokens: 1,
    length: 1,
    totalTokens: 2,
    payloadBits: 24,
    maskBits: 0,
    rgb: new Uint8Array(12),
    psnr: 20,
    ssim: 0.5,
  };
}

/** `label` stands for the file's contents, to tell results apart. */
function tokenized(label: number, filter: OpenParams['settings']): Tokenized {
  const crop = { left: 0, top: 0, width: 2, height: 2 };
  return {
    image: {
      sourceWidth: 2,
      sourceHeight: 2,
      format: 'png',
      cropMode: 'centre',
      crop,
      width: 2,
      height: 2,
      tiles: { rows: 1, columns: 1 },
      grid: { rows: 1, columns: 1 },
      reduction: 1,
      rgb: new Uint8Array(12).fill(label),
    },
    tokens: {
      globalCodes: Int32Array.of(label),
      patchCodes: Int32Array.of(7),
      otherCodes: [],
      entropyBits: Float32Array.of(9),
      surprisalBits: Float32Array.of(9),
      expectedCodes: new Float32Array(4),
    },
    settings: resolveSettings(filter, model),
    timings: { encode: 1 },
  };
}

function setUp() {
  const fileChanged = new vscode.EventEmitter<void>();
  const settingsChanged = new vscode.EventEmitter<void>();
  const restarted = new vscode.EventEmitter<void>();
  const loaded = new vscode.EventEmitter<LoadedChoice>();
  const world = {
    bytes: Uint8Array.of(1) as Uint8Array | Error,
    settings,
    changeFile(bytes: Uint8Array | Error) {
      world.bytes = bytes;
      fileChanged.fire();
    },
    changeSettings(change: Partial<TatokSettings>) {
      world.settings = { ...world.settings, ...change };
      settingsChanged.fire();
    },
  };
  const release = vi.fn();
  const closed: number[] = [];
  const asked: ({ readonly label: number } & AnalysisRequest)[] = [];
  const analyses = {
    rank: vi.fn<Analyses['rank']>(() => Promise.resolve(ranking)),
    reconstruct: vi.fn<Analyses['reconstruct']>((filter) =>
      Promise.resolve({ ...reconstruction(filter), timings: { decode: 2 } }),
    ),
    measure: vi.fn<Analyses['measure']>(),
    influence: vi.fn<Analyses['influence']>(),
    attention: vi.fn<Analyses['attention']>(({ tile, layer, head }) =>
      Promise.resolve({ tile, region, layer, head, weights: Float32Array.of(1) }),
    ),
    sweep: vi.fn<Analyses['sweep']>(),
    nearest: vi.fn<Analyses['nearest']>(),
    anchor: vi.fn<Analyses['anchor']>(),
    anchorCurve: vi.fn<Analyses['anchorCurve']>(),
    draw: vi.fn<Analyses['draw']>(),
  };
  const inference = {
    loadModel: vi.fn<Inference['loadModel']>(() =>
      Promise.resolve({ model, provider: { provider: 'cpu' as const, failures: [] } }),
    ),
    acquire: vi.fn(() => ({ dispose: release })),
    openTokens: vi.fn<Inference['openTokens']>(),
    open: vi.fn<Inference['open']>(async ({ file, settings: filter, cropMode }, { onProgress, onPicture } = {}) => {
      const made = tokenized(file[0] ?? 0, filter);
      onPicture?.({ image: made.image, model, settings: made.settings });
      onProgress?.({ stage: 'encode' });
      const label = file[0] ?? 0;
      return Promise.resolve({
        ...made,
        image: { ...made.image, cropMode: cropMode ?? 'centre' },
        model,
        provider: { provider: 'cpu' as const, failures: [] },
        analyses,
        ask: (request, call) => {
          asked.push({ label, ...request });
          return compute(analyses, request, call);
        },
        close: () => void closed.push(label),
      });
    }),
  };
  const file = {
    uri: vscode.Uri.parse('memfs:/photos/cat.png'),
    name: 'cat.png',
    onDidChange: fileChanged.event,
    read: () => (world.bytes instanceof Error ? Promise.reject(world.bytes) : Promise.resolve(world.bytes)),
    dispose: vi.fn(),
  };
  const document = new TokenizationDocument(file, {
    inference,
    onDidRestart: restarted.event,
    onDidLoad: loaded.event,
    configuration: { read: () => world.settings, onDidChange: settingsChanged.event },
    log: { info: vi.fn(), error: vi.fn() },
  });
  const states: DocumentState[] = [];
  document.onDidChangeState((state) => states.push(state));
  return {
    world,
    document,
    states,
    inference,
    analyses,
    asked,
    closed,
    release,
    file,
    restart: () => restarted.fire(),
    loaded,
  };
}

function contents(state: DocumentState): number | undefined {
  return state.kind === 'tokenized' ? Number(state.tokenization.tokens.globalCodes[0]) : undefined;
}

describe('TokenizationDocument', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('tokenizes once for all editors that show it', async () => {
    const { document, states, inference } = setUp();
    document.start();
    document.start();
    await vi.runAllTimersAsync();
    document.start();
    expect(states.map(({ kind }) => kind)).toEqual(['working', 'working', 'working', 'tokenized']);
    // The picture stays known while the stages go by.
    expect(states[2]).toMatchObject({ progress: { stage: 'encode' }, picture: { model, settings: defaults } });
    expect(inference.open).toHaveBeenCalledOnce();
    expect(contents(document.state)).toBe(1);
  });

  it('tokenizes again when inference may now run elsewhere', async () => {
    const { document, restart, inference } = setUp();
    restart();
    expect(inference.open).not.toHaveBeenCalled();
    document.start();
    await vi.runAllTimersAsync();
    restart();
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledTimes(2);
    expect(document.state.kind).toBe('tokenized');
  });

  it('tells its pages of the provider that took over from one that failed, and keeps its tokens', async () => {
    const { document, states, loaded, inference } = setUp();
    const { choice } = settings;
    const report = { provider: 'cpu', failures: [{ provider: 'cuda', reason: 'It failed.' }] } as const;
    loaded.fire({ choice, model, provider: report });
    document.start();
    await vi.runAllTimersAsync();
    const before = document.state;
    states.length = 0;
    loaded.fire({ choice: { ...choice, directory: '/models/other' }, model, provider: report });
    expect(states).toEqual([]);
    loaded.fire({ choice, model, provider: report });
    loaded.fire({ choice, model, provider: report });
    if (before.kind !== 'tokenized') throw new Error('not tokenized');
    expect(states).toEqual([{ kind: 'tokenized', tokenization: { ...before.tokenization, provider: report } }]);
    expect(inference.open).toHaveBeenCalledOnce();
  });

  it('follows a file that is written in several steps with one tokenization', async () => {
    const { document, world, inference } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    for (const step of [2, 3, 4]) {
      world.changeFile(Uint8Array.of(step));
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledTimes(2);
    expect(contents(document.state)).toBe(4);
  });

  it('says that the file was deleted, and recovers when it is back', async () => {
    const { document, world } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    world.changeFile(vscode.FileSystemError.FileNotFound());
    await vi.runAllTimersAsync();
    expect(document.state).toMatchObject({
      kind: 'failed',
      failure: { message: expect.stringContaining('cat.png was deleted') as string, actions: ['retry', 'showOutput'] },
    });
    world.changeFile(Uint8Array.of(5));
    await vi.runAllTimersAsync();
    expect(contents(document.state)).toBe(5);
  });

  it('lets no result of work that was replaced come through', async () => {
    const { document, world, inference } = setUp();
    let finishFirst: () => void = () => undefined;
    const run = inference.open.getMockImplementation();
    inference.open.mockImplementationOnce(async (...args) => {
      await new Promise<void>((resolve) => (finishFirst = resolve));
      if (run === undefined) throw new Error('no implementation');
      return run(...args);
    });
    document.start();
    await vi.advanceTimersByTimeAsync(1);
    const token = inference.open.mock.calls[0]?.[1]?.token;
    world.bytes = Uint8Array.of(2);
    document.tokenize();
    expect(token?.isCancellationRequested).toBe(true);
    await vi.runAllTimersAsync();
    finishFirst();
    await vi.runAllTimersAsync();
    expect(contents(document.state)).toBe(2);
  });

  it('tells its pages of changed filter settings, and leaves the rest to them', async () => {
    const { document, world, inference, asked, states } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    states.length = 0;
    world.changeSettings({ filter: { lossRate: 0.5 } });
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledOnce();
    expect(asked).toEqual([]);
    expect(states).toMatchObject([{ kind: 'tokenized', tokenization: { settings: { ...defaults, lossRate: 0.5 } } }]);
  });

  it('does nothing when a setting is spelled out that held already', async () => {
    const { document, world, asked, states } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    states.length = 0;
    world.changeSettings({ filter: { lossRate: defaults.lossRate } });
    await vi.runAllTimersAsync();
    expect(states).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('misses no change of the file for a change of the filter', async () => {
    const { document, world } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    world.changeSettings({ filter: { lossRate: 0.5 } });
    world.changeSettings({ filter: {} });
    expect(document.state).toMatchObject({ tokenization: { settings: defaults } });

    world.changeFile(Uint8Array.of(2));
    world.changeSettings({ filter: { lossRate: 0.5 } });
    await vi.runAllTimersAsync();
    expect(contents(document.state)).toBe(2);
  });

  it('tokenizes again with another model or other providers', async () => {
    const { document, world, inference } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    world.changeSettings({ choice: { directory: '/models/mine', providers: ['cpu'] } });
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledTimes(2);
    expect(inference.open.mock.lastCall?.[0].choice.directory).toBe('/models/mine');
  });

  it('tokenizes with a model chosen for it, whatever the setting, once that is known to load', async () => {
    const { document, world, inference } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    inference.loadModel.mockRejectedValueOnce(new TatokError('model-file-corrupt', 'It is damaged.'));
    await expect(document.useModel('/models/bad', CancellationToken.None)).rejects.toThrow('damaged');
    expect(inference.open).toHaveBeenCalledOnce();
    expect(document.state.kind).toBe('tokenized');
    await document.useModel('/models/mine', CancellationToken.None);
    await vi.runAllTimersAsync();
    expect(document.modelDirectory).toBe('/models/mine');
    expect(inference.open.mock.lastCall?.[0].choice).toEqual({ directory: '/models/mine', providers: ['cpu'] });
    world.changeSettings({ choice: { directory: '/models/other', providers: ['cpu'] } });
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledTimes(2);
  });

  it('minds the limit of megapixels only where it decides', async () => {
    const { document, world, inference } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    world.changeSettings({ maxMegapixels: 1 });
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledOnce();
    // The image has four pixels, and a megapixel has a million.
    world.changeSettings({ maxMegapixels: 4e-6 });
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledOnce();
    world.changeSettings({ maxMegapixels: 3.9e-6 });
    await vi.runAllTimersAsync();
    expect(inference.open).toHaveBeenCalledTimes(2);
    expect(inference.open.mock.lastCall?.[0].maxMegapixels).toBe(3.9e-6);
  });

  it('cancels at the wish of the user and can be retried', async () => {
    const { document, inference } = setUp();
    inference.open.mockImplementationOnce(
      (_params, call) =>
        new Promise((_resolve, reject) => {
          call?.token?.onCancellationRequested(() => reject(new TatokError('cancelled', 'Cancelled.')));
        }),
    );
    document.start();
    await vi.advanceTimersByTimeAsync(1);
    document.cancel();
    await vi.runAllTimersAsync();
    expect(document.state).toMatchObject({ kind: 'failed', failure: { actions: ['retry'] } });
    document.tokenize();
    await vi.runAllTimersAsync();
    expect(document.state.kind).toBe('tokenized');
    document.cancel();
    expect(document.state.kind).toBe('tokenized');
  });

  it('shows why tokenizing failed', async () => {
    const { document, inference } = setUp();
    inference.open.mockRejectedValueOnce(new TatokError('model-missing', 'There is no model.', 'Choose one.'));
    document.start();
    await vi.runAllTimersAsync();
    expect(document.state).toEqual({
      kind: 'failed',
      failure: { message: 'There is no model. Choose one.', actions: ['openSettings', 'retry', 'showOutput'] },
    });
    await expect(document.ask(attention, {})).rejects.toThrow('not tokenized');
  });

  it('relays analyses to the picture that it has open, by name', async () => {
    const { document, asked, world } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    expect(await document.ask({ name: 'rank', params: defaults }, {})).toBe(ranking);
    await document.ask(attention, {});
    world.changeFile(Uint8Array.of(2));
    await vi.runAllTimersAsync();
    await document.ask(attention, {});
    expect(asked).toEqual([
      { label: 1, name: 'rank', params: defaults },
      { label: 1, ...attention },
      { label: 2, ...attention },
    ]);
  });

  it('exports the tokenization under the settings given, with its ranking where there is one', async () => {
    const { document, analyses, inference } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    const filter = { ...defaults, lossRate: 0.4 };
    const exported = await document.tokenizationUnder(filter, CancellationToken.None);
    expect(exported.reconstruction).toEqual(reconstruction(filter));
    expect(exported.ranking).toBe(ranking);
    const run = inference.open.getMockImplementation();
    inference.open.mockImplementationOnce(async (...given) => {
      if (run === undefined) throw new Error('no implementation');
      return { ...(await run(...given)), model: { ...model, filters: false } };
    });
    document.tokenize();
    await vi.runAllTimersAsync();
    expect((await document.tokenizationUnder(filter, CancellationToken.None)).ranking).toBeUndefined();
    expect(analyses.rank).toHaveBeenCalledOnce();
  });

  it('gives global tokens of another image, tokenized as its own, and refuses those of more or fewer tiles', async () => {
    const { document, inference, closed } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    const { File } = vscode.FileType;
    Object.assign(vscode.workspace.fs, {
      stat: () => Promise.resolve({ size: 1, type: File }),
      readFile: () => Promise.resolve(Uint8Array.of(9)),
    });
    const parrots = vscode.Uri.parse('memfs:/photos/parrots.png');
    const { globalCodes } = tokenized(9, {}).tokens;
    expect(await document.globalTokensOf(parrots, CancellationToken.None)).toEqual({
      name: 'parrots.png',
      model: model.hash,
      globalCodes,
    });
    expect(inference.open.mock.lastCall?.[0]).toMatchObject({ file: Uint8Array.of(9), cropMode: 'centre' });
    expect(closed).toEqual([9]);
    const run = inference.open.getMockImplementation();
    inference.open.mockImplementationOnce(async (...given) => {
      if (run === undefined) throw new Error('no implementation');
      const opened = await run(...given);
      return { ...opened, tokens: { ...opened.tokens, globalCodes: new Int32Array(globalCodes.length + 1) } };
    });
    await expect(document.globalTokensOf(parrots, CancellationToken.None)).rejects.toMatchObject({
      code: 'bad-settings',
      message: `parrots.png has ${globalCodes.length + 1} global tokens and cat.png has ${globalCodes.length}.`,
    });
  });

  it('closes the picture that another replaces, or that no longer holds', async () => {
    const { document, world, closed } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    world.changeFile(Uint8Array.of(2));
    expect(closed).toEqual([]);
    await vi.runAllTimersAsync();
    expect(closed).toEqual([1]);
    world.changeFile(vscode.FileSystemError.FileNotFound());
    await vi.runAllTimersAsync();
    expect(closed).toEqual([1, 2]);
    world.changeFile(Uint8Array.of(3));
    await vi.runAllTimersAsync();
    document.dispose();
    expect(closed).toEqual([1, 2, 3]);
  });

  it('keeps a picture open for the exports that began before another replaced it', async () => {
    const { document, world, analyses, closed } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    const finish: (() => void)[] = [];
    analyses.reconstruct.mockImplementation(async (filter) => {
      await new Promise<void>((resolve) => finish.push(resolve));
      return { ...reconstruction(filter), timings: {} };
    });
    const exports = [1, 2].map(() => document.tokenizationUnder(defaults, CancellationToken.None));
    world.changeFile(Uint8Array.of(2));
    await vi.runAllTimersAsync();
    expect(closed).toEqual([]);
    finish[0]?.();
    expect((await exports[0])?.tokens.globalCodes).toEqual(Int32Array.of(1));
    expect(closed).toEqual([]);
    finish[1]?.();
    await exports[1];
    expect(closed).toEqual([1]);
  });

  it('tells when its tokens are about to be replaced', async () => {
    const { document, world } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    const first = document.untilReplaced;
    world.changeSettings({ filter: { lossRate: 0.5 } });
    await vi.runAllTimersAsync();
    expect(first.isCancellationRequested).toBe(false);
    document.tokenize();
    expect(first.isCancellationRequested).toBe(true);
    expect(document.untilReplaced.isCancellationRequested).toBe(false);
  });

  it('gives everything back when its last editor closes', async () => {
    const { document, world, states, inference, release, file } = setUp();
    document.start();
    await vi.runAllTimersAsync();
    inference.open.mockReturnValueOnce(new Promise(() => undefined));
    document.tokenize();
    await vi.runAllTimersAsync();
    states.length = 0;
    document.dispose();
    world.changeFile(Uint8Array.of(9));
    await vi.runAllTimersAsync();
    expect(states).toEqual([]);
    expect(release).toHaveBeenCalledOnce();
    expect(file.dispose).toHaveBeenCalledOnce();
    expect(inference.open.mock.lastCall?.[1]?.token?.isCancellationRequested).toBe(true);
  });

  describe('crop modes', () => {
    const modeOf = (state: DocumentState) =>
      state.kind === 'tokenized' ? state.tokenization.image.cropMode : state.kind;

    it('tokenizes as an editor chose, also after the file changed; other settings do not undo it', async () => {
      const { document, world, inference } = setUp();
      document.start();
      await vi.runAllTimersAsync();
      document.chooseCropMode('centre');
      expect(inference.open).toHaveBeenCalledTimes(1);
      document.chooseCropMode('tiles');
      await vi.runAllTimersAsync();
      expect(modeOf(document.state)).toBe('tiles');
      world.changeFile(Uint8Array.of(2));
      await vi.runAllTimersAsync();
      expect([modeOf(document.state), contents(document.state)]).toEqual(['tiles', 2]);
      world.changeSettings({ cropMode: 'fit' });
      await vi.runAllTimersAsync();
      expect(modeOf(document.state)).toBe('tiles');
      expect(inference.open).toHaveBeenCalledTimes(3);
    });

    it('follows the setting where no editor chose', async () => {
      const { document, world } = setUp();
      document.start();
      await vi.runAllTimersAsync();
      world.changeSettings({ cropMode: 'fit' });
      await vi.runAllTimersAsync();
      expect(modeOf(document.state)).toBe('fit');
    });

    it('takes what a page kept, unless an editor chose meanwhile', async () => {
      const { document } = setUp();
      document.start();
      document.restoreCropMode('tiles');
      await vi.runAllTimersAsync();
      expect(modeOf(document.state)).toBe('tiles');
      document.restoreCropMode('fit');
      await vi.runAllTimersAsync();
      expect(modeOf(document.state)).toBe('tiles');
    });

    it('goes back to what was shown when another mode is cancelled', async () => {
      const { document, closed, world } = setUp();
      document.start();
      await vi.runAllTimersAsync();
      const before = document.state;
      world.bytes = Uint8Array.of(2);
      document.chooseCropMode('tiles');
      expect(document.state.kind).toBe('working');
      document.cancel();
      await vi.runAllTimersAsync();
      expect(document.state).toEqual(before);
      await document.ask(attention, {});
      // The one that nobody waits for.
      expect(closed).toEqual([2]);
    });
  });

  it('offers to open a large image anyway, once', async () => {
    const { document, inference } = setUp();
    const tooLarge = new TatokError('image-too-large', 'It is too large.');
    inference.open.mockRejectedValueOnce(tooLarge).mockRejectedValueOnce(tooLarge);
    document.start();
    await vi.runAllTimersAsync();
    expect(document.state).toMatchObject({ failure: { actions: ['openAnyway', 'openSettings'] } });
    document.openAnyway();
    await vi.runAllTimersAsync();
    expect(inference.open.mock.calls[1]?.[0]).not.toHaveProperty('maxMegapixels');
    expect(document.state).toMatchObject({ failure: { actions: ['openSettings'] } });
  });
});
