import { homedir } from 'node:os';
import * as vscode from 'vscode';
import type { Configuration } from '../host/configuration';
import { environmentReport } from '../host/environmentReport';
import type { SharedInference } from '../host/sharedInference';
import type { LoadedModel } from '../protocol/engineMessages';
import { plain, type Markdown } from '../host/text';
import { window } from '../host/window';

export const showEnvironmentCommand = 'tatok.showEnvironment';

export interface EnvironmentServices {
  readonly inference: Pick<SharedInference, 'client' | 'discoverCuda'>;
  readonly configuration: Pick<Configuration, 'read'>;
  readonly extensionVersion: string;
}

/** *TaTok: Show Environment*: opens a report for bug reports and copies it. */
export function registerShowEnvironment(services: EnvironmentServices): vscode.Disposable {
  return vscode.commands.registerCommand(showEnvironmentCommand, () => showEnvironment(services));
}

async function showEnvironment(services: EnvironmentServices): Promise<void> {
  const progress = {
    location: vscode.ProgressLocation.Notification,
    title: plain`TaTok: looking at the environment …`,
  };
  const { source } = await window.withProgress(progress, () => describeEnvironment(services));
  await vscode.env.clipboard.writeText(source);
  const document = await vscode.workspace.openTextDocument({ language: 'markdown', content: source });
  await window.showTextDocument(document);
  void window.showInformationMessage(plain`The TaTok environment report was copied.`);
}

/** Loads the model for this: only that shows which provider works. */
async function describeEnvironment(services: EnvironmentServices): Promise<Markdown> {
  const { inference, configuration, extensionVersion } = services;
  const { choice } = configuration.read();
  const [loaded, discovery] = await Promise.all([
    inference.client
      .loadModel(choice)
      .catch((error: unknown): LoadedModel | string => (error instanceof Error ? error.message : String(error))),
    inference.discoverCuda(),
  ]);
  return environmentReport({
    extension: extensionVersion,
    vscode: vscode.version,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    remote: vscode.env.remoteName,
    trusted: vscode.workspace.isTrusted,
    providers: choice.providers,
    loaded,
    discovery,
    home: homedir(),
  });
}

export const showOutputCommand = 'tatok.showOutput';

/** *TaTok: Show Output*: reasons, stage times and stack traces that the panel keeps short. */
export function registerShowOutput(log: vscode.LogOutputChannel): vscode.Disposable {
  return vscode.commands.registerCommand(showOutputCommand, () => log.show());
}
