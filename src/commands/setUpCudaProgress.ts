import * as vscode from 'vscode';
import { megabytes } from '../cuda/download';
import type { SetUpOptions } from '../cuda/install';
import { plain } from '../host/text';
import { window } from '../host/window';

/**
 * A notification with progress that can be cancelled.
 *
 * @param size bytes of the whole; 0 where nothing tells how far it is.
 */
export function withProgress<Result>(
  what: string,
  size: number,
  work: (options: SetUpOptions) => Promise<Result>,
): Thenable<Result> {
  const place = { location: vscode.ProgressLocation.Notification, title: plain`TaTok: ${what}`, cancellable: true };
  return window.withProgress(place, (progress, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    let shown = 0;
    const onProgress = (bytes: number) => {
      const percent = Math.floor((100 * bytes) / size);
      if (percent === shown) return;
      progress.report({ increment: percent - shown, message: plain`${megabytes(bytes)} of ${megabytes(size)}` });
      shown = percent;
    };
    return work({ signal: abort.signal, onProgress });
  });
}
