import * as vscode from 'vscode';
import type { InspectedTokens, TatokApi } from './api';
import { registerCompare } from './commands/compare';
import { registerCompareModels } from './commands/compareModels';
import { registerExports } from './commands/exportCommands';
import { registerImportTokenizer } from './commands/importTokenizer';
import { registerOpenTokens } from './commands/openTokens';
import { registerSetUpCuda } from './commands/setUpCuda';
import { registerShowEnvironment, registerShowOutput, showOutputCommand } from './commands/showEnvironment';
import { registerOpenDataset, registerTokenizeFolder } from './commands/tokenizeFolder';
import { registerTokenizeImage } from './commands/tokenizeImage';
import { extensionApi, inspectedTokens } from './extensionApi';
import { Configuration } from './host/configuration';
import { SharedInference } from './host/sharedInference';
import { Models } from './host/models';
import { ProviderFallbacks, ProviderStatus } from './host/providerStatus';
import { window } from './host/window';
import { Comparisons } from './panel/comparisonPanel';
import { Datasets } from './panel/datasetPanel';
import { InspectorEditor } from './panel/inspectorPanel';
import { ModelTables } from './panel/modelTablePanel';
import { TokensEditor } from './panel/tokensEditor';
import { Views } from './panel/views';

export function activate(context: vscode.ExtensionContext): TatokApi {
  const { extensionUri, subscriptions, globalState, workspaceState } = context;
  const own = <T extends vscode.Disposable>(part: T): T => {
    subscriptions.push(part);
    return part;
  };

  const log = own(window.createOutputChannel('TaTok', { log: true }));
  const bundledModel = vscode.Uri.joinPath(extensionUri, 'models', 'tatok-s-256');
  const configuration = own(new Configuration(bundledModel, log));
  void configuration.migrate();
  const models = new Models(bundledModel, configuration, globalState, workspaceState);
  const inference = own(new SharedInference(context, configuration, log));
  const status = own(new ProviderStatus(showOutputCommand));
  own(new ProviderFallbacks(inference.onDidLoad, showOutputCommand));
  const { client, onDidRestart, onDidLoad } = inference;
  const services = { extensionUri, configuration, inference: client, onDidRestart, onDidLoad, models, status, log };
  const editor = own(new InspectorEditor({ ...services, views: new Views(globalState) }));
  const tokens = own(new TokensEditor(services));
  const comparisons = own(new Comparisons(services, workspaceState));
  const datasets = own(new Datasets({ extensionUri, inference: client, configuration, log }, workspaceState));
  own(registerTokenizeImage());
  own(registerTokenizeFolder(datasets));
  own(registerOpenDataset(datasets));
  own(registerOpenTokens());
  own(registerCompare({ inspectors: editor, comparisons, models }));
  const tables = new ModelTables({ extensionUri, inference: client, configuration, log });
  own(registerCompareModels({ tables, models, configuration, inspectors: editor }));
  own(registerExports(editor, tokens, comparisons));
  own(registerShowOutput(log));
  own(registerImportTokenizer({ extensionUri, storage: context.globalStorageUri, models, log }));
  own(registerSetUpCuda({ inference, configuration, log }));
  const { version: extensionVersion } = context.extension.packageJSON as { version: string };
  own(registerShowEnvironment({ inference, configuration, extensionVersion }));

  const tokenized = own(new vscode.EventEmitter<InspectedTokens>());
  own(editor.onDidTokenize(({ uri, tokenization }) => tokenized.fire(inspectedTokens(uri, tokenization))));
  return extensionApi({ inference: client, configuration, onDidTokenize: tokenized.event });
}
