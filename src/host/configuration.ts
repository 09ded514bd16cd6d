import * as vscode from 'vscode';
import { thisSystem } from '../cuda/system';
import { conditionings, filterKeys, rankingOf } from '../method/settings';
import type { FilterSettings } from '../method/types';
import { Disposable } from './disposable';
import { parseSettings, type TatokSettings } from './tatokSettings';

const section = 'tatok';

/** Places of settings, where VS Code names them differently for reading and for writing. */
const scopes = [
  ['globalValue', vscode.ConfigurationTarget.Global],
  ['workspaceValue', vscode.ConfigurationTarget.Workspace],
  ['workspaceFolderValue', vscode.ConfigurationTarget.WorkspaceFolder],
] as const;

/** Reads and writes the `tatok.*` settings of VS Code. */
export class Configuration extends Disposable {
  private readonly changed = this.register(new vscode.EventEmitter<void>());
  readonly onDidChange = this.changed.event;
  private readonly reported = new Set<string>();

  constructor(
    private readonly bundledModel: vscode.Uri,
    private readonly log: vscode.LogOutputChannel,
  ) {
    super();
    this.register(
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration(section)) this.changed.fire();
      }),
    );
    // The user's own settings can name a model in the folder.
    this.register(vscode.workspace.onDidGrantWorkspaceTrust(() => this.changed.fire()));
  }

  /** The settings that hold for a resource (its workspace folder may override some), or for the window. */
  read(resource?: vscode.Uri): TatokSettings {
    const values = vscode.workspace.getConfiguration(section, resource);
    const own = resource === undefined ? undefined : vscode.workspace.getWorkspaceFolder(resource);
    const folder = own ?? vscode.workspace.workspaceFolders?.[0];
    const { settings, problems } = parseSettings((key) => values.get(key), {
      bundledModel: this.bundledModel.fsPath,
      home: thisSystem.home,
      workspaceFolder: folder?.uri.scheme === 'file' ? folder.uri.fsPath : undefined,
      trusted: vscode.workspace.isTrusted,
    });
    for (const problem of problems) {
      if (this.reported.has(problem)) continue;
      this.reported.add(problem);
      this.log.warn(problem);
    }
    return settings;
  }

  /** Makes filter settings the default of the workspace, or of the user where no workspace is open. */
  async saveFilter(filter: FilterSettings, resource: vscode.Uri): Promise<void> {
    const values = vscode.workspace.getConfiguration(section, resource);
    for (const key of filterKeys) {
      if ((values.get(key) ?? undefined) === filter[key]) continue;
      await values.update(key, filter[key], this.saveTarget(values, key));
    }
  }

  /**
   * Renames the setting `tatok.conditioning` of earlier versions to `tatok.ranking` wherever it is set. One that cannot be written
   * is still read.
   */
  async migrate(): Promise<void> {
    const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri);
    for (const resource of folders.length === 0 ? [undefined] : folders) {
      const values = vscode.workspace.getConfiguration(section, resource);
      const [earlier, now] = [values.inspect('conditioning'), values.inspect('ranking')];
      for (const [scope, target] of scopes) {
        const value = earlier?.[scope];
        const known = conditionings.find((each) => each === value);
        if (value === undefined || (known === undefined && value !== null)) continue;
        try {
          if (known !== undefined && now?.[scope] === undefined) {
            await values.update('ranking', rankingOf(known), target);
          }
          await values.update('conditioning', undefined, target);
        } catch (error) {
          this.log.warn(`The setting tatok.conditioning could not be renamed to tatok.ranking: ${String(error)}`);
        }
      }
    }
  }

  /** A folder's own value wins over the workspace's, so it is the one to replace. */
  private saveTarget(values: vscode.WorkspaceConfiguration, key: string): vscode.ConfigurationTarget {
    if (values.inspect(key)?.workspaceFolderValue !== undefined) return vscode.ConfigurationTarget.WorkspaceFolder;
    if (vscode.workspace.workspaceFolders === undefined) return vscode.ConfigurationTarget.Global;
    return vscode.ConfigurationTarget.Workspace;
  }
}
