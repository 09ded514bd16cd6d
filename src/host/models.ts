import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { TatokError } from '../method/errors';
import { readBundle } from '../bundle/manifest';
import type { ModelDescription } from '../method/types';
import type { Configuration } from './configuration';
import { plain } from './text';
import { window } from './window';

const recentKey = 'models.recent';
const chosenKey = 'models.chosen';
/** Folders that the menu remembers. */
const keptRecent = 5;
/** Stands for the bundled model in what is kept: with every update of the extension its folder is another. */
const bundledMark = '(bundled)';
/** Images whose model is remembered for the next window. */
const keptChosen = 100;

/** A model bundle that the user may choose. */
export interface ModelFolder {
  /** Absolute. */
  readonly directory: string;
  readonly label: string;
}

/** Model folders a panel may choose from, and which were chosen before. */
export class Models {
  constructor(
    private readonly bundled: vscode.Uri,
    private readonly configuration: Pick<Configuration, 'read'>,
    /** Recent folders, for all workspaces. */
    private readonly globalState: Pick<vscode.Memento, 'get' | 'update'>,
    /** The model chosen for each image. */
    private readonly workspaceState: Pick<vscode.Memento, 'get' | 'update'>,
  ) {}

  /** The bundled model, the configured folder, recent ones and the current one; recent ones that are gone are left out. */
  async options(resource: vscode.Uri, current: string): Promise<ModelFolder[]> {
    const bundled = this.bundled.fsPath;
    const configured = this.configuration.read(resource).choice.directory;
    const lasting = new Set([bundled, configured, current]);
    const directories = [...new Set([bundled, configured, ...this.recent(), current])];
    const options = await Promise.all(
      directories.map(async (directory) => {
        const bundle = await readBundle(directory).catch(() => undefined);
        if (bundle === undefined && !lasting.has(directory)) return [];
        return [{ directory, label: labelOf(directory, bundle?.model.name) }];
      }),
    );
    return options.flat();
  }

  /**
   * Asks for a folder.
   *
   * @returns undefined when the user changed their mind.
   * @throws TatokError when there is no valid manifest in the folder.
   */
  async ask(current: string): Promise<string | undefined> {
    const [folder] =
      (await window.showOpenDialog({
        title: plain`Choose a Model Folder`,
        openLabel: 'Use Model',
        canSelectFiles: false,
        canSelectFolders: true,
        defaultUri: vscode.Uri.file(dirname(current)),
      })) ?? [];
    if (folder === undefined) return undefined;
    if (folder.scheme !== 'file') {
      throw new TatokError('model-missing', `Models are read from files, not from ${folder.scheme}: folders.`);
    }
    await readBundle(folder.fsPath);
    return folder.fsPath;
  }

  /** The model in a folder. @throws TatokError when there is no valid manifest in it. */
  async describe(directory: string): Promise<ModelDescription> {
    return (await readBundle(directory)).model;
  }

  /** The stored form of a model's folder, from which {@link located} finds it again. */
  kept(directory: string): string {
    return directory === this.bundled.fsPath ? bundledMark : directory;
  }

  /** The folder of what was kept. */
  located(kept: string): string {
    return kept === bundledMark ? this.bundled.fsPath : kept;
  }

  /** The folder chosen for an image, if it is not the configured one. */
  chosenFor(resource: vscode.Uri): string | undefined {
    const kept = new Map(this.workspaceState.get<[string, string][]>(chosenKey, [])).get(resource.toString());
    return kept === undefined ? undefined : this.located(kept);
  }

  /** Keeps what was chosen: for the menu of every panel, and for this image when it is opened again. */
  async remember(resource: vscode.Uri, directory: string): Promise<void> {
    const configured = this.configuration.read(resource).choice.directory;
    const chosen = new Map(this.workspaceState.get<[string, string][]>(chosenKey, []));
    chosen.delete(resource.toString());
    if (directory !== configured) chosen.set(resource.toString(), this.kept(directory));
    await this.workspaceState.update(chosenKey, [...chosen].slice(-keptChosen));
    await this.rememberFolder(directory);
  }

  /** Keeps a folder for the menu alone. */
  async rememberFolder(directory: string): Promise<void> {
    if (directory === this.bundled.fsPath) return;
    await this.addRecent(directory);
  }

  /** Puts a new folder into the menu of every panel. @throws TatokError when there is no valid manifest in it. */
  async add(directory: string): Promise<void> {
    await readBundle(directory);
    await this.addRecent(directory);
  }

  private async addRecent(directory: string): Promise<void> {
    await this.globalState.update(recentKey, [...new Set([directory, ...this.recent()])].slice(0, keptRecent));
  }

  private recent(): string[] {
    return this.globalState.get<string[]>(recentKey, []);
  }
}

/** The model's own name, and the folder's where they differ. */
function labelOf(directory: string, name: string | undefined): string {
  const folder = basename(directory);
  return name === undefined || name === folder ? folder : `${name} (${folder})`;
}
