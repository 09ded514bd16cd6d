import { setImmediate as immediate } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { NullLogger, ResponseError } from 'vscode-jsonrpc/node';
import { WebviewPages } from '../../../src/panel/webviewConnection';
import * as protocol from '../../../src/protocol/document';
import { analysesOver, answerAnalyses } from '../../../src/protocol/analyses';
import type { ErrorData } from '../../../src/protocol/errorTransfer';
import type { AttentionMap } from '../../../src/method/types';
import { FakeWebview } from './fakeWebview';

const filter = { lossRate: 0.2, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
const region = { row: 0, column: 0, rows: 1, columns: 1 };
const document = { name: 'kodim23.png', uri: 'file:///kodim23.png' };

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await immediate();
}

describe('WebviewPages', () => {
  it('carries typed arrays both ways', async () => {
    const webview = new FakeWebview();
    const weights = Float32Array.of(0.25, 0.75, -0);
    new WebviewPages(webview, NullLogger, (connection) => {
      connection.onRequest(protocol.ready, () => document);
      answerAnalyses(connection, async ({ params }) => ({ params, region, weights }));
    });
    const page = webview.loadPage();
    expect(await page.sendRequest(protocol.ready, {})).toEqual(document);
    const map = await analysesOver(page).attention({ tile: 0, layer: 2, head: 'mean' });
    expect(map).toEqual({ params: { tile: 0, layer: 2, head: 'mean' }, region, weights });
    expect(map.weights).toBeInstanceOf(Float32Array);
  });

  it('rejects with the code and the advice of the error', async () => {
    const webview = new FakeWebview();
    new WebviewPages(webview, NullLogger, (connection) => {
      connection.onRequest(protocol.ready, () => document);
      answerAnalyses(connection, () => {
        const data = { code: 'inference-failed', advice: 'Mend it.' };
        return Promise.reject(new ResponseError<ErrorData>(-32803, 'It broke.', data));
      });
    });
    const page = webview.loadPage();
    await page.sendRequest(protocol.ready, {});
    await expect(analysesOver(page).reconstruct(filter)).rejects.toMatchObject({
      message: 'It broke.',
      data: { code: 'inference-failed', advice: 'Mend it.' },
    });
  });

  it('never answers a page with what its predecessor asked', async () => {
    const webview = new FakeWebview();
    const finish: ((map: AttentionMap) => void)[] = [];
    const ended = vi.fn();
    const pages = new WebviewPages(webview, NullLogger, (connection) => {
      connection.onRequest(protocol.ready, () => document);
      connection.onDispose(ended);
      answerAnalyses(connection, () => new Promise((resolve) => finish.push(resolve)));
    });
    const old = webview.loadPage();
    await old.sendRequest(protocol.ready, {});
    void analysesOver(old).attention({ tile: 0, layer: 0, head: 0 });
    await immediate();
    const oldConnection = pages.connection;

    const page = webview.loadPage();
    await page.sendRequest(protocol.ready, {});
    expect(pages.connection).not.toBe(oldConnection);
    expect(ended).toHaveBeenCalledOnce();
    // Both pages gave this request the same id; the former one's is answered first.
    const answer = analysesOver(page).attention({ tile: 0, layer: 1, head: 1 });
    await settle();
    const { sent } = webview;
    const map = { tile: 0, region, layer: 0, head: 0 } as const;
    finish[0]?.({ ...map, weights: Float32Array.of(-1) });
    await settle();
    expect(webview.sent).toBe(sent);
    finish[1]?.({ ...map, weights: Float32Array.of(2) });
    expect((await answer).weights).toEqual(Float32Array.of(2));
  });

  it('ignores what is not JSON-RPC and anything before a page is ready', async () => {
    const webview = new FakeWebview();
    const pages = new WebviewPages(webview, NullLogger, () => expect.unreachable());
    for (const junk of [undefined, null, 'ready', 7, {}, { method: 'ready' }]) webview.fromPage(junk);
    webview.fromPage({ jsonrpc: '2.0', method: 'cancel' });
    await immediate();
    expect(pages.connection).toBeUndefined();
  });

  it('sends nothing more once the editor is closed', async () => {
    const webview = new FakeWebview();
    let finish: () => void = () => undefined;
    const pages = new WebviewPages(webview, NullLogger, (connection) => {
      connection.onRequest(protocol.ready, () => document);
      connection.onRequest(protocol.saveDefaults, () => new Promise<void>((resolve) => (finish = resolve)));
    });
    const page = webview.loadPage();
    await page.sendRequest(protocol.ready, {});
    void page.sendRequest(protocol.saveDefaults, filter);
    await immediate();
    const sent = webview.sent;
    pages.dispose();
    finish();
    await immediate();
    expect(webview.sent).toBe(sent);
    expect(pages.connection).toBeUndefined();
  });
});
