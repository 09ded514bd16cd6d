import { ResponseError } from 'vscode-jsonrpc/browser';

/** Whether the host gave a request up because its tokens are about to be replaced: nothing that the user need know. */
export function isCancelled(error: unknown): boolean {
  const data: unknown = error instanceof ResponseError ? error.data : undefined;
  return typeof data === 'object' && data !== null && 'code' in data && data.code === 'cancelled';
}
