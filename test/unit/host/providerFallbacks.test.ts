import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { ProviderFallbacks } from '../../../src/host/providerStatus';
import type { LoadedChoice } from '../../../src/protocol/engineMessages';
import type { ProviderReport } from '../../../src/method/types';
import { until } from '../until';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const show = vi.fn<(message: string, item: string) => Promise<string | undefined>>();
vi.mocked(vscode.window.showWarningMessage).mockImplementation(show as never);
const cpuAfterCuda: ProviderReport = { provider: 'cpu', failures: [{ provider: 'cuda', reason: 'Out of memory.' }] };
const cuda: ProviderReport = { provider: 'cuda', failures: [] };

function setUp() {
  const loaded = new vscode.EventEmitter<LoadedChoice>();
  const fallbacks = new ProviderFallbacks(loaded.event, 'tatok.showOutput');
  const load = (provider: ProviderReport, directory = '/models/tiny') =>
    loaded.fire({ choice: { directory, providers: ['auto'] }, provider } as unknown as LoadedChoice);
  return { load, fallbacks };
}

beforeEach(() => {
  show.mockReset().mockResolvedValue(undefined);
  vi.mocked(vscode.commands.executeCommand).mockReset();
});

describe('ProviderFallbacks', () => {
  it('tell once that a provider failed while it ran, and what goes on, with the way to the output', async () => {
    show.mockResolvedValue('Show Output');
    const { load } = setUp();
    load(cuda);
    load(cpuAfterCuda);
    load(cpuAfterCuda);
    await until(() => vi.mocked(vscode.commands.executeCommand).mock.calls.length > 0);
    expect(vscode.commands.executeCommand).toHaveBeenCalledWith('tatok.showOutput');
    expect(show.mock.calls).toEqual([['TaTok goes on with CPU, no longer with CUDA. Out of memory.', 'Show Output']]);
  });

  it('say nothing of a provider that never ran, of another model, or of a better one', () => {
    const { load, fallbacks } = setUp();
    load(cpuAfterCuda);
    load(cuda);
    load(cpuAfterCuda, '/models/other');
    expect(show).not.toHaveBeenCalled();
    fallbacks.dispose();
    load(cpuAfterCuda);
    expect(show).not.toHaveBeenCalled();
  });
});
