import * as vscode from 'vscode';
import { InferenceClient } from '../inference/client';
import type { Configuration } from './configuration';
import { Disposable } from './disposable';

/** What panels need of the inference process. */
export type Inference = Pick<InferenceClient, 'acquire' | 'tokenize' | 'reconstruct' | 'measure' | 'attention'>;

/** The one inference process of the window: started by the first request, ended with the extension. */
export class SharedInference extends Disposable {
  readonly client: InferenceClient;
  private cudaLibraryPath: string | undefined;

  constructor(
    extensionUri: vscode.Uri,
    private readonly configuration: Configuration,
    log: vscode.LogOutputChannel,
  ) {
    super();
    this.cudaLibraryPath = configuration.read().cudaLibraryPath;
    this.client = new InferenceClient({
      modulePath: vscode.Uri.joinPath(extensionUri, 'dist', 'inference.js').fsPath,
      cuda: () => ({ libraryPath: this.cudaLibraryPath }),
      log: (line) => log.info(line),
    });
    this.register({ dispose: () => void this.client.dispose() });
    this.register(configuration.onDidChange(() => this.settingsChanged()));
  }

  /** Libraries are found when a process starts, so another folder needs another process. */
  private settingsChanged(): void {
    const { cudaLibraryPath } = this.configuration.read();
    if (cudaLibraryPath === this.cudaLibraryPath) return;
    this.cudaLibraryPath = cudaLibraryPath;
    void this.client.stop();
  }
}
