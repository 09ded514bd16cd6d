import { setImmediate as immediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { MessageConnection } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import type { Inference } from '../../../src/host/sharedInference';
import { type ComparedSides, Comparisons, comparisonViewType } from '../../../src/panel/comparisonPanel';
import type { EditorServices } from '../../../src/panel/inspectorPanel';
import type { OpenedPicture } from '../../../src/client/client';
import { analysesOver } from '../../../src/protocol/analyses';
import { comparisonRequested } from '../../../src/protocol/comparison';
import * as protocol from '../../../src/protocol/document';
import manifest from '../../../package.json';
import { FakeWebview } from './fakeWebview';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));
vi.mock('../../../src/panel/imageFile', () => ({
  ImageFile: class {
    readonly onDidChange = () => ({ dispose: () => undefined });
    constructor(readonly uri: vscode.Uri) {}
    get name() {
      return this.uri.path.slice(this.uri.path.lastIndexOf('/') + 1);
    }
    read = () => Promise.resolve(new TextEncoder().encode(this.name));
    dispose() {}
  },
}));

const cat = vscode.Uri.parse('file:///photos/cat.png');
const dog = vscode.Uri.parse('file:///photos/dog.png');
const one = { rows: 1, columns: 1 };
const filter = { lossRate: 0.8, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;

/** The tokenized pictures, and the place of a comparison. */
function setUp(memory = new Map<string, unknown>()) {
  const reconstruct = vi.fn<OpenedPicture['ask']>(({ params }) => Promise.resolve({ settings: params, timings: {} }));
  const closed = vi.fn();
  const tokenize = vi.fn<Inference['open']>((params) =>
    Promise.resolve({
      model: { name: params.choice.directory },
      provider: { provider: 'cpu', failures: [] },
      image: { rgb: params.file, cropMode: params.cropMode, reduction: 1, tiles: one, grid: one },
      tokens: {},
      settings: filter,
      timings: {},
      ask: reconstruct,
      close: closed,
    } as unknown as OpenedPicture),
  );
  const released = vi.fn();
  const never = () => ({ dispose: () => undefined });
  const services = {
    extensionUri: vscode.Uri.parse('file:///extension'),
    inference: { open: tokenize, loadModel: vi.fn(() => Promise.resolve()), acquire: () => ({ dispose: released }) },
    onDidRestart: never,
    onDidLoad: never,
    configuration: {
      read: () => ({
        choice: { directory: '/models/configured', providers: ['cpu'] },
        filter: {},
        cropMode: 'centre',
        maxMegapixels: 100,
      }),
      onDidChange: never,
    },
    models: {
      options: () => Promise.resolve([{ directory: '/models/mine', label: 'mine' }]),
      rememberFolder: vi.fn(),
      kept: (directory: string) => (directory === '/models/bundled' ? '(bundled)' : directory),
      located: (kept: string) => (kept === '(bundled)' ? '/models/bundled' : kept),
    },
    status: { show: vi.fn(), hide: vi.fn() },
    log: { error: vi.fn(), info: vi.fn(), warn: vi.fn(), debug: vi.fn(), show: vi.fn() },
  } as unknown as EditorServices;
  const state = {
    get: <T>(key: string, usual?: T) => (memory.get(key) ?? usual) as T,
    update: async (key: string, value: unknown) => void memory.set(key, value),
  };
  const comparisons = new Comparisons(services, state);
  return { comparisons, tokenize, reconstruct, released, closed, status: services.status, memory };
}

/** A panel of VS Code, and the two halves of its page. */
function newPanel() {
  const closed = new vscode.EventEmitter<void>();
  const webview = new FakeWebview();
  const panel = {
    active: true,
    title: '',
    webview: Object.assign(webview, {
      cspSource: 'https://self',
      asWebviewUri: (uri: vscode.Uri) => uri,
      options: {},
      html: '',
    }),
    onDidChangeViewState: () => ({ dispose: () => undefined }),
    onDidDispose: closed.event,
    dispose: vi.fn(),
    reveal: vi.fn(),
  };
  return {
    panel: panel as unknown as vscode.WebviewPanel & Pick<typeof panel, 'active' | 'dispose' | 'reveal'>,
    close: () => closed.fire(),
    load: () => ({ a: webview.loadSide('a'), b: webview.loadSide('b') }),
  };
}

function open(compared: ComparedSides) {
  const world = setUp();
  const opened = newPanel();
  vi.mocked(vscode.window.createWebviewPanel).mockReturnValue(opened.panel);
  world.comparisons.open(compared);
  return { ...world, ...opened };
}

/** Models of the tokenizations that a side is told of; one that ends while its page loads is told twice. */
function told(side: MessageConnection): Set<string> {
  const names = new Set<string>();
  side.onNotification(protocol.tokenized, ({ model }) => void names.add(model.name));
  return names;
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await immediate();
}

beforeEach(() => vi.mocked(vscode.window.createWebviewPanel).mockReset());

describe('a comparison', () => {
  it('of two images tokenizes both and serves each to its side', async () => {
    const { tokenize, panel, load } = open({ a: { uri: cat }, b: { uri: dog, model: '/models/mine' } });
    const { a, b } = load();
    const [toldA, toldB] = [told(a), told(b)];
    expect(await a.sendRequest(protocol.ready, {})).toMatchObject({ name: 'cat.png' });
    expect(await b.sendRequest(protocol.ready, {})).toMatchObject({ name: 'dog.png', model: '/models/mine' });
    await settle();
    expect(tokenize).toHaveBeenCalledTimes(2);
    expect([[...toldA], [...toldB]]).toEqual([['/models/configured'], ['/models/mine']]);
    expect(panel.title).toBe('Compare cat.png ↔ dog.png');
    expect(panel.webview.html).toContain('data-page="comparison"');
  });

  it('of two thresholds tokenizes once and filters each side by its own', async () => {
    const other = { ...filter, lossRate: 0.55 };
    const sides = { a: { uri: cat, settings: filter }, b: { uri: cat, settings: other } };
    const { tokenize, reconstruct, load, panel } = open(sides);
    const { a, b } = load();
    const [toldA, toldB] = [told(a), told(b)];
    expect(await a.sendRequest(protocol.ready, {})).toMatchObject({ settings: filter });
    expect(await b.sendRequest(protocol.ready, {})).toMatchObject({ settings: other });
    await settle();
    expect(tokenize).toHaveBeenCalledOnce();
    expect([toldA.size, toldB.size]).toEqual([1, 1]);
    const answers = await Promise.all([analysesOver(a).reconstruct(filter), analysesOver(b).reconstruct(other)]);
    expect(answers.map(({ settings }) => settings.lossRate)).toEqual([0.8, 0.55]);
    expect(reconstruct).toHaveBeenCalledTimes(2);
    expect(panel.title).toBe('Compare cat.png');
  });

  it('of two models has two tokenizations of one file', async () => {
    const { tokenize } = open({ a: { uri: cat }, b: { uri: cat, model: '/models/mine' } });
    await settle();
    expect(tokenize.mock.calls.map(([{ choice }]) => choice.directory)).toEqual(['/models/configured', '/models/mine']);
  });

  it('has another model on the side alone that chose it, and remembers it for that side', async () => {
    const { tokenize, load, memory } = open({ a: { uri: cat }, b: { uri: cat } });
    const { a, b } = load();
    const kept: string[] = [];
    b.onNotification(protocol.modelKept, ({ model }) => void kept.push(model));
    await Promise.all([a.sendRequest(protocol.ready, {}), b.sendRequest(protocol.ready, {})]);
    await settle();
    const [toldA, toldB] = [told(a), told(b)];
    const { options } = await b.sendRequest(protocol.models);
    const mine = options.find(({ label }) => label === 'mine')?.id ?? expect.fail();
    expect(await b.sendRequest(protocol.chooseModel, { model: mine })).toBe(true);
    await settle();
    expect(tokenize.mock.calls.map(([{ choice }]) => choice.directory)).toEqual(['/models/configured', '/models/mine']);
    expect([[...toldA], [...toldB]]).toEqual([[], ['/models/mine']]);
    expect(kept).toEqual(['/models/mine']);
    const { comparisons } = setUp(memory);
    const { panel } = newPanel();
    const state = { a: { uri: cat.toString() }, b: { uri: cat.toString(), model: '/models/mine' } };
    await comparisons.deserializeWebviewPanel(panel, state);
    expect(panel.dispose).not.toHaveBeenCalled();
  });

  it('is cut in another way on the side alone that chose it', async () => {
    const { tokenize, load } = open({ a: { uri: cat }, b: { uri: cat } });
    const { a, b } = load();
    await Promise.all([a.sendRequest(protocol.ready, {}), b.sendRequest(protocol.ready, {})]);
    await settle();
    const toldB = told(b);
    await a.sendNotification(protocol.chooseCropMode, 'fit');
    await settle();
    expect(tokenize.mock.calls.map(([{ cropMode }]) => cropMode)).toEqual(['centre', 'fit']);
    expect(toldB.size).toBe(0);
  });

  it('keeps the crop mode that the inspector showed', async () => {
    const side = { uri: cat, cropMode: 'fit' } as const;
    const { tokenize } = open({ a: side, b: side });
    await settle();
    expect(tokenize.mock.calls.at(-1)?.[0].cropMode).toBe('fit');
  });

  it('lets go of everything when it is closed', async () => {
    const { released, closed, close, status } = open({ a: { uri: cat }, b: { uri: dog } });
    await settle();
    expect(status.show).toHaveBeenCalled();
    close();
    expect(released).toHaveBeenCalledTimes(2);
    expect(closed).toHaveBeenCalledTimes(2);
    expect(status.hide).toHaveBeenCalled();
  });
});

describe('the exports of a comparison', () => {
  it('are offered once both images are tokenized, and made by the page', async () => {
    const { comparisons, load, panel } = open({ a: { uri: cat }, b: { uri: dog } });
    const labels = () => comparisons.active?.exports.flat().map(({ label }) => label);
    expect(labels()).toEqual([]);
    const { a, b } = load();
    const asked: string[] = [];
    for (const side of [a, b]) side.onNotification(comparisonRequested, ({ kind }) => void asked.push(kind));
    await Promise.all([a.sendRequest(protocol.ready, {}), b.sendRequest(protocol.ready, {})]);
    await settle();
    expect(labels()).toEqual(['Comparison as PNG…', 'Comparison as CSV…', 'Comparison as JSON…']);
    await comparisons.active?.exports[0]?.[0]?.run();
    await comparisons.active?.copyView();
    await settle();
    expect(asked).toEqual(['comparison.png', 'copy']);
    expect(panel.reveal, 'only a page with the focus may write to the clipboard').toHaveBeenCalled();
  });

  it('wait for a page that can make them', async () => {
    const { comparisons, panel } = open({ a: { uri: cat }, b: { uri: dog } });
    await settle();
    await comparisons.active?.copyView();
    expect(vscode.window.showInformationMessage).toHaveBeenCalledWith(expect.stringContaining('not tokenized yet'));
    expect(panel.reveal).not.toHaveBeenCalled();
  });

  it('are those of the comparison that the user works in', () => {
    const { comparisons, panel, close } = open({ a: { uri: cat }, b: { uri: dog } });
    expect(comparisons.active).toBeDefined();
    Object.assign(panel, { active: false });
    expect(comparisons.active).toBeUndefined();
    Object.assign(panel, { active: true });
    close();
    expect(comparisons.active).toBeUndefined();
  });
});

describe('after the window reloads', () => {
  it('a comparison is brought back from what its page kept', async () => {
    const { memory } = open({ a: { uri: cat }, b: { uri: dog, model: '/models/mine' } });
    const { comparisons, tokenize } = setUp(memory);
    const { panel, load } = newPanel();
    const state = { a: { uri: cat.toString(), overlay: 'kept' }, b: { uri: dog.toString(), model: '/models/mine' } };
    await comparisons.deserializeWebviewPanel(panel, state);
    const { b } = load();
    expect(await b.sendRequest(protocol.ready, {})).toMatchObject({ uri: dog.toString(), model: '/models/mine' });
    await settle();
    expect(tokenize).toHaveBeenCalledTimes(2);
  });

  it('a comparison of the bundled model finds it wherever it is by now', async () => {
    const { load, memory } = open({ a: { uri: cat, model: '/models/bundled' }, b: { uri: dog } });
    const told = await load().a.sendRequest(protocol.ready, {});
    expect(told.model).toBe('(bundled)');
    const { comparisons, tokenize } = setUp(memory);
    const { panel } = newPanel();
    const state = { a: { uri: cat.toString(), model: told.model }, b: { uri: dog.toString() } };
    await comparisons.deserializeWebviewPanel(panel, state);
    await settle();
    const folders = tokenize.mock.calls.map(([{ choice }]) => choice.directory);
    expect(folders).toEqual(['/models/bundled', '/models/configured']);
  });

  it('one whose page kept nothing yet is closed', async () => {
    const { comparisons } = setUp();
    for (const state of [undefined, {}, { a: { uri: 7 }, b: {} }]) {
      const { panel } = newPanel();
      await comparisons.deserializeWebviewPanel(panel, state);
      expect(panel.dispose).toHaveBeenCalledOnce();
    }
  });

  it.each([
    ['an image that no comparison showed', { uri: 'file:///etc/secret.png' }],
    ['a model that was not chosen for it', { uri: dog.toString(), model: '/tmp/evil' }],
    ['the other image’s model', { uri: dog.toString(), model: '/models/mine' }],
  ])('a page that kept %s opens nothing', async (_, b) => {
    const { memory } = open({ a: { uri: cat, model: '/models/mine' }, b: { uri: dog } });
    const { comparisons, tokenize } = setUp(memory);
    const { panel } = newPanel();
    await comparisons.deserializeWebviewPanel(panel, { a: { uri: cat.toString(), model: '/models/mine' }, b });
    await settle();
    expect(panel.dispose).toHaveBeenCalledOnce();
    expect(tokenize).not.toHaveBeenCalled();
  });

  it('the extension is started for it', () => {
    expect(manifest.activationEvents).toContain(`onWebviewPanel:${comparisonViewType}`);
  });
});
