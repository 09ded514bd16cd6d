import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { registerSetUpCuda, setUpCudaCommand, type SetUpServices } from '../../../src/commands/setUpCuda';
import type { TatokSettings } from '../../../src/host/tatokSettings';
import type { InferenceClient } from '../../../src/client/client';
import type { ProviderReport } from '../../../src/method/types';
import { showEnvironmentCommand } from '../../../src/commands/showEnvironment';
import { discoverCuda, type CudaDiscovery } from '../../../src/cuda/discovery';
import { fetchedBytes, fetchProvider, stageProvider } from '../../../src/cuda/install';
import { providerPackage } from '../../../src/cuda/package';
import { cancelledSetUp, setUpError } from '../../../src/cuda/download';
import { fakeSystem } from '../cuda/fakeSystem';
import { until } from '../until';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  const withProgress = (_place: unknown, work: (progress: unknown, token: unknown) => Promise<unknown>) =>
    work({ report: () => undefined }, { onCancellationRequested: () => undefined });
  return {
    ...mock,
    QuickPickItemKind: { Separator: -1, Default: 0 },
    ProgressLocation: { Window: 10, Notification: 15 },
    window: { ...mock.window, withProgress },
    env: { clipboard: { writeText: vi.fn() } },
  };
});
vi.mock('../../../src/cuda/install');

const driver = '/usr/lib64/libcuda.so.1';
const libraries = ['libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13', 'libcurand.so.10', 'libcudnn.so.9'];
const look = (files: readonly string[]) =>
  discoverCuda({ bindingDirectory: '/binding', storage: '/storage' }, fakeSystem({ files }));
const withoutProvider = [driver, ...libraries.map((name) => `/usr/local/cuda/lib64/${name}`)];
const complete = [
  ...withoutProvider,
  ...['shared', 'cuda'].map((name) => `/storage/libonnxruntime_providers_${name}.so`),
];

const staged = { known: true, cudaMajor: 13, commit: vi.fn(), discard: vi.fn() };
let found: CudaDiscovery;
let inference: SetUpServices['inference'];

/** The provider in use, once the model is loaded. */
let report: ProviderReport;

/** The setting tatok.providers. */
let providers: string[];
let run: () => Promise<void>;

/** Parts of the labels to choose, one for each time the list is shown. */
let chosen: string[];
let shown: string[][];

beforeEach(async () => {
  vi.clearAllMocks();
  found = await look(withoutProvider);
  report = { provider: 'cuda', failures: [] };
  providers = ['auto'];
  const loadModel = vi.fn(() => Promise.resolve({ provider: report }));
  inference = {
    client: { loadModel } as unknown as InferenceClient,
    discoverCuda: vi.fn(() => Promise.resolve(found)),
    providerStorage: '/storage',
    restart: vi.fn(),
  };
  vi.mocked(vscode.commands.registerCommand).mockImplementation((_command, callback) => {
    run = callback as typeof run;
    return { dispose: () => undefined };
  });
  chosen = [];
  shown = [];
  vi.mocked(vscode.window.showQuickPick).mockImplementation(async (items) => {
    const all = (await items) as vscode.QuickPickItem[];
    shown.push(all.map(({ label, detail }) => `${label}${detail ? ` | ${detail}` : ''}`));
    const wanted = chosen.shift();
    return wanted === undefined ? undefined : all.find(({ label }) => label.includes(wanted));
  });
  vi.mocked(fetchedBytes).mockResolvedValue(0);
  vi.mocked(fetchProvider).mockResolvedValue(staged);
  vi.mocked(stageProvider).mockResolvedValue(staged);
  const configuration = {
    read: () => ({ choice: { directory: '/model', providers } }) as unknown as TatokSettings,
  };
  registerSetUpCuda({ inference, configuration, log: { error: vi.fn() } });
});

const answer = (button: string | undefined) =>
  vi.mocked(vscode.window.showInformationMessage).mockResolvedValue(button as never);

/** The last question. */
function consent(): vscode.MessageOptions & { readonly button: unknown } {
  const [, options, button] = vi.mocked(vscode.window.showInformationMessage).mock.lastCall ?? [];
  return { ...(options as unknown as vscode.MessageOptions), button };
}

describe('Set Up CUDA', () => {
  it('shows in one list what is missing, what can be done and what was found', async () => {
    await run();
    expect(shown).toHaveLength(1);
    expect(shown[0]).toEqual([
      'Missing',
      '$(warning) The CUDA provider of ONNX Runtime 1.29.0 is not set up. | Fetch it with TaTok: Set Up CUDA…, or choose a local archive or folder there.',
      'Actions',
      '$(cloud-download) Fetch the CUDA provider of ONNX Runtime 1.29.0… | 202 MB from files.pythonhosted.org, the official onnxruntime-gpu wheel',
      expect.stringContaining('Use a local archive…'),
      expect.stringContaining('Use a local folder…'),
      '$(refresh) Look again',
      '$(copy) Copy a report for bug reports',
      'Found',
      '$(check) cuBLASLt | /usr/local/cuda/lib64/libcublasLt.so.13 (the CUDA toolkit)',
      '$(check) cuBLAS | /usr/local/cuda/lib64/libcublas.so.13 (the CUDA toolkit)',
      '$(check) cuRAND | /usr/local/cuda/lib64/libcurand.so.10 (the CUDA toolkit)',
      '$(check) CUDA runtime | /usr/local/cuda/lib64/libcudart.so.13 (the CUDA toolkit)',
      '$(check) cuDNN | /usr/local/cuda/lib64/libcudnn.so.9 (the CUDA toolkit)',
    ]);
  });

  it('fetches after consent, puts into place and starts the process anew', async () => {
    chosen = ['Fetch'];
    answer('Fetch 202 MB');
    vi.mocked(fetchProvider).mockImplementation(async () => {
      found = await look(complete);
      return staged;
    });
    await run();
    expect(staged.commit).toHaveBeenCalledOnce();
    expect(inference.restart).toHaveBeenCalledOnce();
    expect(vscode.window.showInformationMessage).toHaveBeenLastCalledWith('CUDA is set up, and in use.');
    expect(shown).toHaveLength(1);
  });

  it.each<[string, string[], ProviderReport, string]>([
    [
      'cannot be used',
      ['cuda', 'cpu'],
      { provider: 'cpu', failures: [{ provider: 'cuda', reason: 'CUDA failure 35: the driver is too old.' }] },
      'CUDA is set up, but cannot be used. CUDA failure 35: the driver is too old.',
    ],
    [
      'is not wanted first',
      ['cpu', 'cuda'],
      { provider: 'cpu', failures: [] },
      'CUDA is set up. The setting tatok.providers puts CPU first.',
    ],
    [
      'is not wanted at all',
      ['cpu'],
      { provider: 'cpu', failures: [] },
      'CUDA is set up. The setting tatok.providers does not name cuda.',
    ],
  ])('says in the end that what was set up %s', async (_, order, outcome, text) => {
    providers = order;
    chosen = ['Fetch'];
    answer('Fetch 202 MB');
    report = outcome;
    found = await look(complete);
    await run();
    const { showWarningMessage, showInformationMessage } = vscode.window;
    const told = [...vi.mocked(showWarningMessage).mock.calls, ...vi.mocked(showInformationMessage).mock.calls];
    expect(told.map(([message]) => message)).toContain(text);
  });

  it('fetches nothing without consent', async () => {
    chosen = ['Fetch'];
    answer(undefined);
    await run();
    expect(fetchProvider).not.toHaveBeenCalled();
    expect(shown).toHaveLength(2);
  });

  it('tells a failure in one sentence with what to do', async () => {
    chosen = ['Fetch'];
    answer('Fetch 202 MB');
    vi.mocked(fetchProvider).mockRejectedValue(setUpError('The download ended.', 'Start it again.'));
    await run();
    expect(vi.mocked(vscode.window.showErrorMessage).mock.calls).toEqual([
      ['The download ended. Start it again.', 'Set Up CUDA…', 'Copy Link'],
    ]);
    expect(inference.restart).not.toHaveBeenCalled();
  });

  it('leads back to the list after a failure, or gives the link of what could not be fetched', async () => {
    answer('Fetch 202 MB');
    vi.mocked(fetchProvider).mockRejectedValue(setUpError('The download ended.'));
    for (const button of ['Set Up CUDA…', 'Copy Link']) {
      chosen = ['Fetch'];
      vi.mocked(vscode.window.showErrorMessage).mockResolvedValueOnce(button as never);
      await run();
    }
    await until(() => vi.mocked(vscode.commands.executeCommand).mock.calls.length > 0);
    expect(vscode.commands.executeCommand).toHaveBeenCalledWith(setUpCudaCommand);
    await until(() => vi.mocked(vscode.env.clipboard.writeText).mock.calls.length > 0);
    expect(vscode.env.clipboard.writeText).toHaveBeenCalledWith(providerPackage.url);
  });

  it('offers no link for what was not to be fetched', async () => {
    chosen = ['local folder'];
    vi.mocked(vscode.window.showOpenDialog).mockResolvedValue([vscode.Uri.file('/downloads')]);
    vi.mocked(stageProvider).mockRejectedValue(setUpError('downloads holds no library.', 'Choose another.'));
    await run();
    expect(vi.mocked(vscode.window.showErrorMessage).mock.calls).toEqual([
      ['downloads holds no library. Choose another.', 'Set Up CUDA…'],
    ]);
  });

  it('says nothing of a download that the user cancelled, and next time how much of it is there', async () => {
    chosen = ['Fetch'];
    answer('Fetch 202 MB');
    vi.mocked(fetchProvider).mockRejectedValue(cancelledSetUp());
    await run();
    expect(vscode.window.showErrorMessage).not.toHaveBeenCalled();
    chosen = ['Fetch'];
    vi.mocked(fetchedBytes).mockResolvedValue(57e6);
    await run();
    expect(consent()).toMatchObject({ modal: true, button: 'Fetch 145 MB' });
    expect(consent().detail).toMatch(/^57 MB of it are here already\. /);
    chosen = ['Fetch'];
    vi.mocked(fetchedBytes).mockResolvedValue(providerPackage.size);
    await run();
    expect(consent().button).toBe('Unpack');
  });

  it('says before a download that it is of no use without a driver', async () => {
    found = await look([]);
    chosen = ['Fetch'];
    answer(undefined);
    await run();
    expect(consent().detail).toMatch(/^No NVIDIA driver was found\. Until that changes the download is of no use\. /);
  });

  it.each([
    ['Use It Anyway', 1, 0],
    [undefined, 0, 1],
  ])('takes a local archive of an unknown build only when told so: %s', async (button, committed, discarded) => {
    chosen = ['local archive'];
    vi.mocked(vscode.window.showOpenDialog).mockResolvedValue([vscode.Uri.file('/downloads/ort.whl')]);
    vi.mocked(vscode.window.showWarningMessage).mockResolvedValue(button as never);
    vi.mocked(stageProvider).mockResolvedValue({ ...staged, known: false });
    await run();
    expect(vi.mocked(stageProvider).mock.calls[0]?.slice(0, 2)).toEqual(['/downloads/ort.whl', '/storage']);
    expect(staged.commit).toHaveBeenCalledTimes(committed);
    expect(staged.discard).toHaveBeenCalledTimes(discarded);
  });

  it('copies the command that installs missing libraries', async () => {
    found = await look([driver]);
    chosen = ['Copy the command'];
    await run();
    expect(vscode.env.clipboard.writeText).toHaveBeenCalledWith(
      'pip install "nvidia-cublas==13.*" "nvidia-cuda-runtime==13.*" nvidia-curand nvidia-cudnn-cu13',
    );
  });

  it('leaves the report to its command', async () => {
    chosen = ['report'];
    await run();
    expect(vscode.commands.executeCommand).toHaveBeenCalledWith(showEnvironmentCommand);
  });
});
