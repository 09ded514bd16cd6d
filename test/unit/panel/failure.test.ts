import { describe, expect, it, vi } from 'vitest';
import { ResponseError } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import { toFailure, toProblem, toResponseError } from '../../../src/panel/failure';
import { TatokError } from '../../../src/tokenizer/errors';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const uri = vscode.Uri.parse('memfs:/photos/cat.png');

describe('failures', () => {
  it('keep the code and advice of the inference process', () => {
    const error = new ResponseError(-32803, 'The model is damaged.', {
      code: 'model-file-corrupt',
      advice: 'Install it again.',
    });
    const problem = toProblem(error, 'cat.png');
    expect(toFailure(problem)).toEqual({
      message: 'The model is damaged. Install it again.',
      actions: ['openSettings', 'retry', 'showOutput'],
    });
    expect(toResponseError(problem).data).toEqual({ code: 'model-file-corrupt', advice: 'Install it again.' });
  });

  it('read errors of this process alike', () => {
    expect(toProblem(new TatokError('image-unsupported', 'No.'), 'cat.png')).toEqual({
      code: 'image-unsupported',
      message: 'No.',
    });
  });

  it('say what happened to the file in its own words', () => {
    expect(toProblem(vscode.FileSystemError.FileNotFound(uri), 'cat.png').message).toBe(
      'cat.png was deleted or moved.',
    );
    expect(toProblem(vscode.FileSystemError.NoPermissions(uri), 'cat.png').message).toMatch(/permission denied/);
  });

  it('give unknown codes and unknown errors a way out', () => {
    const unknown = new ResponseError(-32803, 'Something new.', { code: 'invented-later' });
    for (const error of [unknown, new TypeError('x is not a function'), 'a string']) {
      expect(toFailure(toProblem(error, 'cat.png')).actions).toEqual(['retry', 'showOutput']);
    }
  });
});
