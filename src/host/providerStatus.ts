import * as vscode from 'vscode';
import type { LoadedModel, LoadedChoice } from '../protocol/engineMessages';
import type { ProviderName } from '../method/types';
import { Disposable } from './disposable';
import { formatted, lines, plain, type Markdown } from './text';
import { hover, window, type StatusBarItem } from './window';

/** Providers as users know them. */
export const providerLabels: Record<ProviderName, string> = {
  cuda: 'CUDA',
  cpu: 'CPU',
  dml: 'DirectML',
  coreml: 'Core ML',
  webgpu: 'WebGPU',
};

/**
 * Status bar item naming the execution provider in use. Shown only while an inspector is active; panels activate in any
 * order, so only the panel that shows it may hide it.
 */
export class ProviderStatus extends Disposable {
  private readonly item: StatusBarItem;
  private owner: object | undefined;

  constructor(command: string) {
    super();
    this.item = this.register(window.createStatusBarItem('tatok.provider', vscode.StatusBarAlignment.Right, 100));
    this.item.name = plain`TaTok Provider`;
    this.item.command = command;
  }

  show(owner: object, loaded: LoadedModel): void {
    this.owner = owner;
    this.item.text = plain`TaTok: ${providerLabels[loaded.provider.provider]}`;
    this.item.tooltip = hover(tooltip(loaded));
    this.item.show();
  }

  hide(owner: object): void {
    if (this.owner !== owner) return;
    this.owner = undefined;
    this.item.hide();
  }
}

function tooltip({ model, provider }: LoadedModel): Markdown {
  return lines([
    formatted`**Model** ${model.name} ${model.version}\n`,
    formatted`**Runs on** ${providerLabels[provider.provider]}\n`,
    ...provider.failures.map((failure) => formatted`**Not on** ${failure.provider}: ${failure.reason}\n`),
    formatted`Select to show the output channel.\n`,
  ]);
}

const showOutput = plain`Show Output`;

/**
 * A message when the provider in use failed while it ran, in whatever request, and another took over. (A provider that could
 * not be used from the start is named in the status bar only: on a machine without a GPU it is expected.)
 */
export class ProviderFallbacks extends Disposable {
  /** The provider that ran last, by choice of model and providers. */
  private readonly last = new Map<string, ProviderName>();

  constructor(
    onDidLoad: vscode.Event<LoadedChoice>,
    private readonly outputCommand: string,
  ) {
    super();
    this.register(onDidLoad((loaded) => void this.loaded(loaded)));
  }

  private async loaded({ choice, provider: { provider, failures } }: LoadedChoice): Promise<void> {
    const key = JSON.stringify(choice);
    const before = this.last.get(key);
    this.last.set(key, provider);
    const failure = failures.find((failed) => failed.provider === before);
    if (before === undefined || failure === undefined) return;
    const message = plain`TaTok goes on with ${providerLabels[provider]}, no longer with ${providerLabels[before]}. ${failure.reason}`;
    const chosen = await window.showWarningMessage(message, showOutput);
    if (chosen === showOutput) await vscode.commands.executeCommand(this.outputCommand);
  }
}
