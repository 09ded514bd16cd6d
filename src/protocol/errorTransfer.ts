/** Errors across borders: a TatokError is sent as a ResponseError with data, and received as itself. */
import { ErrorCodes, ResponseError } from 'vscode-jsonrpc';
import type { FailedProvider } from './engineMessages';
import { TatokError, tatokErrorCodes } from '../method/errors';

/** Data of a ResponseError: a stable code for tests and actions, and what the user can do. */
export interface ErrorData {
  readonly code: string;
  readonly advice?: string;
}

/** With `failed`, another provider may answer the request: the process is to be replaced by one that does without this one. */
export interface InferenceErrorData extends ErrorData {
  readonly failed?: FailedProvider;
}

/**
 * A provider that failed with sessions open: out of memory, lost device.
 *
 * Such sessions are never released. Releasing blocks the thread, and on a device that is gone it may never return; only the end of
 * the process gives its memory back for certain. So the client replaces the process.
 */
export class ProviderFailed extends Error {
  override readonly name = 'ProviderFailed';

  constructor(
    readonly failed: FailedProvider,
    cause: unknown,
  ) {
    super(failed.reason, { cause });
  }
}

/** Anything that is no TatokError is a fault of ours: its first line goes to the user, all of it to `log`. */
export function toResponseError(error: unknown, log: (text: string) => void): ResponseError<InferenceErrorData> {
  if (error instanceof ProviderFailed) {
    log(describe(error.cause));
    const data = { code: 'inference-failed', failed: error.failed };
    return new ResponseError(ErrorCodes.InternalError, error.message, data);
  }
  if (error instanceof TatokError) {
    if (error.cause !== undefined) log(`${error.message} Cause: ${describe(error.cause)}`);
    const data = { code: error.code, ...(error.advice === undefined ? {} : { advice: error.advice }) };
    return new ResponseError(ErrorCodes.InternalError, error.message, data);
  }
  log(describe(error));
  const line = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
  return new ResponseError(ErrorCodes.InternalError, `Tokenizing failed: ${line}`, { code: 'inference-failed' });
}

/** The TatokError that a request was refused with; anything else comes back as inference-failed. */
export function fromResponseError(error: unknown): TatokError {
  if (error instanceof TatokError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const data: unknown = error instanceof ResponseError ? error.data : undefined;
  const code = tatokErrorCodes.find((known) => known === property(data, 'code')) ?? 'inference-failed';
  return new TatokError(code, message, property(data, 'advice'), { cause: error });
}

function property(data: unknown, name: 'code' | 'advice'): string | undefined {
  if (typeof data !== 'object' || data === null || !(name in data)) return undefined;
  const value: unknown = Reflect.get(data, name);
  return typeof value === 'string' ? value : undefined;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
