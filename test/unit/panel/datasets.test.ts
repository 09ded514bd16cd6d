/** Data sets in VS Code: begun, cancelled, gone on with, brought back, and what their page can reach. Files are real; the process is not. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MessageConnection } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import manifest from '../../../package.json';
import { TatokError } from '../../../src/method/errors';
import { Datasets, datasetViewType, type DatasetPanelServices } from '../../../src/panel/datasetPanel';
import { sampledRates, sampleOf } from '../../../src/panel/datasetCurves';
import * as protocol from '../../../src/protocol/dataset';
import type { DatasetRow, DatasetState } from '../../../src/protocol/dataset';
import { runAction } from '../../../src/protocol/document';
import type { PicturesParams, TokenizedPicture } from '../../../src/protocol/engineMessages';
import { TokenDataset } from '../../../src/tokens/tokenDataset';
import { tinyModel as model } from '../model';
import { until } from '../until';
import { FakeWebview } from './fakeWebview';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  return { ...mock, env: { remoteName: undefined } };
});

/** In two shards. */
const images = 24;

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A picture whose patches have bits that follow from its file. */
function pictureOf(name: string): TokenizedPicture {
  const bits = Float32Array.from({ length: 6 }, (_, i) => ((name.length + i) % 4) + 0.5);
  return {
    geometry: {
      sourceWidth: 64,
      sourceHeight: 48,
      format: 'png',
      cropMode: 'centre',
      crop: { left: 8, top: 0, width: 48, height: 48 },
      width: 48,
      height: 32,
    },
    tokens: {
      globalCodes: Int32Array.of(1, 5),
      patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
      entropyBits: bits,
      surprisalBits: bits,
    },
    lostBits: Float32Array.from(bits, (_, i) => bits.slice(0, i + 1).reduce((a, b) => a + b, 0)),
    filtered: { keep: Uint8Array.of(0, 1, 0, 0, 0, 1), keptTokens: 2, totalTokens: 4, payloadBits: 10, maskBits: 4 },
    quality: { psnr: 20 + name.length, ssim: 0.5 },
  };
}

let folder: string;
let memory: Map<string, unknown>;
let settings: { maxMegapixels: number; filter: object };
/** Batches from this one on wait until it is opened. */
let gate: { readonly from: number; readonly opened: Promise<void> } | undefined;
let requests: PicturesParams[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-panel-'));
  await mkdir(join(folder, 'in/a'), { recursive: true });
  for (let i = 0; i < images; i++) {
    await writeFile(join(folder, `in/a/${String(i).padStart(2, '0')}.png`), i === 3 ? 'broken' : `picture ${i % 18}`);
  }
  memory = new Map();
  settings = { maxMegapixels: 7, filter: { lossRate: 0.25 } };
  gate = undefined;
  requests = [];
  vi.clearAllMocks();
  Object.assign(vscode.workspace, { isTrusted: true });
});

afterEach(() => rm(folder, { recursive: true }));

const loaded = {
  model,
  provider: { provider: 'cpu', failures: [] },
  batchSize: 4,
  precision: 'float32',
} as const;

const points = sampledRates.map((lossRate) => ({
  lossRate,
  totalTokens: 8 - Math.round(6 * lossRate),
  payloadBits: 100 * (1 - lossRate),
  maskBits: 3,
  psnr: 30 - 10 * lossRate,
  ssim: 0.5,
}));

function setUp() {
  const saveFilter = vi.fn().mockResolvedValue(undefined);
  const thumbnail = vi.fn(async () => Uint8Array.of(0xff, 0xd8));
  const closed = vi.fn();
  const open = vi.fn(async () => ({ analyses: { measure: async () => points }, close: closed }));
  const prepareBatches = vi.fn(async () => loaded);
  const services = {
    extensionUri: vscode.Uri.parse('file:///extension'),
    configuration: {
      read: () => ({ choice: { directory: '/models/tiny', providers: ['auto'] }, ...settings }),
      saveFilter,
    },
    inference: {
      acquire: () => ({ dispose: () => undefined }),
      prepareBatches,
      tokenizePictures: async (params: PicturesParams, token?: { readonly isCancellationRequested: boolean }) => {
        requests.push(params);
        if (gate !== undefined && requests.length >= gate.from) await gate.opened;
        if (token?.isCancellationRequested === true) throw new TatokError('cancelled', 'The request was cancelled.');
        const pictures = params.files.map((file) =>
          text(file) === 'broken' ? { failure: 'It is damaged.' } : pictureOf(text(file)),
        );
        return { ...loaded, pictures };
      },
      thumbnail,
      open,
    },
    log: { error: vi.fn(), info: vi.fn(), warn: vi.fn(), debug: vi.fn(), show: vi.fn() },
  } as unknown as DatasetPanelServices;
  const state = {
    get: <T>(key: string, usual?: T) => (memory.get(key) ?? usual) as T,
    update: async (key: string, value: unknown) => void memory.set(key, value),
  };
  const datasets = new Datasets(services, state);
  return { datasets, services, saveFilter, thumbnail, open, closed, prepareBatches };
}

function newPanel() {
  const disposed = new vscode.EventEmitter<void>();
  const webview = new FakeWebview();
  const panel = {
    title: '',
    webview: Object.assign(webview, { cspSource: 'x', asWebviewUri: (uri: vscode.Uri) => uri, options: {}, html: '' }),
    onDidDispose: disposed.event,
    dispose: vi.fn(() => disposed.fire()),
    reveal: vi.fn(),
  };
  vi.mocked(vscode.window.createWebviewPanel).mockReturnValue(panel as unknown as vscode.WebviewPanel);
  return { panel: panel as unknown as vscode.WebviewPanel & Pick<typeof panel, 'dispose' | 'reveal'>, webview };
}

/** What a page is told. */
async function watch(webview: FakeWebview) {
  const page: MessageConnection = webview.loadPage();
  const rows = new Map<number, DatasetRow>();
  const states: DatasetState[] = [];
  page.onNotification(protocol.stateChanged, (state) => void states.push(state));
  page.onNotification(protocol.rowsMade, (made) => {
    for (const row of made.rows) rows.set(row.index, row);
  });
  page.onNotification(protocol.rowsLost, ({ first, end }) => {
    for (let index = first; index < end; index++) rows.delete(index);
  });
  const opened = await page.sendRequest(protocol.ready);
  const reached = (phase: DatasetState['phase']) => until(() => states.at(-1)?.phase === phase);
  return { page, rows, states, opened, reached };
}

const target = () => join(folder, 'in.tokens');

/** Takes the last shard away, as if the work had been stopped before it. */
async function unfinish(dataset: string): Promise<void> {
  const path = join(dataset, 'dataset.json');
  const description = JSON.parse(await readFile(path, 'utf8')) as { shards: { file: string }[]; counts: object };
  const last = description.shards.pop();
  await rm(join(dataset, last?.file ?? ''));
  await writeFile(path, JSON.stringify({ ...description, counts: { rows: 16, failed: 1 } }));
}

/** A data set of all images, finished. */
async function finished() {
  const world = setUp();
  const { panel, webview } = newPanel();
  world.datasets.open(target(), [join(folder, 'in')]);
  const watched = await watch(webview);
  await watched.reached('complete');
  return { ...world, ...watched, panel, webview };
}

describe('a data set that is begun', () => {
  it('has a row for every image, with entropies, quality and the settings of VS Code', async () => {
    const { rows, states, opened } = await finished();
    expect(opened).toEqual({ name: 'in.tokens', uri: vscode.Uri.file(target()).toString() });
    await until(() => rows.size === images);
    expect([...rows.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: images }, (_, i) => i));
    expect(rows.get(3)).toMatchObject({ path: 'a/03.png', error: 'It is damaged.', tokens: null, label: 'a' });
    const { entropyBits } = pictureOf('picture 5').tokens;
    expect(rows.get(5)).toMatchObject({
      path: 'a/05.png',
      tokens: 4,
      psnr: 29,
      mean_entropy: entropyBits.reduce((a, b) => a + b) / 6,
    });
    // The same file under two names.
    expect(rows.get(19)?.id).toBe(rows.get(1)?.id);
    expect(states.at(-1)).toMatchObject({ phase: 'complete', total: images, written: images, failure: undefined });
    const { recipe, counts, settings: kept } = await TokenDataset.open(target());
    expect(counts).toEqual({ rows: images, failed: 1 });
    expect(recipe.columns).toEqual({ entropies: true, quality: true });
    expect(recipe.input.sources).toEqual(['in']);
    expect(kept?.lossRate).toBe(0.25);
    expect(requests[0]).toMatchObject({ maxMegapixels: 7, quality: true, choice: { providers: ['cpu'] } });
  });

  it('keeps whole shards when it is cancelled, forgets the others, and goes on from there', async () => {
    const world = setUp();
    const { webview } = newPanel();
    // The first shard has four batches.
    let open: () => void = () => undefined;
    gate = { from: 5, opened: new Promise((resolve) => (open = resolve)) };
    world.datasets.open(target(), [join(folder, 'in')]);
    const { page, rows, states, reached } = await watch(webview);
    await until(() => requests.length === 6);
    expect(states.at(-1)?.phase).toBe('running');
    await page.sendNotification(protocol.cancel);
    await immediate();
    open();
    await reached('stopped');
    expect((await TokenDataset.open(target())).counts).toEqual({ rows: 16, failed: 1 });
    expect(rows.size).toBe(16);
    gate = undefined;
    settings.filter = { lossRate: 0.75 };
    await page.sendNotification(protocol.resume);
    await reached('complete');
    expect(rows.size).toBe(images);
    const dataset = await TokenDataset.open(target());
    expect([dataset.counts, dataset.settings?.lossRate]).toEqual([{ rows: images, failed: 1 }, 0.25]);
  });

  it('says why it cannot be, and tries again when asked to', async () => {
    const world = setUp();
    const { webview } = newPanel();
    world.prepareBatches.mockRejectedValueOnce(new TatokError('model-missing', 'There is no model.'));
    world.datasets.open(target(), [join(folder, 'in')]);
    const { page, states } = await watch(webview);
    await until(() => states.at(-1)?.failure !== undefined);
    expect(states.at(-1)).toMatchObject({
      phase: 'stopped',
      failure: { message: 'There is no model.', actions: ['openSettings', 'retry', 'showOutput'] },
    });
    await page.sendNotification(runAction, 'openAnyway');
    await page.sendNotification(runAction, 'retry');
    await until(() => states.at(-1)?.phase === 'complete');
  });

  it('is refused where there are no images', async () => {
    const world = setUp();
    const { webview } = newPanel();
    await mkdir(join(folder, 'empty'));
    world.datasets.open(join(folder, 'empty.tokens'), [join(folder, 'empty')]);
    const { states } = await watch(webview);
    await until(() => states.at(-1)?.failure !== undefined);
    expect(states.at(-1)?.failure?.message).toBe('There are no images in what was chosen.');
    expect(await readdir(folder)).not.toContain('empty.tokens');
  });
});

describe('a data set that is there', () => {
  it('comes back after a reload with its rows and without work, if it was shown before', async () => {
    const { rows: before } = await finished();
    requests = [];
    const { datasets } = setUp();
    const { panel, webview } = newPanel();
    await datasets.deserializeWebviewPanel(panel, { uri: vscode.Uri.file(target()).toString() });
    const { rows, reached } = await watch(webview);
    await reached('complete');
    await until(() => rows.size === images);
    expect([...rows.values()]).toEqual([...before.values()].sort((a, b) => a.index - b.index));
    expect(requests).toEqual([]);
    const other = newPanel();
    await datasets.deserializeWebviewPanel(other.panel, { uri: vscode.Uri.file(join(folder, 'x.tokens')).toString() });
    expect(other.panel.dispose).toHaveBeenCalled();
    const odd = newPanel();
    await datasets.deserializeWebviewPanel(odd.panel, { uri: 7 });
    expect(odd.panel.dispose).toHaveBeenCalled();
  });

  it('is made whole again where a shard was deleted', async () => {
    await finished();
    await rm(join(target(), 'part-00000.parquet'));
    const { datasets } = setUp();
    const { webview } = newPanel();
    datasets.open(target());
    const { page, rows, states, reached } = await watch(webview);
    await until(() => states.at(-1)?.failure !== undefined);
    expect(states.at(-1)?.failure?.message).toContain('part-00000.parquet is missing');
    await page.sendNotification(protocol.resume);
    await reached('complete');
    await until(() => rows.size === images);
    expect((await TokenDataset.open(target())).counts).toEqual({ rows: images, failed: 1 });
  });

  it('refuses images that were added since', async () => {
    await finished();
    await unfinish(target());
    await writeFile(join(folder, 'in/a/new.png'), 'new');
    const { datasets } = setUp();
    const { webview } = newPanel();
    datasets.open(target(), [join(folder, 'in')]);
    const { states } = await watch(webview);
    await until(() => states.at(-1)?.failure !== undefined);
    expect(states.at(-1)?.failure?.message).toContain('The images are not those that in.tokens was begun with');
  });

  it('leads to images outside of its folder in a trusted workspace alone, and chooses a provider there alone', async () => {
    const inner = join(folder, 'inner');
    await mkdir(inner);
    const { datasets: first } = setUp();
    const { webview: page } = newPanel();
    first.open(join(inner, 'x.tokens'), [join(folder, 'in')]);
    await (await watch(page)).reached('complete');
    await unfinish(join(inner, 'x.tokens'));
    Object.assign(vscode.workspace, { isTrusted: false });
    requests = [];
    const { datasets, prepareBatches } = setUp();
    const { webview } = newPanel();
    datasets.open(join(inner, 'x.tokens'));
    const { page: shown, states, reached } = await watch(webview);
    await reached('stopped');
    await shown.sendNotification(protocol.resume);
    await until(() => states.at(-1)?.failure !== undefined);
    expect(states.at(-1)?.failure?.message).toContain('names images outside of its folder');
    expect(await shown.sendRequest(protocol.thumbnail, 0)).toBeNull();
    expect(requests).toEqual([]);
    await expect(shown.sendRequest(protocol.findBudgets, 5)).resolves.toBeDefined();
    expect(prepareBatches).toHaveBeenLastCalledWith(
      expect.objectContaining({ providers: ['auto'] }),
      expect.anything(),
    );
    Object.assign(vscode.workspace, { isTrusted: true });
    await shown.sendNotification(protocol.resume);
    await reached('complete');
  });

  it('is shown once', async () => {
    const { datasets, panel } = await finished();
    datasets.open(target());
    expect(panel.reveal).toHaveBeenCalledOnce();
    expect(vi.mocked(vscode.window.createWebviewPanel)).toHaveBeenCalledOnce();
  });

  it('is stopped by closing its tab, and gone on with when its folder is chosen again', async () => {
    const { datasets } = setUp();
    const { panel, webview } = newPanel();
    let open: () => void = () => undefined;
    gate = { from: 5, opened: new Promise((resolve) => (open = resolve)) };
    datasets.open(target(), [join(folder, 'in')]);
    await watch(webview);
    await until(() => requests.length === 6);
    panel.dispose();
    open();
    gate = undefined;
    await immediate();
    expect((await TokenDataset.open(target())).counts).toEqual({ rows: 16, failed: 1 });
    const { webview: again } = newPanel();
    datasets.open(target(), [join(folder, 'in')]);
    const { rows, reached } = await watch(again);
    await reached('complete');
    await until(() => rows.size === images);
    expect(requests).toHaveLength(8);
  });

  it('has a view that VS Code activates the extension for', () => {
    expect(manifest.activationEvents).toContain(`onWebviewPanel:${datasetViewType}`);
  });
});

describe('the page of a data set', () => {
  it('gets thumbnails of its rows, each made once, and none of broken ones', async () => {
    const { page, thumbnail } = await finished();
    expect(await page.sendRequest(protocol.thumbnail, 5)).toEqual(Uint8Array.of(0xff, 0xd8));
    expect(await page.sendRequest(protocol.thumbnail, 5)).toEqual(Uint8Array.of(0xff, 0xd8));
    expect(thumbnail).toHaveBeenCalledOnce();
    // As the model's image: 48 by 32.
    expect(thumbnail).toHaveBeenCalledWith(
      expect.objectContaining({ width: 96, height: 64, maxMegapixels: 7 }),
      expect.anything(),
    );
    expect(await page.sendRequest(protocol.thumbnail, 3)).toBeNull();
    expect(await page.sendRequest(protocol.thumbnail, 1e9)).toBeNull();
  });

  it('opens the inspector on an image', async () => {
    const { page } = await finished();
    await page.sendNotification(protocol.openImage, 5);
    await until(() => vi.mocked(vscode.commands.executeCommand).mock.calls.length > 0);
    const [command, uri, view] = vi.mocked(vscode.commands.executeCommand).mock.calls[0] ?? [];
    expect([command, (uri as vscode.Uri).fsPath, view]).toEqual([
      'vscode.openWith',
      join(folder, 'in/a/05.png'),
      'tatok.inspector',
    ]);
  });

  it('has curves of a sample that is the same in every run', async () => {
    const { page, open, closed, rows } = await finished();
    await until(() => rows.size === images);
    const { wanted, curves } = await page.sendRequest(protocol.measureCurves);
    expect([wanted, curves.length]).toEqual([16, 16]);
    expect(new Set(curves.map(({ index }) => rows.get(index)?.id)).size).toBe(16);
    expect(curves[0]?.points[0]).toEqual({ lossRate: 0, tokens: 8, bits: 103, psnr: 30 });
    expect(closed).toHaveBeenCalledTimes(open.mock.calls.length);
    const sample = sampleOf([...rows.values()].reverse(), 16).map(({ id }) => id);
    expect(curves.map(({ index }) => rows.get(index)?.id)).toEqual(sample);
    // Rows without tokens have no curve, and one file has one.
    expect(sampleOf(rows.values(), 100)).toHaveLength(18);
  });

  it('finds budgets, and writes what it was offered to the settings once the user agrees', async () => {
    const { page, saveFilter } = await finished();
    await expect(page.sendRequest(protocol.saveBudget, 'image')).rejects.toThrow('it was not offered');
    await expect(page.sendRequest(protocol.findBudgets, 80)).rejects.toThrow('out of reach');
    const found = await page.sendRequest(protocol.findBudgets, 5);
    expect([found.images, found.approximate]).toEqual([images - 1, false]);
    const image = found.found.find(({ kind }) => kind === 'image');
    expect(image?.spread.mean).toBeLessThanOrEqual(5);
    const ask = vi.mocked(vscode.window.showInformationMessage);
    ask.mockResolvedValueOnce(undefined);
    expect(await page.sendRequest(protocol.saveBudget, 'image')).toBe(false);
    expect(saveFilter).not.toHaveBeenCalled();
    ask.mockImplementationOnce(async (_message, _options, ...buttons) => buttons[0]);
    expect(await page.sendRequest(protocol.saveBudget, 'image')).toBe(true);
    expect(saveFilter).toHaveBeenCalledWith(
      { lossRate: image?.lossRate, edgePriority: 1, budget: 'image', ranking: 'entropy' },
      expect.objectContaining({ fsPath: target() }),
    );
  });

  it('reaches nothing by hostile messages', async () => {
    const { page, webview, services, thumbnail, open, saveFilter } = await finished();
    const before = requests.length;
    vi.clearAllMocks();
    const hostile: readonly (readonly [string, unknown])[] = [
      ['dataset/open', ['/etc/passwd']],
      ['dataset/open', [-1]],
      ['dataset/open', { index: 0 }],
      ['dataset/thumbnail', ['../../secret.png']],
      ['dataset/thumbnail', [0.5]],
      ['dataset/export', { kind: '../../evil.csv', bytes: Uint8Array.of(1) }],
      ['dataset/export', { kind: 'table.csv', bytes: [1], path: '/etc/cron.d/evil' }],
      ['dataset/budgets', ['56']],
      ['dataset/budgets', [0]],
      ['dataset/saveBudget', ['collection']],
      ['dataset/saveBudget', [{ budget: 'image', lossRate: 1 }]],
      ['dataset/resume', { folder: '/etc' }],
      ['settings/save', { lossRate: 1, edgePriority: 0, budget: 'image', ranking: 'entropy' }],
      ['models/choose', { model: null }],
      ['action', ['workbench.action.terminal.new']],
    ];
    for (const [i, [method, params]] of hostile.entries()) {
      webview.fromPage({ jsonrpc: '2.0', id: 1000 + i, method, params });
    }
    expect(services.log.warn).toHaveBeenCalledTimes(hostile.length);
    // There is no image at this place.
    await page.sendNotification(protocol.openImage, 1e6);
    await until(() => vi.mocked(vscode.window.showErrorMessage).mock.calls.length > 0);
    for (const spy of [thumbnail, open, saveFilter, vscode.commands.executeCommand, vscode.window.showSaveDialog]) {
      expect(spy).not.toHaveBeenCalled();
    }
    expect(requests).toHaveLength(before);
  });
});
