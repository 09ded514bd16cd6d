/** Another extension: it tokenizes by the interface, opens an inspector, and writes down what it is told. */
import * as vscode from 'vscode';
import type { InspectedTokens, TatokApi } from '../../../src/api';

async function use(): Promise<void> {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  const tatok = await vscode.extensions.getExtension<TatokApi>('tatok.tatok-inspector')?.activate();
  if (folder === undefined || tatok === undefined) throw new Error('there is nothing to use');
  const uri = vscode.Uri.joinPath(folder.uri, 'kodim07.png');
  const { rgb, width, height } = (await tatok.tokenize(uri, { settings: { lossRate: 0, ranking: 'entropy' } }))
    .reconstruction;
  const few = await tatok.tokenize(uri, { settings: { lossRate: 0.8, ranking: 'entropy' } });
  const refused = await tatok.tokenize(uri, { settings: { lossRate: 2 } }).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? { ...error, message: error.message } : undefined),
  );
  const told = new Promise<InspectedTokens>((resolve) => tatok.onDidTokenize(resolve));
  await tatok.openInspector(uri);
  const { model, patchCodes, provider } = await told;
  const report = {
    version: tatok.version,
    pixels: [rgb.length, width, height],
    ...{ tokens: few.totalTokens, kept: few.keep.reduce((sum, kept) => sum + kept, 0), psnr: few.psnr },
    same: String(patchCodes) === String(few.patchCodes),
    ...{ refused, model: model.name, provider, uri: (await told).uri.toString() },
  };
  await vscode.workspace.fs.writeFile(
    vscode.Uri.joinPath(folder.uri, 'report.json'),
    new TextEncoder().encode(JSON.stringify(report)),
  );
}

export function activate({ subscriptions }: vscode.ExtensionContext): void {
  subscriptions.push(vscode.commands.registerCommand('apiClient.use', use));
}
