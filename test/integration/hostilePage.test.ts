import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { Engine } from '../../src/engine/engine';
import { Models } from '../../src/host/models';
import { DocumentServer, type ServerServices } from '../../src/panel/documentServer';
import { TokenizationDocument, type DocumentServices } from '../../src/panel/tokenizationDocument';
import { analysesOver } from '../../src/protocol/analyses';
import * as protocol from '../../src/protocol/document';
import { FakeWebview } from '../unit/panel/fakeWebview';
import { openIn } from './support';

/** Everything by which a page could reach a file, a setting or a program of VS Code. */
const doors = vi.hoisted(() => ({
  fs: { readFile: vi.fn(), writeFile: vi.fn(), stat: vi.fn(), delete: vi.fn(), copy: vi.fn(), rename: vi.fn() },
  workspace: { openTextDocument: vi.fn(), getConfiguration: vi.fn(), applyEdit: vi.fn() },
  window: { showOpenDialog: vi.fn(), showSaveDialog: vi.fn(), showTextDocument: vi.fn(), createTerminal: vi.fn() },
  commands: { executeCommand: vi.fn() },
  env: { openExternal: vi.fn() },
}));
vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  const { fs, env } = doors;
  return {
    ...mock,
    env,
    workspace: { ...mock.workspace, ...doors.workspace, fs },
    window: { ...mock.window, ...doors.window },
    commands: { ...mock.commands, ...doors.commands },
  };
});

const bundles = join(import.meta.dirname, '../fixtures/bundles');
const filter = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' };
const edits = { forcedKept: [], forcedDropped: [], replaced: [] };
const png = Uint8Array.of(137, 80, 78, 71);

it('a page that sends hostile messages opens no file, loads no model and writes no setting; the next true one is answered', async () => {
  const file = await readFile(join(bundles, 'image.png'));
  const engine = new Engine();
  const never = () => ({ dispose: () => undefined });
  const log = { info: vi.fn(), error: vi.fn(), warn: vi.fn(), debug: vi.fn(), show: vi.fn() };
  const open = vi.fn<DocumentServices['inference']['open']>((params, call) =>
    openIn(engine, params, call?.onProgress, call?.onPicture),
  );
  const loadModel = vi.fn<DocumentServices['inference']['loadModel']>((choice) => engine.loadModel(choice));
  const saveFilter = vi.fn().mockResolvedValue(undefined);
  const configuration = {
    read: () => ({
      choice: { directory: join(bundles, 'tiny'), providers: ['cpu'] },
      filter: {},
      cropMode: 'centre' as const,
      cudaLibraryPath: undefined,
      maxMegapixels: 100,
      stepLimitMs: undefined,
    }),
    onDidChange: never,
    saveFilter,
  };
  const inference = { acquire: never, loadModel, open, openTokens: vi.fn() };
  const services: DocumentServices = { inference, configuration, onDidRestart: never, onDidLoad: never, log };
  const memory = new Map<string, unknown>();
  const memento = {
    get: <T>(key: string, usual?: T) => (memory.get(key) ?? usual) as T,
    update: async (key: string, value: unknown) => void memory.set(key, value),
  };
  const models = new Models(vscode.Uri.file(join(bundles, 'tiny')), configuration, memento, memento);
  const image = { uri: vscode.Uri.parse('memfs:/image.png'), name: 'image.png', onDidChange: never, dispose: vi.fn() };
  const read = vi.fn(() => Promise.resolve(file));
  const document = new TokenizationDocument({ ...image, read }, services);
  const webview = new FakeWebview();
  new DocumentServer(document, webview, { configuration, models, log } as unknown as ServerServices);
  const answered: { readonly id?: number; readonly error?: unknown }[] = [];
  const page = webview.loadPage();
  const tokenized = new Promise((resolve) => page.onNotification(protocol.tokenized, resolve));
  await page.sendRequest(protocol.ready, {});
  document.start();
  await tokenized;
  await page.sendRequest(protocol.models);
  const post = webview.postMessage;
  webview.postMessage = async (message) => {
    answered.push(message as (typeof answered)[number]);
    return post(message);
  };

  const { state } = document;
  const spies = [open, loadModel, saveFilter, read, ...Object.values(doors).flatMap((part) => Object.values(part))];
  for (const spy of spies) spy.mockClear();

  const hostile: readonly (readonly [string, unknown])[] = [
    // Models: folders, and what is no offer of the host.
    ['models/choose', { directory: '/tmp/evil' }],
    ['models/choose', { model: '/tmp/evil' }],
    ['models/choose', { model: '7' }],
    ['models/choose', { model: '__proto__' }],
    ['models/choose', { model: null, directory: '/tmp/evil' }],
    ['models/choose', [null]],
    ['models', { resource: 'file:///etc/passwd' }],
    // Settings: other keys, other values.
    ['settings/save', { ...filter, model: '/tmp/evil' }],
    ['settings/save', { ...filter, 'cuda.libraryPath': '/tmp/evil' }],
    ['settings/save', { ...filter, lossRate: NaN }],
    ['settings/save', { ...filter, edgePriority: Infinity }],
    ['settings/save', { ...filter, ranking: { toString: 'entropy' } }],
    ['settings/save', { lossRate: 0.5 }],
    ['settings/save', null],
    ['filtering', { ...filter, budget: 'all' }],
    // Exports: paths, other kinds, what is no bytes.
    ['export', { kind: 'view.png', bytes: png, path: '/etc/cron.d/evil' }],
    ['export', { kind: '../../evil.png', bytes: png }],
    ['export', { kind: 'comparison.png', bytes: png, other: '../../../evil' }],
    ['export', { kind: 'comparison.png', bytes: png }],
    ['export', { kind: 'view.png', bytes: [137, 80] }],
    ['export', { kind: 'view.png', bytes: png }],
    ['export', { kind: 'sweep.webp', settings: filter, lossRates: Array<number>(1e5).fill(0.5) }],
    ['analysis', { name: 'sweep', params: { settings: filter, lossRates: Array<number>(65).fill(0), format: 'gif' } }],
    ['export', { kind: 'view.png', bytes: { length: 1e9 } }],
    ['export', { kind: 'tokens.json', settings: { ...filter, lossRate: -1 } }],
    // Actions and crop modes: what no button offers now lifts no limit.
    ['action', ['openAnyway']],
    ['action', ['retry']],
    ['action', ['openSettings']],
    ['action', ['workbench.action.terminal.new']],
    ['cropMode/choose', ['everything']],
    ['cropMode/choose', [['tiles']]],
    ['cancel', { everything: true }],
    ['neighbour/open', { which: 'root', view: '{}' }],
    ['neighbour/open', { which: 'next', view: '{}', cropMode: '../../etc' }],
    ['view/remember', { view: 'x'.repeat(1e6) }],
    ['tokens/other', { uri: 'file:///etc/passwd' }],
    ['ready', { cropMode: 'tiles', uri: 'file:///etc/passwd' }],
    // Analyses: other names, and indices beyond the picture.
    ['analysis', { name: '__proto__', params: {} }],
    ['analysis', { name: 'constructor', params: {} }],
    ['analysis', { name: 'attention', params: { tile: 1e9, layer: 0, head: 0 } }],
    ['analysis', { name: 'attention', params: { tile: 0, layer: 1e9, head: 0 } }],
    ['analysis', { name: 'measure', params: { settings: filter, lossRates: Array<number>(1e5).fill(0.5) } }],
    ['analysis', { name: 'influence', params: { settings: filter, tile: -1, globalToken: 0 } }],
    ['analysis', { name: 'anchor', params: { codec: '../../evil', bytes: 1 } }],
    ['analysis', { name: 'anchor', params: { codec: 'webp', bytes: 1e12 } }],
    ['analysis', { name: 'anchorCurve', params: { codec: 'webp', bytes: Array<number>(1e5).fill(1) } }],
    ['analysis', { name: 'reconstruct', params: { ...filter, edits: { ...edits, forcedKept: [1e9] } } }],
    ['analysis', { name: 'reconstruct', params: { ...filter, edits: { ...edits, forcedDropped: { length: 1e9 } } } }],
    ['analysis', { name: 'nearest', params: { patch: -1 } }],
    ['analysis', { name: 'draw', params: { settings: filter, seed: -1 } }],
    [
      'export',
      { kind: 'npz', settings: filter, edits: { ...edits, replaced: [{ token: '__proto__', index: 0, code: 0 }] } },
    ],
    ['analysis', { name: 'rank', params: filter, picture: 1 }],
    // Token files: edits that are none, and commands of VS Code that are not those of undoing.
    ['edit', { edits: { ...edits, forcedKept: [1, 0] }, label: 'x' }],
    ['edit', { edits, label: 'x'.repeat(1000) }],
    ['travel', ['workbench.action.closeAllEditors']],
    ['row/choose', ['/etc/passwd']],
    // The messages of other connections, and of none.
    ['open', { picture: 1, file: png }],
    ['provider/exclude', { provider: 'cpu' }],
    ['$/cancelRequest', null],
    ['$/progress', { token: 1, value: 1 }],
  ];
  const notified = [
    'view/remember',
    'filtering',
    'action',
    'cropMode/choose',
    'cancel',
    'edit',
    'travel',
    'row/choose',
  ];
  const requests = hostile.map(([method, params], n) => ({ jsonrpc: '2.0', id: 1000 + n, method, params }));
  const expected = requests.filter(({ method }) => !notified.includes(method)).map(({ id }) => id);
  for (const { id, ...message } of requests) {
    webview.fromPage(notified.includes(message.method) ? message : { ...message, id });
  }
  await vi.waitFor(() => {
    expect(answered.map(({ id }) => id).sort()).toEqual(expected);
  });
  for (const answer of answered) expect(answer, JSON.stringify(answer.id)).toMatchObject({ error: {} });
  await sleep(0);
  const sentences = [...log.warn.mock.calls, ...log.error.mock.calls].map(([sentence]) => String(sentence));
  expect(sentences).toHaveLength(hostile.length);
  expect(sentences.filter((sentence) => sentence.includes('\n') || sentence.length > 250)).toEqual([]);

  for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  expect(memory.size).toBe(0);
  expect(document.state).toBe(state);
  expect(
    await analysesOver(page).rank(state.kind === 'tokenized' ? state.tokenization.settings : expect.fail()),
  ).toHaveProperty('order');
  document.dispose();
});
