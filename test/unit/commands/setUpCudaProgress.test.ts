import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { withProgress } from '../../../src/commands/setUpCuda';

vi.mock('vscode', async () => ({
  ...(await import('jest-mock-vscode')).createVSCodeMock(vi),
  ProgressLocation: { Notification: 15 },
}));

type Task = Parameters<typeof vscode.window.withProgress>[1];

let cancel: () => void;
let reports: unknown[];

beforeEach(() => {
  reports = [];
  vi.mocked(vscode.window.withProgress).mockImplementation((_place, task: Task) => {
    const token = {
      isCancellationRequested: false,
      onCancellationRequested: (listener: () => void) => {
        cancel = listener;
        return { dispose: () => undefined };
      },
    } as unknown as vscode.CancellationToken;
    return task({ report: (value) => reports.push(value) }, token);
  });
});

describe('the notification of a download', () => {
  it('can be cancelled, which stops the work', async () => {
    const stopped = withProgress(
      'fetching',
      200e6,
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('stopped'))),
    );
    expect(vi.mocked(vscode.window.withProgress).mock.lastCall?.[0]).toMatchObject({ cancellable: true });
    cancel();
    expect(await stopped).toBe('stopped');
  });

  it('tells each per cent once, and begins with what an earlier attempt has left', async () => {
    await withProgress('fetching', 200e6, ({ onProgress }) => {
      for (const bytes of [57e6, 57.1e6, 58e6, 200e6]) onProgress?.(bytes);
      return Promise.resolve();
    });
    expect(reports).toEqual([
      { increment: 28, message: '57 MB of 200 MB' },
      { increment: 1, message: '58 MB of 200 MB' },
      { increment: 71, message: '200 MB of 200 MB' },
    ]);
  });
});
