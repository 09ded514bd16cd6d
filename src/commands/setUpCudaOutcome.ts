import * as vscode from 'vscode';
import type { Configuration } from '../host/configuration';
import type { SharedInference } from '../host/sharedInference';
import { providerLabels } from '../host/providerStatus';
import { providerOrder } from '../protocol/providerOrder';
import type { ProviderName } from '../method/types';
import { plain, type Plain } from '../host/text';
import { window } from '../host/window';
import { showOutputCommand } from './showOutput';

export interface OutcomeServices {
  readonly inference: Pick<SharedInference, 'client'>;
  readonly configuration: Pick<Configuration, 'read'>;
}

/**
 * The end of setting up CUDA: tells what the model now runs on. That all files are there does not show that they work together; only a
 * model that is loaded does.
 *
 * @throws TatokError of the model.
 */
export async function tellOutcome({ inference, configuration }: OutcomeServices): Promise<void> {
  const { choice } = configuration.read();
  const place = { location: vscode.ProgressLocation.Window, title: plain`TaTok: trying CUDA …` };
  const { provider: report } = await window.withProgress(place, () => inference.client.loadModel(choice));
  const { provider, failures } = report;
  const failure = failures.find((failed) => failed.provider === 'cuda');
  if (failure !== undefined) {
    void tellFailure(plain`CUDA is set up, but cannot be used. ${failure.reason}`);
    return;
  }
  const used = plain`CUDA is set up, and in use.`;
  const notUsed = plain`CUDA is set up. The setting tatok.providers ${unwanted(choice.providers, provider)}.`;
  void window.showInformationMessage(provider === 'cuda' ? used : notUsed);
}

/** What an order of providers does that leads to `used` without CUDA having been tried. */
function unwanted(order: readonly string[], used: ProviderName): string {
  return providerOrder(order).includes('cuda') ? `puts ${providerLabels[used]} first` : 'does not name cuda';
}

async function tellFailure(message: Plain): Promise<void> {
  const showOutput = plain`Show Output`;
  const pressed = await window.showWarningMessage(message, showOutput);
  if (pressed === showOutput) await vscode.commands.executeCommand(showOutputCommand);
}
