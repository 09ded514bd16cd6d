import { join } from 'node:path';
import * as vscode from 'vscode';
import { InferenceClient } from '../client/client';
import type { CudaDiscovery } from '../cuda/discovery';
import { discoverFor, type CudaOptions } from '../cuda/environment';
import { providerFolderName } from '../cuda/requirements';
import type { LoadedChoice } from '../protocol/engineMessages';
import type { Configuration } from './configuration';
import { Disposable } from './disposable';
import { pythonEnvironments } from './pythonEnvironments';

/** The part of the client that panels need. */
export type Inference = Pick<InferenceClient, 'acquire' | 'loadModel' | 'open' | 'openTokens'>;

/** The part of it that data sets need. */
export type BatchInference = Inference & Pick<InferenceClient, 'prepareBatches' | 'tokenizePictures' | 'thumbnail'>;

/** The one inference process of the window: started by the first request, ended with the extension. */
export class SharedInference extends Disposable {
  readonly client: InferenceClient;
  /** Where set-up keeps the CUDA provider's libraries. */
  readonly providerStorage: string;
  private readonly restarted = this.register(new vscode.EventEmitter<void>());
  /** Fires when what ran on one provider may now run on another. */
  readonly onDidRestart = this.restarted.event;
  private readonly loaded = this.register(new vscode.EventEmitter<LoadedChoice>());
  /** Fires when a model was loaded, on whichever provider that now was. */
  readonly onDidLoad = this.loaded.event;
  private readonly modulePath: string;
  private cudaLibraryPath: string | undefined;

  constructor(
    { extensionUri, globalStorageUri }: Pick<vscode.ExtensionContext, 'extensionUri' | 'globalStorageUri'>,
    private readonly configuration: Configuration,
    log: vscode.LogOutputChannel,
  ) {
    super();
    this.cudaLibraryPath = configuration.read().cudaLibraryPath;
    this.modulePath = vscode.Uri.joinPath(extensionUri, 'dist', 'inference.js').fsPath;
    this.providerStorage = join(globalStorageUri.fsPath, providerFolderName);
    this.client = new InferenceClient({
      modulePath: this.modulePath,
      cuda: () => this.cudaOptions(),
      log: (line) => log.info(line),
      stepLimitMs: () => configuration.read().stepLimitMs,
      onLoaded: (loaded) => this.loaded.fire(loaded),
    });
    this.register({ dispose: () => void this.client.dispose() });
    this.register(configuration.onDidChange(() => this.settingsChanged()));
    // The folder's Python environments count from now on, and are looked at when a process starts.
    this.register(vscode.workspace.onDidGrantWorkspaceTrust(() => void this.client.stop()));
  }

  /** Looks for CUDA just as the next start of the process will, and asks for the GPUs too. */
  discoverCuda(): Promise<CudaDiscovery> {
    return discoverFor(this.modulePath, { ...this.cudaOptions(), askForGpus: true });
  }

  /** Ends the process, so that the next one finds libraries that were set up meanwhile. */
  async restart(): Promise<void> {
    await this.client.stop();
    this.restarted.fire();
  }

  private cudaOptions(): CudaOptions {
    return {
      libraryPath: this.cudaLibraryPath,
      storage: this.providerStorage,
      environments: pythonEnvironments(),
    };
  }

  /** Libraries are found when a process starts, so another folder needs another process. */
  private settingsChanged(): void {
    const { cudaLibraryPath } = this.configuration.read();
    if (cudaLibraryPath === this.cudaLibraryPath) return;
    this.cudaLibraryPath = cudaLibraryPath;
    void this.client.stop();
  }
}
