import * as vscode from 'vscode';
import type { LoadedModel } from '../protocol/engineMessages';
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
