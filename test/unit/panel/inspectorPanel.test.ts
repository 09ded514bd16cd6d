import { setImmediate as immediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CancellationTokenSource, type MessageConnection } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import type { Models } from '../../../src/host/models';
import { InspectorPanel, type PanelServices } from '../../../src/panel/inspectorPanel';
import type { DocumentState, TokenizationDocument } from '../../../src/panel/tokenizationDocument';
import { analysesOver } from '../../../src/protocol/analyses';
import type { DecodedPicture } from '../../../src/protocol/engineMessages';
import * as protocol from '../../../src/protocol/document';
import { TatokError } from '../../../src/method/errors';
import type { Parts } from '../../../src/method/parts';
import { lacking, tinyModel } from '../model';
import { FakeWebview } from './fakeWebview';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const filter = { lossRate: 0.2, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
const failure: protocol.Failure = { message: 'There is no model.', actions: ['openSettings'] };
const one = { rows: 1, columns: 1 };
const picture = { image: { tiles: one, grid: one }, settings: filter } as unknown as DecodedPicture;
const tokenized = {
  kind: 'tokenized',
  tokenization: {
    image: picture.image,
    model: { name: 'tatok-s-256', globalTokens: 1, attentionLayers: 1, attentionHeads: 1 },
    provider: { provider: 'cpu', failures: [] },
    reconstruction: { settings: filter },
  },
} as unknown as DocumentState;

/** A document whose state the test sets, in an editor whose page the test loads. */
function openEditor() {
  const changed = new vscode.EventEmitter<DocumentState>();
  const viewChanged = new vscode.EventEmitter<void>();
  const replacing = new CancellationTokenSource();
  const closed = new vscode.EventEmitter<void>();
  const webview = new FakeWebview();
  const options: vscode.WebviewOptions = {};
  const document = {
    name: 'cat.png',
    uri: vscode.Uri.parse('memfs:/photos/cat.png'),
    exportedAs: { name: 'cat.png', uri: vscode.Uri.parse('memfs:/photos/cat.png') },
    state: { kind: 'idle' } as DocumentState,
    onDidChangeState: changed.event,
    onDidEdit: new vscode.EventEmitter().event,
    start: vi.fn(),
    tokenize: vi.fn(),
    cancel: vi.fn(),
    ask: vi.fn<TokenizationDocument['ask']>(),
    tokenizationUnder: vi.fn<TokenizationDocument['tokenizationUnder']>(),
    untilReplaced: replacing.token,
    modelDirectory: '/models/tatok-s-256',
    useModel: vi.fn<TokenizationDocument['useModel']>().mockResolvedValue(undefined),
  };
  const panel = {
    active: true,
    webview: Object.assign(webview, {
      cspSource: 'https://self',
      asWebviewUri: (uri: vscode.Uri) => uri,
      options,
      html: '',
    }),
    onDidChangeViewState: viewChanged.event,
    onDidDispose: closed.event,
  };
  const status = { show: vi.fn(), hide: vi.fn() };
  const log = { show: vi.fn(), error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn() };
  const models = {
    options: vi.fn<Models['options']>().mockResolvedValue([
      { directory: '/models/tatok-s-256', label: 'tatok-s-256' },
      { directory: '/models/mine', label: 'mine' },
    ]),
    ask: vi.fn<Models['ask']>(),
    remember: vi.fn<Models['remember']>().mockResolvedValue(undefined),
  };
  const saveFilter = vi.fn().mockResolvedValue(undefined);
  const editor = new InspectorPanel(
    document as unknown as TokenizationDocument,
    panel as unknown as vscode.WebviewPanel,
    {
      extensionUri: vscode.Uri.parse('file:///extension'),
      configuration: { saveFilter },
      models,
      status,
      log,
    } as unknown as PanelServices,
  );
  return {
    editor,
    document,
    panel,
    status,
    log,
    saveFilter,
    models,
    enter(state: DocumentState) {
      document.state = state;
      changed.fire(state);
    },
    activate(active: boolean) {
      panel.active = active;
      viewChanged.fire();
    },
    close: () => closed.fire(),
    replaceTokens: () => replacing.cancel(),
    loadPage() {
      const page = webview.loadPage();
      return { page, told: listen(page) };
    },
  };
}

/** Everything the host tells a page, by method. */
function listen(page: MessageConnection): string[] {
  const told: string[] = [];
  for (const type of [protocol.progressed, protocol.pictured, protocol.tokenized, protocol.failed]) {
    page.onNotification(type.method, () => void told.push(type.method));
  }
  return told;
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await immediate();
}

describe('InspectorPanel', () => {
  beforeEach(() => void vi.mocked(vscode.commands.executeCommand).mockReset());

  it('loads only files of dist and media', () => {
    const { panel } = openEditor();
    expect(panel.webview.options.localResourceRoots?.map(String)).toEqual([
      'file:///extension/dist',
      'file:///extension/media',
    ]);
    expect(panel.webview.html).toContain('file:///extension/dist/webview.js');
  });

  it('starts work before the page is ready, and then tells it of every change', async () => {
    const { document, enter, loadPage } = openEditor();
    expect(document.start).toHaveBeenCalledOnce();
    const { page, told } = loadPage();
    expect(await page.sendRequest(protocol.ready, {})).toEqual({ name: 'cat.png', uri: 'memfs:/photos/cat.png' });
    enter({ kind: 'working', progress: undefined });
    enter({ kind: 'working', progress: { stage: 'load' }, picture });
    enter({ kind: 'working', progress: { stage: 'encode' }, picture });
    enter(tokenized);
    enter({ kind: 'failed', failure });
    await settle();
    expect(told).toEqual(['pictured', 'progressed', 'progressed', 'tokenized', 'failed']);
  });

  it('tells a page that was hidden and loaded again what is known', async () => {
    const { enter, loadPage } = openEditor();
    await loadPage().page.sendRequest(protocol.ready, {});
    enter(tokenized);
    await settle();
    const { page, told } = loadPage();
    await page.sendRequest(protocol.ready, {});
    await settle();
    expect(told).toEqual(['pictured', 'tokenized']);
  });

  it('answers a failed request with its code, and keeps the details in the log', async () => {
    const { document, loadPage, log, enter } = openEditor();
    enter(tokenized);
    document.ask.mockRejectedValue(new TatokError('inference-crashed', 'It stopped.', 'Try again.'));
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    await expect(analysesOver(page).reconstruct(filter)).rejects.toMatchObject({
      message: 'It stopped.',
      data: { code: 'inference-crashed', advice: 'Try again.' },
    });
    expect(log.error).toHaveBeenCalledOnce();
  });

  it('relays no analysis that the picture or its model has not', async () => {
    const { document, loadPage, enter } = openEditor();
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    const analyses = analysesOver(page);
    const one = { tile: 0, layer: 0, head: 0 };
    await expect(analyses.attention(one)).rejects.toMatchObject({ data: { code: 'cancelled' } });
    enter(tokenized);
    for (const beyond of [{ tile: 1 }, { layer: 1 }, { head: 1 }, { head: -1 }]) {
      await expect(analyses.attention({ ...one, ...beyond })).rejects.toMatchObject({ data: { code: 'bad-message' } });
    }
    expect(document.ask).not.toHaveBeenCalled();
    document.ask.mockResolvedValueOnce('relayed');
    expect(await analyses.attention(one)).toBe('relayed');
  });

  it('cancels what a page asked when the editor closes', async () => {
    const { document, loadPage, close, editor, log, enter } = openEditor();
    enter(tokenized);
    document.ask.mockReturnValue(new Promise(() => undefined));
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    void analysesOver(page).attention({ tile: 0, layer: 0, head: 0 });
    await settle();
    const token = document.ask.mock.calls[0]?.[1].token;
    expect(token?.isCancellationRequested).toBe(false);
    close();
    expect(token?.isCancellationRequested).toBe(true);
    expect(editor.isDisposed).toBe(true);
    expect(log.error).not.toHaveBeenCalled();
  });

  it('gives up what a page asked of tokens that are about to be replaced, but no export', async () => {
    const { document, loadPage, replaceTokens, log, enter } = openEditor();
    enter(tokenized);
    document.ask.mockImplementation(
      (_, { token }) =>
        new Promise((_resolve, reject) => {
          token?.onCancellationRequested(() => reject(new TatokError('cancelled', 'The request was cancelled.')));
        }),
    );
    document.tokenizationUnder.mockReturnValue(new Promise(() => undefined));
    vi.mocked(vscode.window.showSaveDialog).mockResolvedValueOnce(vscode.Uri.parse('memfs:/photos/cat.tokens.json'));
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    const refused = expect(analysesOver(page).reconstruct(filter)).rejects.toMatchObject({
      data: { code: 'cancelled' },
    });
    void page.sendRequest(protocol.saveExport, { kind: 'tokens.json', settings: filter });
    await settle();
    replaceTokens();
    await refused;
    expect(document.tokenizationUnder.mock.calls[0]?.[1].isCancellationRequested).toBe(false);
    expect(log.error).not.toHaveBeenCalled();
  });

  it('lists models, switches to one that loads, and remembers only that', async () => {
    const { document, loadPage, models } = openEditor();
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    const menu = await page.sendRequest(protocol.models);
    const [current, mine] = menu.options.map(({ id }) => id);
    expect(menu).toMatchObject({ current, directory: '/models/tatok-s-256', options: [{}, { label: 'mine' }] });
    expect(await page.sendRequest(protocol.chooseModel, { model: mine ?? '' })).toBe(true);
    expect(document.useModel.mock.lastCall?.[0]).toBe('/models/mine');
    expect(models.ask).not.toHaveBeenCalled();
    expect(models.remember.mock.calls).toEqual([[document.uri, '/models/mine']]);
    models.ask.mockResolvedValueOnce(undefined);
    expect(await page.sendRequest(protocol.chooseModel, { model: null })).toBe(false);
    models.ask.mockRejectedValueOnce(new TatokError('model-missing', 'There is no model.', 'Choose another folder.'));
    await expect(page.sendRequest(protocol.chooseModel, { model: null })).rejects.toMatchObject({
      data: { code: 'model-missing', advice: 'Choose another folder.' },
    });
    document.useModel.mockRejectedValueOnce(new TatokError('model-file-corrupt', 'It is damaged.'));
    await expect(page.sendRequest(protocol.chooseModel, { model: current ?? '' })).rejects.toThrow('damaged');
    expect(document.useModel).toHaveBeenCalledTimes(2);
    expect(models.remember).toHaveBeenCalledOnce();
  });

  it('brings its settings into a comparison, and its exports into the command, as far as its model has them', async () => {
    const { editor, enter, loadPage } = openEditor();
    expect([editor.compared.settings, editor.exports]).toEqual([undefined, []]);
    const state = (model: Parts) =>
      ({ kind: 'tokenized', tokenization: { model, settings: filter, image: {} } }) as unknown as DocumentState;
    const labels = () => editor.exports.flat().map(({ label }) => label);
    enter(state(tinyModel));
    expect(editor.compared.settings).toEqual(filter);
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    await page.sendNotification(protocol.filtering, { ...filter, lossRate: 0.6 });
    await settle();
    expect(editor.compared.settings).toEqual({ ...filter, lossRate: 0.6 });
    expect(labels()).toContain('Entropy curve as SVG…');
    enter(state(lacking.fixedGlobals));
    expect(editor.compared.settings).toBeUndefined();
    expect(labels()).toEqual([
      ...['View as PNG…', 'Input as PNG…', 'Reconstruction as PNG…', 'Difference as PNG…'],
      ...['Attention as PNG…', 'Tokens as JSON…', 'Arrays as NumPy .npz…'],
    ]);
  });

  it('does what the buttons of a failure say', async () => {
    const { document, loadPage, log, saveFilter, enter } = openEditor();
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    enter({ kind: 'failed', failure: { message: 'It failed.', actions: ['retry', 'openSettings'] } });
    for (const action of ['retry', 'showOutput', 'openSettings'] as const) {
      await page.sendNotification(protocol.runAction, action);
    }
    await page.sendNotification(protocol.cancel);
    await page.sendRequest(protocol.saveDefaults, filter);
    expect(document.tokenize).toHaveBeenCalledOnce();
    expect(log.show).toHaveBeenCalledOnce();
    expect(vscode.commands.executeCommand).toHaveBeenCalledWith(
      'workbench.action.openSettings',
      '@ext:tatok.tatok-inspector',
    );
    expect(document.cancel).toHaveBeenCalledOnce();
    expect(saveFilter).toHaveBeenCalledWith(filter, document.uri);
  });

  it('opens the list of what CUDA needs where CUDA was asked for and is not used, and nowhere else', async () => {
    const { loadPage, log, enter } = openEditor();
    const { page } = loadPage();
    await page.sendRequest(protocol.ready, {});
    const on = (...failed: string[]) =>
      ({
        ...tokenized,
        tokenization: {
          ...(tokenized as { tokenization: object }).tokenization,
          provider: { provider: 'cpu', failures: failed.map((provider) => ({ provider, reason: 'No.' })) },
        },
      }) as unknown as DocumentState;
    const command = vi.mocked(vscode.commands.executeCommand);
    command.mockClear();
    for (const state of [on(), on('webgpu'), { kind: 'failed', failure } as const]) {
      enter(state);
      await page.sendNotification(protocol.runAction, 'setUpCuda');
      await settle();
    }
    expect(command).not.toHaveBeenCalled();
    expect(log.warn).toHaveBeenCalledTimes(3);
    enter(on('webgpu', 'cuda'));
    await page.sendNotification(protocol.runAction, 'setUpCuda');
    await settle();
    expect(command.mock.calls).toEqual([['tatok.setUpCuda']]);
  });

  it('shows the provider while it is active and has a result', () => {
    const { status, enter, activate, close } = openEditor();
    expect(status.show).not.toHaveBeenCalled();
    enter(tokenized);
    expect(status.show).toHaveBeenCalledOnce();
    status.hide.mockReset();
    activate(false);
    expect(status.hide).toHaveBeenCalledOnce();
    activate(true);
    expect(status.show).toHaveBeenCalledTimes(2);
    close();
    expect(status.hide).toHaveBeenCalledTimes(2);
  });
});
