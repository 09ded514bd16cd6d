import { beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { ProviderStatus } from '../../../src/host/providerStatus';
import type { LoadedModel } from '../../../src/protocol/engineMessages';
import { tinyModel } from '../model';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const item = { name: '', text: '', command: '', tooltip: undefined, show: vi.fn(), hide: vi.fn(), dispose: vi.fn() };
const loaded = (provider: 'cuda' | 'cpu'): LoadedModel => ({ model: tinyModel, provider: { provider, failures: [] } });

beforeEach(() => {
  vi.clearAllMocks();
  vi.spyOn(vscode.window, 'createStatusBarItem').mockReturnValue(item as unknown as vscode.StatusBarItem);
});

it('is hidden by the editor that it shows, and by no other', () => {
  const status = new ProviderStatus('tatok.showOutput');
  const [one, two] = [{}, {}];
  status.show(one, loaded('cpu'));
  expect(item.text).toBe('TaTok: CPU');
  status.show(two, loaded('cuda'));
  expect(item.text).toBe('TaTok: CUDA');
  // The editor that was active before learns of it after the one that is active now.
  status.hide(one);
  expect(item.hide).not.toHaveBeenCalled();
  status.hide(two);
  status.hide(two);
  expect(item.hide).toHaveBeenCalledOnce();
});
