import * as vscode from 'vscode';
import type { Failure, FailureAction } from '../protocol/document';
import { TatokError, type TatokErrorCode } from '../method/errors';

const actions: Record<TatokErrorCode, readonly FailureAction[]> = {
  'image-unreadable': ['retry', 'showOutput'],
  'image-too-large': ['openAnyway', 'openSettings'],
  'image-unsupported': ['showOutput'],
  'model-missing': ['openSettings', 'retry', 'showOutput'],
  'model-invalid': ['openSettings', 'retry', 'showOutput'],
  'model-file-corrupt': ['openSettings', 'retry', 'showOutput'],
  'model-incompatible': ['openSettings', 'retry', 'showOutput'],
  'provider-unavailable': ['openSettings', 'retry', 'showOutput'],
  'inference-failed': ['retry', 'showOutput'],
  'inference-crashed': ['retry', 'showOutput'],
  'time-limit': ['retry', 'openSettings', 'showOutput'],
  'memory-limit': ['retry', 'showOutput'],
  'cuda-setup-failed': ['showOutput'],
  'bad-settings': ['openSettings', 'showOutput'],
  'tokens-invalid': ['showOutput'],
  'tokens-of-another-model': ['chooseModel', 'showOutput'],
  'input-unreadable': ['retry', 'showOutput'],
  'bad-message': ['showOutput'],
  'export-failed': ['showOutput'],
  cancelled: ['retry'],
};

/** The panel's message of a failure: one sentence (with advice, where there is some) and buttons. */
export function toFailure({ code, message, advice }: TatokError): Failure {
  return { message: advice === undefined ? message : `${message} ${advice}`, actions: actions[code] };
}

/**
 * Reads anything thrown on the way to a tokenization as an error that a user understands.
 * @param name the file's name, for sentences about the file itself.
 */
export function toTatokError(error: unknown, name: string): TatokError {
  if (error instanceof TatokError) return error;
  if (error instanceof vscode.FileSystemError) return fileError(error, name);
  const message = error instanceof Error ? error.message : String(error);
  return new TatokError('inference-failed', `${name} could not be tokenized: ${message}`, undefined, { cause: error });
}

function fileError(error: vscode.FileSystemError, name: string): TatokError {
  const unreadable = (message: string, advice?: string): TatokError =>
    new TatokError('image-unreadable', message, advice, { cause: error });
  switch (error.code) {
    case 'FileNotFound':
      return unreadable(`${name} was deleted or moved.`, 'It is tokenized again when it is back.');
    case 'FileIsADirectory':
      return unreadable(`${name} is a folder, not an image.`);
    case 'NoPermissions':
      return unreadable(`${name} may not be read: permission denied.`);
    default:
      return unreadable(`${name} could not be read: ${error.message}`);
  }
}
