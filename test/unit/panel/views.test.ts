import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { neighbourOf, Views } from '../../../src/panel/views';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const uri = (path: string) => vscode.Uri.parse(`memfs:${path}`);

describe('the neighbour of an image', () => {
  const { File, Directory, SymbolicLink } = vscode.FileType;
  const readDirectory = vi.fn();
  beforeEach(() => {
    Object.assign(vscode.workspace.fs, { readDirectory });
    readDirectory.mockResolvedValue([
      ['10.png', File],
      ['2.JPG', File | SymbolicLink],
      ['notes.txt', File],
      ['folder.png', Directory],
      ['1.png', File],
      ['3.webp', File],
    ]);
  });
  const neighbour = async (path: string, which: 'next' | 'previous') => (await neighbourOf(uri(path), which))?.path;

  it('is the next or previous image in the order in which people read names', async () => {
    expect(await neighbour('/photos/2.JPG', 'next')).toBe('/photos/3.webp');
    expect(await neighbour('/photos/3.webp', 'next')).toBe('/photos/10.png');
    expect(await neighbour('/photos/2.JPG', 'previous')).toBe('/photos/1.png');
    expect(readDirectory.mock.lastCall?.[0]).toMatchObject({ path: '/photos' });
  });

  it('is none at the ends, and where the folder cannot be read', async () => {
    expect(await neighbour('/photos/10.png', 'next')).toBeUndefined();
    expect(await neighbour('/photos/1.png', 'previous')).toBeUndefined();
    readDirectory.mockRejectedValue(new Error('git: has no folders'));
    expect(await neighbour('/photos/1.png', 'next')).toBeUndefined();
  });

  it('is that of an image that was deleted meanwhile', async () => {
    expect(await neighbour('/photos/2b.png', 'next')).toBe('/photos/3.webp');
  });
});

describe('the look of a page', () => {
  it('is that which another page handed to the image, once, and otherwise the last one', () => {
    const state = new Map<string, unknown>();
    const update = (key: string, value: unknown) => Promise.resolve(void state.set(key, value));
    const views = new Views({ get: (key: string) => state.get(key), update } as unknown as vscode.Memento);
    const [a, b] = [uri('/a.png'), uri('/b.png')];
    expect(views.beginning(a)).toBeUndefined();
    views.remember('{"view":"difference"}');
    views.hand(a, { view: '{"view":"swipe"}', cropMode: 'fit' });
    expect(views.cropModeOf(a)).toBe('fit');
    expect(views.cropModeOf(b)).toBeUndefined();
    expect(views.beginning(b)).toBe('{"view":"difference"}');
    expect(views.beginning(a)).toBe('{"view":"swipe"}');
    expect([views.beginning(a), views.cropModeOf(a)]).toEqual(['{"view":"difference"}', undefined]);
    // In another window too.
    expect(new Views({ get: (key: string) => state.get(key), update } as unknown as vscode.Memento).beginning(a)).toBe(
      '{"view":"difference"}',
    );
  });
});
