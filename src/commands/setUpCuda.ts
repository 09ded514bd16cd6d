import * as vscode from 'vscode';
import type { SharedInference } from '../host/sharedInference';
import { pipCommand, pipHelps, adviceOn, type CudaDiscovery } from '../cuda/discovery';
import { archiveExtensions } from '../cuda/archive';
import { fetchedBytes, fetchProvider, stageProvider, type StagedProvider, type SetUpOptions } from '../cuda/install';
import { hostOf, megabytes } from '../cuda/download';
import { providerPackage } from '../cuda/package';
import { runtimeVersion } from '../cuda/requirements';
import { TatokError } from '../method/errors';
import { plain, sentences, type Plain } from '../host/text';
import { window, type Line } from '../host/window';
import { showEnvironmentCommand, showOutputCommand } from './showEnvironment';
import type { Configuration } from '../host/configuration';
import { providerLabels } from '../host/providerStatus';
import { providerOrder } from '../protocol/providerOrder';
import type { ProviderName } from '../method/types';
import { discoveryLines } from '../host/environmentReport';

export const setUpCudaCommand = 'tatok.setUpCuda';

export interface SetUpServices extends OutcomeServices {
  readonly inference: Pick<SharedInference, 'client' | 'discoverCuda' | 'providerStorage' | 'restart'>;
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
      void tellFailure(error, choice.link);
      return;
    }
  }
}

/** With a button, because VS Code shows messages without one in a single line that is cut. */
async function tellFailure({ message, advice }: TatokError, link: string | undefined): Promise<void> {
  const [setUp, copyLink] = [plain`Set Up CUDA…`, plain`Copy Link`];
  const pressed = await window.showErrorMessage(
    sentences(message, advice),
    setUp,
    ...(link === undefined ? [] : [copyLink]),
  );
  if (pressed === setUp) await vscode.commands.executeCommand(setUpCudaCommand);
  if (pressed === copyLink && link !== undefined) await vscode.env.clipboard.writeText(link);
}

async function askWhatToDo(services: SetUpServices): Promise<Choice | undefined> {
  const choices = services.inference
    .discoverCuda()
    .then((discovery) => [...verdict(discovery), ...actions(discovery, services), ...found(discovery)]);
  return window.showQuickPick<Choice>(choices, {
    title: plain`TaTok: Set Up CUDA`,
    placeHolder: plain`Parts of CUDA: found or missing, and the next step`,
    matchOnDetail: true,
    // A message whose button opened the list gives the focus back to the editor as it goes; and a reader of the list may want
    // to type one of its commands in a terminal.
    ignoreFocusOut: true,
  });
}

function actions(discovery: CudaDiscovery, services: SetUpServices): Choice[] {
  const report: Choice = {
    label: plain`$(copy) Copy a report for bug reports`,
    run: async () => {
      await vscode.commands.executeCommand(showEnvironmentCommand);
      return 'done';
    },
  };
  const heading: Choice = { label: plain`Actions`, kind: vscode.QuickPickItemKind.Separator };
  if (discovery.problems.some(({ kind }) => kind === 'platform')) return [heading, report];
  const command = pipCommand(discovery.requirements);
  return [
    heading,
    {
      label: plain`$(cloud-download) Fetch the CUDA provider of ONNX Runtime ${runtimeVersion}…`,
      detail: plain`${megabytes(providerPackage.size)} from ${hostOf(providerPackage)}, the official onnxruntime-gpu wheel`,
      run: () => fetchAfterConsent(discovery, services),
      link: providerPackage.url,
    },
    {
      label: plain`$(folder-opened) Use a local archive…`,
      detail: plain`Without internet: the onnxruntime-gpu wheel, or another archive with its two libraries`,
      run: () => takeLocal(services, false),
    },
    {
      label: plain`$(folder) Use a local folder…`,
      detail: plain`It holds the two provider libraries`,
      run: () => takeLocal(services, true),
    },
    ...(pipHelps(discovery)
      ? [
          {
            label: plain`$(terminal) Copy the command that installs the missing libraries`,
            detail: plain`${command}`,
            run: async () => {
              await vscode.env.clipboard.writeText(command);
              return again();
            },
          },
        ]
      : []),
    { label: plain`$(refresh) Look again`, run: again },
    report,
  ];
}

async function fetchAfterConsent({ problems }: CudaDiscovery, services: SetUpServices): Promise<Outcome> {
  const { size, unpackedSize, name } = providerPackage;
  const target = services.inference.providerStorage;
  const there = await fetchedBytes(providerPackage, target);
  // All of it is there when it could not be unpacked.
  const consent = there < size ? plain`Fetch ${megabytes(size - there)}` : plain`Unpack`;
  const obstacle = problems.find(({ kind }) => kind === 'no-driver' || kind === 'driver-too-old' || kind === 'no-gpu');
  const detail = [
    ...(obstacle === undefined ? [] : [`${obstacle.message} Until that changes the download is of no use.`]),
    ...(there === 0 ? [] : [`${megabytes(there)} of it are here already.`]),
    `Its two provider libraries (${megabytes(unpackedSize)}) are kept in ${target}.`,
    'A download that is cancelled continues the next time.',
  ];
  const answer = await window.showInformationMessage(
    plain`Fetch ${name} (${megabytes(size)}) from ${hostOf(providerPackage)}?`,
    { modal: true, detail: sentences(...detail) },
    consent,
  );
  if (answer !== consent) return 'again';
  return finish(
    services,
    await withProgress('fetching the CUDA provider', size, (options) =>
      fetchProvider(providerPackage, target, options),
    ),
  );
}

async function takeLocal(services: SetUpServices, folder: boolean): Promise<Outcome> {
  const [chosen] =
    (await window.showOpenDialog({
      title: plain`CUDA provider of ONNX Runtime`,
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

async function finish(services: SetUpServices, staged: StagedProvider): Promise<Outcome> {
  if (!staged.known) {
    const use = plain`Use It Anyway`;
    const answer = await window.showWarningMessage(
      plain`This build is not known to be ONNX Runtime ${runtimeVersion}.`,
      {
        modal: true,
        detail: plain`It needs CUDA ${staged.cudaMajor}. A provider of another version is refused, or crashes the inference process.`,
      },
      use,
    );
    if (answer !== use) {
      await staged.discard();
      return 'again';
    }
  }
  const { inference } = services;
  await staged.commit();
  await inference.restart();
  const { problems } = await inference.discoverCuda();
  if (problems.length > 0) return 'again';
  await tellOutcome(services);
  return 'done';
}

interface OutcomeServices {
  readonly inference: Pick<SharedInference, 'client'>;
  readonly configuration: Pick<Configuration, 'read'>;
}

/**
 * The end of setting up CUDA: tells what the model now runs on. That all files are there does not show that they work together; only a
 * model that is loaded does.
 *
 * @throws TatokError of the model.
 */
async function tellOutcome({ inference, configuration }: OutcomeServices): Promise<void> {
  const { choice } = configuration.read();
  const place = { location: vscode.ProgressLocation.Window, title: plain`TaTok: trying CUDA …` };
  const { provider: report } = await window.withProgress(place, () => inference.client.loadModel(choice));
  const { provider, failures } = report;
  const failure = failures.find((failed) => failed.provider === 'cuda');
  if (failure !== undefined) {
    void warnNotUsed(plain`CUDA is set up, but cannot be used. ${failure.reason}`);
    return;
  }
  const used = plain`CUDA is set up, and in use.`;
  const notUsed = plain`CUDA is set up. The setting tatok.providers ${unwanted(choice.providers, provider)}.`;
  void window.showInformationMessage(provider === 'cuda' ? used : notUsed);
}

/** Explains an order of providers that leads to `used` without CUDA having been tried. */
function unwanted(order: readonly string[], used: ProviderName): string {
  return providerOrder(order).includes('cuda') ? `puts ${providerLabels[used]} first` : 'does not name cuda';
}

async function warnNotUsed(message: Plain): Promise<void> {
  const showOutput = plain`Show Output`;
  const pressed = await window.showWarningMessage(message, showOutput);
  if (pressed === showOutput) await vscode.commands.executeCommand(showOutputCommand);
}

/** 'again' shows the list again. */
type Outcome = 'done' | 'again';

interface Choice extends Line {
  /** Absent for lines that only tell something. */
  readonly run?: () => Promise<Outcome>;
  /** Where to get by other means what `run` fails to fetch. */
  readonly link?: string;
}

function verdict(discovery: CudaDiscovery): Choice[] {
  const { problems } = discovery;
  if (problems.length === 0) {
    return [
      {
        label: plain`$(pass) Nothing is missing`,
        detail: plain`CUDA is used when a model is loaded next.`,
        run: again,
      },
    ];
  }
  return [
    { label: plain`Missing`, kind: vscode.QuickPickItemKind.Separator },
    ...problems.map((problem) => ({
      label: plain`$(warning) ${problem.message}`,
      detail: plain`${adviceOn(problem, discovery) ?? ''}`,
      run: again,
    })),
  ];
}

function found(discovery: CudaDiscovery): Choice[] {
  const lines = discoveryLines(discovery);
  if (lines.length === 0) return [];
  return [
    { label: plain`Found`, kind: vscode.QuickPickItemKind.Separator },
    ...lines.map(({ label, detail }) => ({ label: plain`$(check) ${label}`, detail: plain`${detail}`, run: again })),
  ];
}

function again(): Promise<Outcome> {
  return Promise.resolve('again');
}

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
