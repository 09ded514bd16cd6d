import { beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { InferenceClient } from '../../../src/client/client';
import type { Configuration } from '../../../src/host/configuration';
import { SharedInference } from '../../../src/host/sharedInference';
import type { TatokSettings } from '../../../src/host/tatokSettings';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));
vi.mock('../../../src/client/client');

const { stop, dispose } = InferenceClient.prototype;

/** The window's inference, in a configuration and a trust that the test changes. */
function open() {
  const changed = new vscode.EventEmitter<void>();
  const granted = new vscode.EventEmitter<void>();
  Object.assign(vscode.workspace, { isTrusted: false, onDidGrantWorkspaceTrust: granted.event });
  let settings = { cudaLibraryPath: '/opt/cuda', maxMegapixels: 100, stepLimitMs: 7000 } as TatokSettings;
  const configuration = { read: () => settings, onDidChange: changed.event } as unknown as Configuration;
  const place = { extensionUri: vscode.Uri.parse('file:///ext'), globalStorageUri: vscode.Uri.parse('file:///store') };
  const log = { info: vi.fn() } as unknown as vscode.LogOutputChannel;
  const inference = new SharedInference(place, configuration, log);
  const [options] = vi.mocked(InferenceClient).mock.lastCall ?? [];
  return {
    inference,
    options: options ?? expect.fail('no client was made'),
    grantTrust: () => granted.fire(),
    change(news: Partial<TatokSettings>) {
      settings = { ...settings, ...news };
      changed.fire();
    },
  };
}

beforeEach(() => void vi.clearAllMocks());

it('ends the process when the folder of the CUDA provider changes, and starts the next one with the new folder', () => {
  const { options, change } = open();
  expect(options.cuda?.().libraryPath).toBe('/opt/cuda');
  change({ cudaLibraryPath: '/opt/other' });
  expect(stop).toHaveBeenCalledOnce();
  expect(options.cuda?.().libraryPath).toBe('/opt/other');
  change({ cudaLibraryPath: undefined });
  expect(stop).toHaveBeenCalledTimes(2);
  expect(options.cuda?.().libraryPath).toBeUndefined();
});

it('leaves the process alone when another setting changes; a changed time limit holds from the next step on', () => {
  const { options, change } = open();
  change({ maxMegapixels: 5, stepLimitMs: 9000 });
  expect(stop).not.toHaveBeenCalled();
  expect(options.stepLimitMs?.()).toBe(9000);
});

it('ends the process once the window is trusted: from then on the folder’s Python environments count', () => {
  const { grantTrust } = open();
  grantTrust();
  expect(stop).toHaveBeenCalledOnce();
});

it('ends the process before it says that another provider may be used, and for good with the extension', async () => {
  const { inference } = open();
  const restarted = vi.fn(() => expect(stop).toHaveBeenCalledOnce());
  inference.onDidRestart(restarted);
  await inference.restart();
  expect(restarted).toHaveBeenCalledOnce();
  inference.dispose();
  expect(dispose).toHaveBeenCalledOnce();
});
