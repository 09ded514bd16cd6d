import { describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import type { OpenedPicture } from '../../src/client/client';
import { extensionApi, type ApiServices } from '../../src/extensionApi';
import { TatokError } from '../../src/method/errors';
import { tinyModel } from './model';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  // The mock's Uri.parse makes instances of the base class.
  const Uri = Object.getPrototypeOf(mock.Uri) as typeof vscode.Uri;
  return { ...mock, Uri };
});
vi.mock('../../src/panel/imageFile', () => ({
  ImageFile: class {
    name = 'cat.png';
    read = () => Promise.resolve(Uint8Array.of(1));
    dispose() {}
  },
}));

const cat = vscode.Uri.parse('file:///photos/cat.png');
const settings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;

function setUp() {
  const close = vi.fn();
  const patchCodes = Int32Array.of(1, 2);
  const opened = {
    ...{ model: tinyModel, provider: { provider: 'cpu', failures: [] }, settings, close },
    image: { width: 5, height: 3, reduction: 2, cropMode: 'centre', grid: { rows: 1, columns: 2 } },
    tokens: {
      ...{ globalCodes: Int32Array.of(7), patchCodes, entropyBits: Float32Array.of(1, 2) },
      surprisalBits: Float32Array.of(3, 4),
    },
    analyses: {
      reconstruct: vi.fn(async () => ({
        ...{ keep: Uint8Array.of(0, 1), totalTokens: 2, payloadBits: 8, maskBits: 1, psnr: 20, ssim: null },
        rgb: new Uint8Array(3 * 2 * 3),
      })),
    },
  };
  const open = vi.fn<ApiServices['inference']['open']>(() => Promise.resolve(opened as unknown as OpenedPicture));
  const configuration = {
    read: () => ({
      choice: { directory: '/models/configured', providers: ['cpu'] },
      filter: { lossRate: 0.3, ranking: 'distortion' as const },
      cropMode: 'fit' as const,
      cudaLibraryPath: undefined,
      maxMegapixels: 7,
      stepLimitMs: undefined,
    }),
  };
  const onDidTokenize = vi.fn();
  return { api: extensionApi({ inference: { open }, configuration, onDidTokenize }), open, close, patchCodes };
}

describe('the interface for other extensions', () => {
  it('tokenizes by the user’s settings, but for those that are given', async () => {
    const { api, open, close } = setUp();
    const image = await api.tokenize(cat, { model: '/models/mine', settings: { lossRate: 0.6 }, cropMode: 'tiles' });
    expect(open.mock.calls[0]?.[0]).toEqual({
      choice: { directory: '/models/mine', providers: ['cpu'] },
      file: Uint8Array.of(1),
      settings: { lossRate: 0.6, ranking: 'distortion' },
      cropMode: 'tiles',
      maxMegapixels: 7,
    });
    expect(image).toMatchObject({
      ...{ uri: cat, provider: 'cpu', totalTokens: 2, psnr: 20, ssim: null, grid: { rows: 1, columns: 2 } },
      reconstruction: { width: 3, height: 2, reduction: 2 },
    });
    expect(close).toHaveBeenCalledOnce();
  });

  it('gives copies, so that nobody changes what an inspector shows', async () => {
    const { api, patchCodes } = setUp();
    const image = await api.tokenize(cat);
    image.patchCodes.fill(9 as never);
    expect([...patchCodes]).toEqual([1, 2]);
  });

  it('refuses what is no image and no setting, in a sentence', async () => {
    const { api, open, close } = setUp();
    await expect(api.tokenize('/etc/passwd' as never)).rejects.toMatchObject({ code: 'bad-settings' });
    await expect(api.openInspector({} as never)).rejects.toMatchObject({ code: 'bad-settings' });
    for (const options of [{ settings: { lossRate: 2 } }, { cropMode: 'all' }, { extra: 1 }, null]) {
      await expect(api.tokenize(cat, options as never)).rejects.toThrow(/^The options are invalid: /);
    }
    expect(open).not.toHaveBeenCalled();
    open.mockRejectedValue(new TatokError('image-unsupported', 'cat.png is no image.'));
    await expect(api.tokenize(cat)).rejects.toMatchObject({ code: 'image-unsupported' });
    expect(close).not.toHaveBeenCalled();
  });

  it('opens an inspector where it is wanted', async () => {
    const { api } = setUp();
    await api.openInspector(cat, { viewColumn: 2, preserveFocus: true });
    expect(vscode.commands.executeCommand).toHaveBeenCalledWith('vscode.openWith', cat, 'tatok.inspector', {
      ...{ viewColumn: 2, preserveFocus: true, preview: false },
    });
  });
});
