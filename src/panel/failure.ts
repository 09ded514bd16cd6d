import { ResponseError } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import type { ErrorData } from '../protocol/inference';
import type { Failure, FailureAction } from '../protocol/inspector';
import { TatokError, type TatokErrorCode } from '../tokenizer/errors';

/** What went wrong, in the terms of `TatokErrorCode`, wherever it was thrown. */
export interface Problem {
  readonly code: TatokErrorCode;
  readonly message: string;
  readonly advice?: string;
}

const actions: Record<TatokErrorCode, readonly FailureAction[]> = {
  'image-unreadable': ['retry', 'showOutput'],
  'image-too-large': ['openSettings', 'retry'],
  'image-unsupported': ['showOutput'],
  'model-missing': ['openSettings', 'retry', 'showOutput'],
  'model-invalid': ['openSettings', 'retry', 'showOutput'],
  'model-file-corrupt': ['openSettings', 'retry', 'showOutput'],
  'model-incompatible': ['openSettings', 'retry', 'showOutput'],
  'provider-unavailable': ['openSettings', 'retry', 'showOutput'],
  'inference-failed': ['retry', 'showOutput'],
  'inference-crashed': ['retry', 'showOutput'],
  'bad-settings': ['openSettings', 'showOutput'],
  cancelled: ['retry'],
};

/**
 * Reads any thrown value as a problem.
 * @param name the file's name, for sentences about the file itself.
 */
export function toProblem(error: unknown, name: string): Problem {
  if (error instanceof TatokError) return problem(error.code, error.message, error.advice);
  if (error instanceof vscode.FileSystemError) return fileProblem(error, name);
  if (error instanceof ResponseError && isErrorData(error.data)) {
    const { code, advice } = error.data;
    return problem(isKnown(code) ? code : 'inference-failed', error.message, advice);
  }
  const message = error instanceof Error ? error.message : String(error);
  return problem('inference-failed', `${name} could not be tokenized: ${message}`);
}

/** What the panel shows: one sentence (and what to do, where that is known) and buttons. */
export function toFailure({ code, message, advice }: Problem): Failure {
  return { message: advice === undefined ? message : `${message} ${advice}`, actions: actions[code] };
}

/** What a request of the webview is answered with. */
export function toResponseError({ code, message, advice }: Problem): ResponseError<ErrorData> {
  return new ResponseError(requestFailed, message, advice === undefined ? { code } : { code, advice });
}

/** JSON-RPC's RequestFailed of the language server protocol: the request was valid but could not be done. */
const requestFailed = -32803;

function problem(code: TatokErrorCode, message: string, advice?: string): Problem {
  return advice === undefined ? { code, message } : { code, message, advice };
}

function fileProblem(error: vscode.FileSystemError, name: string): Problem {
  switch (error.code) {
    case 'FileNotFound':
      return problem('image-unreadable', `${name} was deleted or moved.`, 'It is tokenized again when it is back.');
    case 'FileIsADirectory':
      return problem('image-unreadable', `${name} is a folder, not an image.`);
    case 'NoPermissions':
      return problem('image-unreadable', `${name} may not be read: permission denied.`);
    default:
      return problem('image-unreadable', `${name} could not be read: ${error.message}`);
  }
}

function isErrorData(data: unknown): data is ErrorData {
  return typeof data === 'object' && data !== null && 'code' in data && typeof data.code === 'string';
}

function isKnown(code: string): code is TatokErrorCode {
  return Object.hasOwn(actions, code);
}
