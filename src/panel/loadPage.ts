import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { PageName } from '../protocol/document';
import { pageHtml, type Page } from './html';

/** Script and style sheet of each page: those that share most of their code share both. */
const bundles: Readonly<Record<PageName, string>> = {
  inspector: 'webview',
  comparison: 'webview',
  dataset: 'dataset',
  modelTable: 'modelTable',
};

/** Puts a page into a webview, which may load nothing but the extension's own files. */
export function loadPage(webview: vscode.Webview, extensionUri: vscode.Uri, page: Page): void {
  const dist = vscode.Uri.joinPath(extensionUri, 'dist');
  const media = vscode.Uri.joinPath(extensionUri, 'media');
  webview.options = { enableScripts: true, localResourceRoots: [dist, media] };
  webview.html = pageHtml({
    ...page,
    cspSource: webview.cspSource,
    nonce: randomBytes(16).toString('base64url'),
    script: webview.asWebviewUri(vscode.Uri.joinPath(dist, `${bundles[page.page]}.js`)).toString(),
    style: webview.asWebviewUri(vscode.Uri.joinPath(dist, `${bundles[page.page]}.css`)).toString(),
  });
}
