import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { pageHtml, type Page } from './html';

/** Puts a page into a webview, which may load nothing but the extension's own files. */
export function loadPage(webview: vscode.Webview, extensionUri: vscode.Uri, page: Page): void {
  const dist = vscode.Uri.joinPath(extensionUri, 'dist');
  const media = vscode.Uri.joinPath(extensionUri, 'media');
  webview.options = { enableScripts: true, localResourceRoots: [dist, media] };
  webview.html = pageHtml({
    ...page,
    cspSource: webview.cspSource,
    nonce: randomBytes(16).toString('base64url'),
    script: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.js')).toString(),
    style: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.css')).toString(),
  });
}
