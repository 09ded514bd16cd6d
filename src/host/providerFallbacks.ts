import * as vscode from 'vscode';
import type { LoadedChoice } from '../protocol/engineMessages';
import type { ProviderName } from '../method/types';
import { Disposable } from './disposable';
import { providerLabels } from './providerStatus';
import { plain } from './text';
import { window } from './window';

const showOutput = plain`Show Output`;

/**
 * A message when the provider in use failed while it ran, in whatever request, and another took over. (A provider that could
 * not be used from the start is told in the status bar only: on a machine without a GPU that is no news.)
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
