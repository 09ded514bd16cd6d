import { ResponseError } from 'vscode-jsonrpc/browser';

/** What the host says of an error besides its message. */
export function detailOf(error: unknown, name: 'code' | 'advice'): string | undefined {
  const data: unknown = error instanceof ResponseError ? error.data : undefined;
  const detail: unknown = typeof data === 'object' && data !== null ? Reflect.get(data, name) : undefined;
  return typeof detail === 'string' ? detail : undefined;
}

/** Whether the host gave a request up because its tokens are about to be replaced: nothing that the user need know. */
export function isCancelled(error: unknown): boolean {
  return detailOf(error, 'code') === 'cancelled';
}
