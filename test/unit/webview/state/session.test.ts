import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CancellationToken, ResponseError, type MessageConnection } from 'vscode-jsonrpc/browser';
import { pageAnalysis, type Progress } from '../../../../src/protocol/analyses';
import * as protocol from '../../../../src/protocol/document';
import { Inspector } from '../../../../webview/state/inspector';
import { startSession, type Needs, type Session } from '../../../../webview/state/session';
import { readViewState } from '../../../../webview/state/viewState';
import { reconstructed, tokenization, tokenize } from './shownPicture';

interface Request {
  readonly method: string;
  readonly params: unknown;
  readonly token: CancellationToken;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The host's end of a connection, which answers when a test says so. */
class Host {
  readonly requests: Request[] = [];
  readonly notified: { readonly method: string; readonly params: unknown }[] = [];
  listening = false;
  private readonly handlers = new Map<string, (params: unknown) => void>();
  private readonly listeners = new Map<number, (progress: Progress) => void>();

  readonly connection = {
    listen: () => (this.listening = true),
    onNotification: ({ method }: { method: string }, handler: (params: unknown) => void) =>
      this.handlers.set(method, handler),
    sendNotification: ({ method }: { method: string }, params: unknown) => {
      this.notified.push({ method, params });
      return Promise.resolve();
    },
    sendRequest: ({ method }: { method: string }, params?: unknown, token = CancellationToken.None) =>
      new Promise((resolve, reject) => this.requests.push({ method, params, token, resolve, reject })),
    onProgress: (_type: unknown, number: number, listener: (progress: Progress) => void) => {
      this.listeners.set(number, listener);
      return { dispose: () => this.listeners.delete(number) };
    },
  } as unknown as MessageConnection;

  tell({ method }: { readonly method: string }, params: unknown): void {
    this.handlers.get(method)?.(params);
  }

  /** Requests for one analysis, or of one method. */
  asked(name: string): Request[] {
    return this.requests.filter(
      ({ method, params }) =>
        method === name || (method === pageAnalysis.method && (params as { name: string }).name === name),
    );
  }

  progress(request: Request | undefined, progress: Progress): void {
    this.listeners.get((request?.params as { progress: number }).progress)?.(progress);
  }
}

let host: Host;
let inspector: Inspector;
let session: Session;
let wantsAttention: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  wantsAttention = false;
  begin();
});
afterEach(() => void vi.useRealTimers());

function begin(needs: Partial<Needs> = {}): void {
  host = new Host();
  inspector = new Inspector(readViewState({ cropMode: 'fit' }));
  session = startSession(inspector, host.connection, { attention: () => wantsAttention, models: false, ...needs });
}

const turn = () => vi.advanceTimersByTimeAsync(0);
const timings = { decode: 4 };
const paramsOf = (request: Request | undefined) => (request?.params as { params: unknown } | undefined)?.params;

async function answer(request: Request | undefined, result: unknown): Promise<void> {
  request?.resolve(result);
  await turn();
}

async function refuse(request: Request | undefined, code: string, message = 'No memory.'): Promise<void> {
  request?.reject(new ResponseError(-32803, message, { code, advice: 'Try again.' }));
  await turn();
}

/** What the host answers to the n-th request for a reconstruction, under the settings asked for. */
function reconstructionOf(request: Request | undefined): object {
  const { ranking: _, ...rest } = reconstructed;
  const selected = inspector.selected.peek();
  const settings = { ...rest.settings, ...(paramsOf(request) as object) };
  return { ...rest, ...selected, settings, timings };
}

/** Tokens, and their first reconstruction. */
async function open(of = tokenization): Promise<void> {
  const { image, ...tokens } = of;
  host.tell(protocol.pictured, { image, model: of.model, settings: of.settings });
  host.tell(protocol.tokenized, tokens);
  await answer(host.asked('reconstruct')[0], reconstructionOf(host.asked('reconstruct')[0]));
}

const gpu = { ...tokenization, provider: { provider: 'cuda' as const, failures: [] } };

describe('a page and its host', () => {
  it('begin with the page that is ready, and the document that the host names', async () => {
    expect(host.listening).toBe(true);
    expect(host.requests.map(({ method, params }) => [method, params])).toEqual([['ready', { cropMode: 'fit' }]]);
    await answer(host.requests[0], { name: 'cat.png', uri: 'file:///cat.png' });
    expect(inspector.document.value).toEqual({ name: 'cat.png', uri: 'file:///cat.png' });
  });

  it('fail together where the document cannot be opened', async () => {
    await refuse(host.requests[0], 'image-unreadable', 'The file is gone.');
    expect(inspector.phase.value).toEqual({
      kind: 'failed',
      failure: { message: 'The file is gone.', actions: ['showOutput'] },
    });
  });

  it('tell each other of progress, pictures, tokens and failures, and of the settings that filter them', async () => {
    const progress = { stage: 'encode' };
    host.tell(protocol.progressed, progress);
    expect(inspector.phase.value).toEqual({ kind: 'working', progress });
    expect(host.notified).toEqual([]);
    await open();
    expect(inspector.phase.value).toEqual({ kind: 'ready' });
    expect(inspector.tokenization.value?.tokens).toBe(tokenization.tokens);
    expect(host.notified).toEqual([{ method: 'filtering', params: inspector.settings.value }]);
    inspector.lossRate.value = 0.8;
    expect(host.notified.at(-1)).toEqual({ method: 'filtering', params: inspector.settings.value });
    const failure = { message: 'It is damaged.', actions: ['retry'] };
    host.tell(protocol.failed, failure);
    expect(inspector.phase.value).toEqual({ kind: 'failed', failure });
  });
});

describe('the reconstruction', () => {
  it('is asked for at once with the first tokens, and shown with its timings', async () => {
    await open();
    expect(paramsOf(host.asked('reconstruct')[0])).toEqual(inspector.settings.value);
    expect(host.asked('reconstruct')).toHaveLength(1);
    expect(inspector.stale.value).toBe(false);
    expect(inspector.timings.value).toEqual({ ...tokenization.timings, ...timings });
    expect(inspector.reconstruction.value).not.toHaveProperty('timings');
    expect(inspector.reconstruction.value?.ranking).toEqual(inspector.ranking.value);
  });

  it('waits on the CPU until a drag has paused', async () => {
    await open();
    for (const lossRate of [0.5, 0.7, 0.9]) {
      inspector.lossRate.value = lossRate;
      await vi.advanceTimersByTimeAsync(119);
    }
    expect(host.asked('reconstruct')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(host.asked('reconstruct').map(paramsOf)).toEqual([
      expect.anything(),
      { ...inspector.settings.value, lossRate: 0.9 },
    ]);
  });

  it('follows a drag at once on a GPU, each shown before the next is begun', async () => {
    await open(gpu);
    for (const lossRate of [0.7, 0.2, 1]) inspector.lossRate.value = lossRate;
    const asked = () =>
      host.asked('reconstruct').map((request) => (paramsOf(request) as { lossRate: number }).lossRate);
    expect(asked()).toEqual([0.4, 0.7]);
    expect(host.asked('reconstruct')[1]?.token.isCancellationRequested).toBe(false);
    await answer(host.asked('reconstruct')[1], { ...reconstructed, keep: Uint8Array.of(0, 0, 0, 0, 0, 1) });
    expect(inspector.reconstruction.value?.keep).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 1));
    expect(asked()).toEqual([0.4, 0.7, 1]);
  });

  it('is not asked for where other settings keep the same', async () => {
    await open();
    inspector.lossRate.value = 0.41;
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.asked('reconstruct')).toHaveLength(1);
  });

  it('shows its progress as long as it is waited for', async () => {
    await open();
    inspector.lossRate.value = 0.9;
    await vi.advanceTimersByTimeAsync(120);
    const request = host.asked('reconstruct')[1];
    host.progress(request, { stage: 'decode' });
    expect(inspector.reconstructing.value).toEqual({ stage: 'decode' });
    await answer(request, reconstructionOf(request));
    expect(inspector.reconstructing.value).toBeUndefined();
    // Progress that comes late is none.
    host.progress(request, { stage: 'metrics' });
    expect(inspector.reconstructing.value).toBeUndefined();
  });

  it('is no longer asked for where the user stopped it, until other settings are chosen', async () => {
    await open();
    inspector.lossRate.value = 0.9;
    await vi.advanceTimersByTimeAsync(120);
    host.progress(host.asked('reconstruct')[1], { stage: 'decode' });
    session.cancel();
    expect(host.asked('reconstruct')[1]?.token.isCancellationRequested).toBe(true);
    expect([inspector.stopped.value, inspector.reconstructing.value]).toEqual([true, undefined]);
    expect(host.notified.map(({ method }) => method)).not.toContain('cancel');
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.asked('reconstruct')).toHaveLength(2);
    inspector.lossRate.value = 0.7;
    await vi.advanceTimersByTimeAsync(120);
    expect(host.asked('reconstruct')).toHaveLength(3);
    await refuse(host.asked('reconstruct')[2], 'inference-failed');
    expect(inspector.notice.value).toEqual({
      message: 'The reconstruction could not be updated: No memory.',
      actions: ['showOutput'],
    });
    // The next that succeeds takes the notice away.
    inspector.lossRate.value = 0.9;
    await vi.advanceTimersByTimeAsync(120);
    await answer(host.asked('reconstruct')[3], reconstructionOf(host.asked('reconstruct')[3]));
    expect(inspector.notice.value).toBeUndefined();
  });

  it('says nothing of a request that was cancelled', async () => {
    await open();
    inspector.lossRate.value = 0.9;
    await vi.advanceTimersByTimeAsync(120);
    host.progress(host.asked('reconstruct')[1], { stage: 'decode' });
    await refuse(host.asked('reconstruct')[1], 'cancelled');
    expect([inspector.notice.value, inspector.reconstructing.value]).toEqual([undefined, undefined]);
  });
});

describe('the ranking', () => {
  const { ranking } = reconstructed;

  it('is the host’s where the model is needed, and the reconstruction waits for it', async () => {
    await open();
    inspector.criterion.value = 'sequential';
    await vi.advanceTimersByTimeAsync(1);
    const [request] = host.asked('rank');
    expect(paramsOf(request)).toEqual({ ...inspector.settings.value, ranking: 'sequential' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.asked('reconstruct')).toHaveLength(1);
    host.progress(request, { stage: 'rank', tiles: { done: 1, total: 9 } });
    expect(inspector.reconstructing.value?.stage).toBe('rank');
    await answer(request, ranking);
    expect(inspector.ranked.value).toEqual({
      ...{ edgePriority: 0, criterion: 'sequential', rankingRounds: undefined, ranking },
    });
    expect(inspector.ranking.value).toBe(ranking);
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.asked('reconstruct')).toHaveLength(2);
  });

  it('of another β or number of rounds is another, asked for after a pause; ε has no part in it', async () => {
    await open();
    inspector.criterion.value = 'distortion';
    await answer(host.asked('rank')[0], ranking);
    inspector.lossRate.value = 0.6;
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.asked('rank')).toHaveLength(1);
    inspector.edgePriority.value = 2;
    await vi.advanceTimersByTimeAsync(119);
    expect(host.asked('rank')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(paramsOf(host.asked('rank')[1])).toMatchObject({ edgePriority: 2, lossRate: 0.6 });
    inspector.rankingRounds.value = 5;
    expect(host.asked('rank')[1]?.token.isCancellationRequested).toBe(true);
    await vi.advanceTimersByTimeAsync(120);
    expect(paramsOf(host.asked('rank')[2])).toMatchObject({ rankingRounds: 5 });
    inspector.criterion.value = 'entropy';
    expect(host.asked('rank')[2]?.token.isCancellationRequested).toBe(true);
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.asked('rank')).toHaveLength(3);
  });

  it('of other tokens is another', async () => {
    await open();
    inspector.criterion.value = 'sequential';
    await answer(host.asked('rank')[0], ranking);
    const tokens = { ...tokenization.tokens, globalCodes: Int32Array.of(2, 2) };
    tokenize(inspector, { ...tokenization, tokens });
    await turn();
    expect(host.asked('rank')).toHaveLength(2);
  });

  it('ends where the user stops it, and says why it failed', async () => {
    await open();
    inspector.criterion.value = 'sequential';
    session.cancel();
    expect(host.asked('rank')[0]?.token.isCancellationRequested).toBe(true);
    inspector.resume();
    await turn();
    await refuse(host.asked('rank')[1], 'inference-failed');
    expect(inspector.notice.value?.message).toBe('The patches could not be ranked: No memory.');
  });
});

describe('attention', () => {
  it('is asked for where it is needed, of the tile, layer and head shown', async () => {
    await open();
    expect(host.asked('attention')).toEqual([]);
    wantsAttention = true;
    inspector.chosenLayer.value = 0;
    begin({ attention: () => inspector.chosenOverlay.value === 'attention' });
    await open();
    expect(host.asked('attention')).toEqual([]);
    inspector.chosenOverlay.value = 'attention';
    expect(host.asked('attention').map(paramsOf)).toEqual([{ tile: 0, layer: 1, head: 'mean' }]);
    inspector.chosenHead.value = 1;
    expect(host.asked('attention')[0]?.token.isCancellationRequested).toBe(true);
    const [, request] = host.asked('attention');
    expect(paramsOf(request)).toEqual({ tile: 0, layer: 1, head: 1 });
    const map = { tile: 0, layer: 1, head: 1, region: inspector.tileRegion.value, weights: new Float32Array(12) };
    await answer(request, map);
    expect(inspector.attention.value).toBe(map);
    inspector.chosenLayer.value = 'mean';
    await refuse(host.asked('attention')[2], 'inference-failed');
    expect(inspector.notice.value?.message).toBe('Attention could not be read: No memory.');
  });

  it('is not asked of a model without any', async () => {
    wantsAttention = true;
    await open({ ...tokenization, model: { ...tokenization.model, attentionLayers: 0, attentionHeads: 0 } });
    expect(host.asked('attention')).toEqual([]);
  });
});

describe('controls', () => {
  it('cancel what is under way with the host, else what the page waits for', async () => {
    session.cancel();
    expect(host.notified).toEqual([{ method: 'cancel', params: undefined }]);
    expect(inspector.stopped.value).toBe(false);
    await open();
    session.cancel();
    expect(host.notified.filter(({ method }) => method === 'cancel')).toHaveLength(1);
    expect(inspector.stopped.value).toBe(true);
  });

  it('run the buttons of a failure; those that begin anew show it', () => {
    const failed = { kind: 'failed', failure: { message: 'x', actions: [] } } as const;
    for (const action of ['retry', 'openAnyway', 'showOutput', 'openSettings'] as const) {
      inspector.phase.value = failed;
      session.runAction(action);
      expect(host.notified.at(-1)).toEqual({ method: 'action', params: action });
      const begins = action === 'retry' || action === 'openAnyway';
      expect(inspector.phase.value).toEqual(begins ? { kind: 'working', progress: undefined } : failed);
    }
  });

  it('choose a model: what is shown stays until it can be used', async () => {
    inspector.notice.value = { message: 'x', actions: [] };
    const chosen = session.chooseModel('mine');
    expect(inspector.choosingModel.value).toBe(true);
    const request = () => host.asked('models/choose').at(-1);
    expect(request()?.params).toEqual({ model: 'mine' });
    await answer(request(), false);
    await chosen;
    expect(inspector.notice.value).toEqual({ message: 'x', actions: [] });
    void session.chooseModel(null);
    await answer(request(), true);
    expect([inspector.choosingModel.value, inspector.notice.value]).toEqual([false, undefined]);
    void session.chooseModel('other');
    await refuse(request(), 'model-missing', 'There is no model.');
    expect(inspector.choosingModel.value).toBe(false);
    expect(inspector.notice.value).toEqual({ message: 'There is no model. Try again.', actions: ['showOutput'] });
    void session.chooseModel('other');
    request()?.reject(new ResponseError(-32803, 'There is none.', { code: 'model-missing' }));
    await turn();
    expect(inspector.notice.value.message).toBe('There is none.');
  });

  it('choose a crop mode and a row', () => {
    session.chooseCropMode('tiles');
    expect(inspector.chosenCropMode.value).toBe('tiles');
    expect(inspector.phase.value).toEqual({ kind: 'working', progress: undefined });
    session.chooseRow('next');
    expect(host.notified).toEqual([
      { method: 'cropMode/choose', params: 'tiles' },
      { method: 'row/choose', params: 'next' },
    ]);
  });

  it('save the settings shown, or say why not', async () => {
    await open();
    void session.saveDefaults();
    expect(host.asked('settings/save')[0]?.params).toEqual(inspector.settings.value);
    await refuse(host.asked('settings/save')[0], 'bad-settings');
    expect(inspector.notice.value?.message).toBe('The settings could not be saved: No memory.');
  });
});

describe('the menu of models', () => {
  it('is asked for whenever a tokenization begins or ends, where the page has one', async () => {
    expect(host.asked('models')).toEqual([]);
    begin({ models: true });
    expect(host.requests.map(({ method }) => method)).toEqual(['ready', 'models']);
    const menu = { current: 'a', directory: '/a', options: [] };
    await answer(host.asked('models')[0], menu);
    expect(inspector.models.value).toBe(menu);
    host.tell(protocol.progressed, { stage: 'load' });
    expect(host.asked('models')).toHaveLength(1);
    await open();
    expect(host.asked('models')).toHaveLength(2);
    await refuse(host.asked('models')[1], 'model-missing');
    expect(inspector.notice.value?.message).toBe('The models could not be listed: No memory.');
  });
});

it('curve and influence say what failed', async () => {
  await open();
  void session.rateDistortion.compute();
  await refuse(host.asked('measure')[0], 'inference-failed');
  expect(inspector.notice.value?.message).toBe('The rate–distortion curve could not be measured: No memory.');
  inspector.chosenOverlay.value = 'influence';
  await refuse(host.asked('influence')[0], 'inference-failed');
  expect(inspector.notice.value?.message).toBe('The influence of global tokens could not be computed: No memory.');
  inspector.anchored.value = true;
  await refuse(host.asked('anchor')[0], 'inference-failed');
  expect(inspector.notice.value?.message).toBe('The photograph could not be encoded: No memory.');
});
