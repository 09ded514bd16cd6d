import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import * as z from 'zod/mini';
import { Engine } from '../../src/engine/engine';
import type * as openPicture from '../../src/engine/openPicture';
import { DocumentServer, type ServerServices } from '../../src/panel/documentServer';
import { TokenizationDocument, type DocumentServices } from '../../src/panel/tokenizationDocument';
import { analysesOver, type Analyses, type Call, type Progress } from '../../src/protocol/analyses';
import type { KnownPicture } from '../../src/protocol/engineMessages';
import * as protocol from '../../src/protocol/document';
import { analysisRequests } from '../../src/protocol/schemas';
import { FakeWebview } from '../unit/panel/fakeWebview';
import { openIn } from './support';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

/** The interface, with an analysis more: the mean bits of the patches that hold more than `least`. */
interface MoreAnalyses extends Analyses {
  meanBits(request: { readonly least: number }, call?: Call): Promise<number>;
}

Object.assign(analysisRequests, { meanBits: () => z.strictObject({ least: z.number() }) });

// The engine, with that analysis.
vi.mock('../../src/engine/openPicture', async (original) => {
  const actual = await original<typeof openPicture>();
  class MoreCanBeAsked extends actual.OpenPicture {
    constructor(...given: ConstructorParameters<typeof actual.OpenPicture>) {
      super(...given);
      Object.assign(this.analyses, { meanBits: meanBitsOf(given[0]) });
    }
  }
  return { ...actual, OpenPicture: MoreCanBeAsked };
});

function meanBitsOf({ tokens }: KnownPicture): MoreAnalyses['meanBits'] {
  return async ({ least }, call) => {
    call?.onProgress?.({ stage: 'entropy' });
    const bits = tokens.entropyBits.filter((each) => each > least);
    return bits.reduce((sum, each) => sum + each, 0) / bits.length;
  };
}

it('an analysis that is added to interface, engine and page is relayed by the host, with its progress', async () => {
  const bundles = join(import.meta.dirname, '../fixtures/bundles');
  const file = await readFile(join(bundles, 'image.png'));
  const engine = new Engine();
  const never = () => ({ dispose: () => undefined });
  const log = { info: vi.fn(), error: vi.fn() };
  const services: DocumentServices = {
    inference: {
      acquire: never,
      loadModel: vi.fn(),
      openTokens: vi.fn(),
      open: (params, call) => openIn(engine, params, call?.onProgress, call?.onPicture),
    },
    configuration: {
      read: () => ({
        choice: { directory: join(bundles, 'tiny'), providers: ['cpu'] },
        filter: {},
        cropMode: 'centre',
        cudaLibraryPath: undefined,
        maxMegapixels: 100,
        stepLimitMs: undefined,
      }),
      onDidChange: never,
    },
    onDidRestart: never,
    onDidLoad: never,
    log,
  };
  const image = { uri: vscode.Uri.parse('memfs:/image.png'), name: 'image.png', onDidChange: never, dispose: vi.fn() };
  const document = new TokenizationDocument({ ...image, read: () => Promise.resolve(file) }, services);
  const webview = new FakeWebview();
  new DocumentServer(document, webview, services as unknown as ServerServices);

  const page = webview.loadPage();
  const tokenized = new Promise<Float32Array>((resolve) => {
    page.onNotification(protocol.tokenized, ({ tokens }) => resolve(tokens.entropyBits));
  });
  await page.sendRequest(protocol.ready, {});
  document.start();
  const entropyBits = await tokenized;
  const progress: Progress[] = [];
  const mean = await (analysesOver(page) as MoreAnalyses).meanBits(
    { least: 0 },
    { onProgress: (news) => progress.push(news) },
  );
  expect(mean).toBeCloseTo(entropyBits.reduce((sum, bits) => sum + bits, 0) / entropyBits.length, 6);
  expect(progress).toEqual([{ stage: 'entropy' }]);
  expect(log.error).not.toHaveBeenCalled();
  document.dispose();
});
