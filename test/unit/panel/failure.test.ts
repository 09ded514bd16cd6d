import { describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { toFailure, toTatokError } from '../../../src/panel/failure';
import { TatokError, tatokErrorCodes } from '../../../src/method/errors';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const uri = vscode.Uri.parse('memfs:/photos/cat.png');

describe('failures', () => {
  it('say what the user can do, in words and as buttons', () => {
    const error = new TatokError('model-file-corrupt', 'The model is damaged.', 'Install it again.');
    expect(toTatokError(error, 'cat.png')).toBe(error);
    expect(toFailure(error)).toEqual({
      message: 'The model is damaged. Install it again.',
      actions: ['openSettings', 'retry', 'showOutput'],
    });
  });

  it('always leave a way out', () => {
    for (const code of tatokErrorCodes) expect(toFailure(new TatokError(code, 'No.')).actions).not.toEqual([]);
  });

  it('say what happened to the file in its own words', () => {
    const missing = toTatokError(vscode.FileSystemError.FileNotFound(uri), 'cat.png');
    expect(missing).toMatchObject({ code: 'image-unreadable', message: 'cat.png was deleted or moved.' });
    expect(toTatokError(vscode.FileSystemError.NoPermissions(uri), 'cat.png').message).toMatch(/permission denied/);
  });

  it('keep the cause of anything unexpected', () => {
    const cause = new TypeError('x is not a function');
    expect(toTatokError(cause, 'cat.png')).toMatchObject({ code: 'inference-failed', cause });
    expect(toTatokError('a string', 'cat.png').message).toContain('a string');
  });
});
