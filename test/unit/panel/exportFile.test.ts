import sharp from 'sharp';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CancellationToken } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import { tinyTokenization } from '../export/tokenization';
import { saveExport, type ExportedDocument } from '../../../src/panel/exportFile';
import type { DataKind } from '../../../src/protocol/exports';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  const fs = { ...mock.workspace.fs, isWritableFileSystem: vi.fn(), writeFile: vi.fn() };
  return { ...mock, env: {}, workspace: { ...mock.workspace, fs, workspaceFolders: undefined } };
});

const settings = { lossRate: 0.4, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
const tokenizationUnder = vi.fn<ExportedDocument['tokenizationUnder']>();
const sweep = vi.fn<ExportedDocument['sweep']>();
const state = { kind: 'tokenized', tokenization: tinyTokenization } as unknown as ExportedDocument['state'];

function documentAt(uri: string): ExportedDocument {
  const parsed = vscode.Uri.parse(uri);
  const name = parsed.path.slice(parsed.path.lastIndexOf('/') + 1);
  return { name, uri: parsed, tokenizationUnder, sweep, state };
}

const cat = documentAt('memfs:/photos/cat.of.mine.png');
const target = vscode.Uri.parse('memfs:/elsewhere/mine.csv');
const { showSaveDialog } = vscode.window;
const { fs } = vscode.workspace;

beforeEach(() => {
  vi.mocked(showSaveDialog).mockReset().mockResolvedValue(target);
  vi.mocked(fs.writeFile).mockReset().mockResolvedValue(undefined);
  vi.mocked(fs.isWritableFileSystem).mockReset().mockReturnValue(true);
  tokenizationUnder.mockReset().mockResolvedValue(tinyTokenization);
});

const asked = (): vscode.SaveDialogOptions | undefined => vi.mocked(showSaveDialog).mock.lastCall?.[0];
const written = (): Uint8Array => vi.mocked(fs.writeFile).mock.lastCall?.[1] ?? new Uint8Array();
const save = (kind: DataKind): Promise<string | null> => saveExport(cat, { kind, settings }, CancellationToken.None);

describe('saveExport', () => {
  it('asks where, beside the image and under its name, and writes there', async () => {
    expect(await save('patches.csv')).toBe('mine.csv');
    expect(asked()?.defaultUri?.toString()).toBe('memfs:/photos/cat.of.mine.patches.csv');
    expect(asked()?.filters).toEqual({ CSV: ['csv'] });
    expect(vi.mocked(fs.writeFile).mock.lastCall?.[0]).toBe(target);
    expect(new TextDecoder().decode(written())).toMatch(/^row,column,index/);
    expect(tokenizationUnder).toHaveBeenCalledWith(settings, CancellationToken.None, undefined);
  });

  it('makes every format', async () => {
    await save('patches.json');
    expect(JSON.parse(new TextDecoder().decode(written()))).toMatchObject({ image: 'cat.of.mine.png' });
    await save('tokens.json');
    expect(JSON.parse(new TextDecoder().decode(written()))).toMatchObject({
      model: { name: 'tiny', version: '0' },
      grid: { rows: 2, columns: 3 },
      globalCodes: [1, 5],
      patchCodes: [0, 1, 2, 3, 4, 5],
      keep: [0, 0, 0, 0, 1, 1],
    });
    await save('npz');
    expect([...written().subarray(0, 2)]).toEqual([...Buffer.from('PK')]);
  });

  it('saves the bytes of the page as they are', async () => {
    const bytes = Uint8Array.of(1, 2, 3);
    await saveExport(cat, { kind: 'curve.svg', bytes, settings }, CancellationToken.None);
    expect(written()).toBe(bytes);
    await saveExport(cat, { kind: 'view.png', bytes, settings }, CancellationToken.None);
    expect(asked()?.defaultUri?.path).toBe('/photos/cat.of.mine.view.png');
    expect(written()).toBe(bytes);
    expect(tokenizationUnder).not.toHaveBeenCalled();
  });

  it('says in a picture what made it: file, model with its hash, settings', async () => {
    const bytes = await sharp({ create: { width: 2, height: 2, channels: 3, background: '#fff' } })
      .png()
      .toBuffer();
    await saveExport(cat, { kind: 'mask.png', bytes, settings }, CancellationToken.None);
    const { comments = [] } = await sharp(written()).metadata();
    const texts = Object.fromEntries(comments.map(({ keyword, text }) => [keyword, text]));
    expect(texts).toMatchObject({ Source: 'cat.of.mine.png', Description: 'mask', Model: 'tiny 0' });
    expect(texts['Model hash']).toBe(tinyTokenization.model.hash);
    expect(JSON.parse(texts['Settings'] ?? '')).toMatchObject({ lossRate: 0.4, conditioning: 'global' });
  });

  it('has a sweep of ε made in the format that is asked for', async () => {
    sweep.mockResolvedValue(Uint8Array.of(7));
    await saveExport(cat, { kind: 'sweep.gif', settings }, CancellationToken.None);
    expect(sweep).toHaveBeenCalledWith(settings, 'gif', CancellationToken.None);
    expect(written()).toEqual(Uint8Array.of(7));
    expect(asked()?.defaultUri?.path).toBe('/photos/cat.of.mine.sweep.gif');
  });

  it('names a comparison after both images, and after one that is compared with itself', async () => {
    const compare = (other: string): Promise<string | null> =>
      saveExport(cat, { kind: 'comparison.png', bytes: Uint8Array.of(1) }, CancellationToken.None, other);
    await compare('dog.jpeg');
    expect(asked()?.defaultUri?.path).toBe('/photos/cat.of.mine-dog.comparison.png');
    expect(asked()?.filters).toEqual({ PNG: ['png'] });
    await compare('cat.of.mine.png');
    expect(asked()?.defaultUri?.path).toBe('/photos/cat.of.mine.comparison.png');
  });

  it('exports no comparison where nothing is compared', async () => {
    const refused = saveExport(cat, { kind: 'comparison.png', bytes: Uint8Array.of(1) }, CancellationToken.None);
    await expect(refused).rejects.toMatchObject({ code: 'bad-message' });
    expect(showSaveDialog).not.toHaveBeenCalled();
  });

  it('computes and writes nothing when the dialog is dismissed', async () => {
    vi.mocked(showSaveDialog).mockResolvedValue(undefined);
    expect(await save('npz')).toBeNull();
    expect(tokenizationUnder).not.toHaveBeenCalled();
    expect(fs.writeFile).not.toHaveBeenCalled();
  });

  it('starts in the workspace when nothing can be written beside the image', async () => {
    vi.mocked(fs.isWritableFileSystem).mockReturnValue(false);
    const old = documentAt('git:/photos/cat.png');
    await saveExport(old, { kind: 'npz', settings }, CancellationToken.None);
    expect(asked()?.defaultUri).toBeUndefined();
    const uri = vscode.Uri.parse('file:///project');
    Object.assign(vscode.workspace, { workspaceFolders: [{ uri, name: 'work', index: 0 }] });
    await saveExport(old, { kind: 'npz', settings }, CancellationToken.None);
    expect(asked()?.defaultUri?.toString()).toBe('file:///project/cat.npz');
    Object.assign(vscode.workspace, { workspaceFolders: undefined });
  });

  it('starts in the workspace when the dialog of a remote window would take the path for one of the remote machine', async () => {
    const uri = vscode.Uri.parse('file:///project');
    Object.assign(vscode.workspace, { workspaceFolders: [{ uri, name: 'work', index: 0 }] });
    Object.assign(vscode.env, { remoteName: 'ssh-remote' });
    const startsAt = async (image: string) => {
      await saveExport(documentAt(image), { kind: 'npz', settings }, CancellationToken.None);
      return asked()?.defaultUri?.toString();
    };
    expect(await startsAt('memfs:/photos/cat.png')).toBe('file:///project/cat.npz');
    expect(await startsAt('memfs://album/photos/cat.png')).toBe('memfs://album/photos/cat.npz');
    expect(await startsAt('file:///home/me/cat.png')).toBe('file:///home/me/cat.npz');
    Object.assign(vscode.env, { remoteName: undefined });
    Object.assign(vscode.workspace, { workspaceFolders: undefined });
  });

  it('says which file could not be written, and why', async () => {
    vi.mocked(fs.writeFile).mockRejectedValue(new Error('the disk is full'));
    await expect(save('npz')).rejects.toMatchObject({
      code: 'export-failed',
      message: 'mine.csv could not be written: the disk is full',
    });
  });
});
