import * as vscode from 'vscode';
import { discoveryLines } from '../host/environmentReport';
import type { SharedInference } from '../host/inference';
import { adviceOn, pipCommand, pipHelps } from '../inference/cuda/advice';
import { archiveExtensions } from '../inference/cuda/archive';
import type { CudaDiscovery } from '../inference/cuda/discovery';
import { hostOf, megabytes } from '../inference/cuda/download';
import { fetchProvider, stageProvider, type SetUpOptions, type StagedProvider } from '../inference/cuda/install';
import { providerPackage } from '../inference/cuda/package';
import { runtimeVersion } from '../inference/cuda/requirements';
import { TatokError } from '../tokenizer/errors';
import { showEnvironmentCommand } from './showEnvironment';

export const setUpCudaCommand = 'tatok.setUpCuda';

export interface SetUpServices {
  readonly inference: Pick<SharedInference, 'discoverCuda' | 'providerStorage' | 'restart'>;
  readonly log: Pick<vscode.LogOutputChannel, 'error'>;
}

/** *TaTok: Set Up CUDA…*: one list of what was found, what is missing and what can be done about it. */
export function registerSetUpCuda(services: SetUpServices): vscode.Disposable {
  return vscode.commands.registerCommand(setUpCudaCommand, () => setUpCuda(services));
}

async function setUpCuda(services: SetUpServices): Promise<void> {
  for (;;) {
    const choice = await askWhatToDo(services);
    if (choice?.run === undefined) return;
    try {
      if ((await choice.run()) === 'done') return;
    } catch (error) {
      if (!(error instanceof TatokError)) throw error;
      if (error.code === 'cancelled') return;
      services.log.error(error.message, error.cause ?? '');
      const message = error.advice === undefined ? error.message : `${error.message} ${error.advice}`;
      void vscode.window.showErrorMessage(message);
      return;
    }
  }
}

/** 'again' shows the list again. */
type Outcome = 'done' | 'again';

interface Choice extends vscode.QuickPickItem {
  /** Absent for lines that only tell something. */
  readonly run?: () => Promise<Outcome>;
}

async function askWhatToDo(services: SetUpServices): Promise<Choice | undefined> {
  const choices = services.inference
    .discoverCuda()
    .then((discovery) => [...verdict(discovery), ...actions(discovery, services), ...found(discovery)]);
  return vscode.window.showQuickPick<Choice>(choices, {
    title: 'TaTok: Set Up CUDA',
    placeHolder: 'What was found, what is missing, and what can be done',
    matchOnDetail: true,
  });
}

function verdict(discovery: CudaDiscovery): Choice[] {
  const { problems } = discovery;
  if (problems.length === 0) {
    return [{ label: '$(pass) Nothing is missing', detail: 'CUDA is used when a model is loaded next.', run: again }];
  }
  return [
    { label: 'Missing', kind: vscode.QuickPickItemKind.Separator },
    ...problems.map((problem) => ({
      label: `$(warning) ${problem.message}`,
      detail: adviceOn(problem, discovery) ?? '',
      run: again,
    })),
  ];
}

function found(discovery: CudaDiscovery): Choice[] {
  const lines = discoveryLines(discovery);
  if (lines.length === 0) return [];
  return [
    { label: 'Found', kind: vscode.QuickPickItemKind.Separator },
    ...lines.map(({ label, detail }) => ({ label: `$(check) ${label}`, detail, run: again })),
  ];
}

function actions(discovery: CudaDiscovery, services: SetUpServices): Choice[] {
  const report: Choice = {
    label: '$(copy) Copy a report for bug reports',
    run: async () => {
      await vscode.commands.executeCommand(showEnvironmentCommand);
      return 'done';
    },
  };
  const heading: Choice = { label: 'Actions', kind: vscode.QuickPickItemKind.Separator };
  if (discovery.problems.some(({ kind }) => kind === 'platform')) return [heading, report];
  const command = pipCommand(discovery.requirements);
  return [
    heading,
    {
      label: `$(cloud-download) Fetch the CUDA provider of ONNX Runtime ${runtimeVersion}…`,
      detail: `${megabytes(providerPackage.size)} from ${hostOf(providerPackage)}, the official onnxruntime-gpu wheel`,
      run: () => fetchAfterConsent(services),
    },
    {
      label: '$(folder-opened) Use a local archive…',
      detail: 'Without internet: the onnxruntime-gpu wheel, or another archive with its two libraries',
      run: () => takeLocal(services, false),
    },
    {
      label: '$(folder) Use a local folder…',
      detail: 'It holds the two provider libraries',
      run: () => takeLocal(services, true),
    },
    ...(pipHelps(discovery)
      ? [
          {
            label: '$(terminal) Copy the command that installs the missing libraries',
            detail: command,
            run: async () => {
              await vscode.env.clipboard.writeText(command);
              return again();
            },
          },
        ]
      : []),
    { label: '$(refresh) Look again', run: again },
    report,
  ];
}

function again(): Promise<Outcome> {
  return Promise.resolve('again');
}

async function fetchAfterConsent(services: SetUpServices): Promise<Outcome> {
  const { size, unpackedSize, name } = providerPackage;
  const consent = `Fetch ${megabytes(size)}`;
  const answer = await vscode.window.showInformationMessage(
    `Fetch ${name} (${megabytes(size)}) from ${hostOf(providerPackage)}?`,
    {
      modal: true,
      detail: `Its two provider libraries (${megabytes(unpackedSize)}) are kept in ${services.inference.providerStorage}. A download that is cancelled continues the next time.`,
    },
    consent,
  );
  if (answer !== consent) return 'again';
  const target = services.inference.providerStorage;
  return finish(
    services,
    await withProgress('fetching the CUDA provider', size, (options) =>
      fetchProvider(providerPackage, target, options),
    ),
  );
}

async function takeLocal(services: SetUpServices, folder: boolean): Promise<Outcome> {
  const [chosen] =
    (await vscode.window.showOpenDialog({
      title: 'CUDA provider of ONNX Runtime',
      openLabel: 'Use',
      canSelectFiles: !folder,
      canSelectFolders: folder,
      ...(folder ? {} : { filters: { Archives: archiveExtensions } }),
    })) ?? [];
  if (chosen === undefined) return 'again';
  const { providerStorage } = services.inference;
  const staged = await withProgress('unpacking the CUDA provider', 0, (options) =>
    stageProvider(chosen.fsPath, providerStorage, options),
  );
  return finish(services, staged);
}

async function finish({ inference }: SetUpServices, staged: StagedProvider): Promise<Outcome> {
  if (!staged.known) {
    const use = 'Use It Anyway';
    const answer = await vscode.window.showWarningMessage(
      `This build is not known to be ONNX Runtime ${runtimeVersion}.`,
      { modal: true, detail: 'A provider of another version is refused, or crashes the inference process.' },
      use,
    );
    if (answer !== use) {
      await staged.discard();
      return 'again';
    }
  }
  await staged.commit();
  await inference.restart();
  const { problems } = await inference.discoverCuda();
  if (problems.length > 0) return 'again';
  void vscode.window.showInformationMessage('CUDA is set up.');
  return 'done';
}

function withProgress<Result>(
  what: string,
  size: number,
  work: (options: SetUpOptions) => Promise<Result>,
): Thenable<Result> {
  const place = { location: vscode.ProgressLocation.Notification, title: `TaTok: ${what}`, cancellable: true };
  return vscode.window.withProgress(place, (progress, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    let shown = 0;
    const onProgress = (bytes: number) => {
      const percent = Math.floor((100 * bytes) / size);
      if (percent === shown) return;
      progress.report({ increment: percent - shown, message: `${megabytes(bytes)} of ${megabytes(size)}` });
      shown = percent;
    };
    return work({ signal: abort.signal, onProgress });
  });
}
