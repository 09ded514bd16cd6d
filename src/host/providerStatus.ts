import * as vscode from 'vscode';
import type { LoadedModel } from '../protocol/engineMessages';
import type { ProviderName } from '../method/types';
import { Disposable } from './disposable';

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
  private readonly item: vscode.StatusBarItem;
  private owner: object | undefined;

  constructor(command: string) {
    super();
    this.item = this.register(
      vscode.window.createStatusBarItem('tatok.provider', vscode.StatusBarAlignment.Right, 100),
    );
    this.item.name = 'TaTok Provider';
    this.item.command = command;
  }

  show(owner: object, loaded: LoadedModel): void {
    this.owner = owner;
    this.item.text = `TaTok: ${providerLabels[loaded.provider.provider]}`;
    this.item.tooltip = tooltip(loaded);
    this.item.show();
  }

  hide(owner: object): void {
    if (this.owner !== owner) return;
    this.owner = undefined;
    this.item.hide();
  }
}

function tooltip({ model, provider }: LoadedModel): vscode.MarkdownString {
  // Names and reasons come from files and native libraries: they are text, never markdown.
  const text = new vscode.MarkdownString();
  text.appendMarkdown('**Model** ').appendText(`${model.name} ${model.version}`);
  text.appendMarkdown('\n\n**Runs on** ').appendText(providerLabels[provider.provider]);
  for (const failure of provider.failures) {
    text.appendMarkdown('\n\n**Not on** ').appendText(`${failure.provider}: ${failure.reason}`);
  }
  return text.appendMarkdown('\n\nSelect to show the output channel.');
}
