import type { PageName } from '../protocol/document';

export interface Page {
  readonly page: PageName;
  readonly title: string;
}

/** Addresses of a page's parts; the strings of `webview.asWebviewUri` and `webview.cspSource`. */
export interface PageParts extends Page {
  readonly cspSource: string;
  /** Fresh for every page, unguessable. */
  readonly nonce: string;
  readonly script: string;
  readonly style: string;
}

/**
 * A page: one script, one style sheet, nothing inline and nothing from the network.
 * The toolkit reads the nonce for its constructed styles from the `csp-nonce` property.
 */
export function pageHtml(parts: PageParts): string {
  const csp = [
    `default-src 'none'`,
    `script-src 'nonce-${parts.nonce}'`,
    `style-src ${parts.cspSource} 'nonce-${parts.nonce}'`,
    `img-src ${parts.cspSource} data: blob:`,
    `font-src ${parts.cspSource}`,
    // default-src stands in for neither of these.
    `form-action 'none'`,
    `base-uri 'none'`,
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1.0" />
    <meta http-equiv="Content-Security-Policy" content="${escapeAttribute(csp)}" />
    <meta property="csp-nonce" content="${escapeAttribute(parts.nonce)}" />
    <link rel="stylesheet" nonce="${escapeAttribute(parts.nonce)}" href="${escapeAttribute(parts.style)}" />
    <title>${escapeAttribute(parts.title)}</title>
  </head>
  <body data-vscode-context='{"preventDefaultContextMenuItems": true}'>
    <div id="root" data-page="${parts.page}"></div>
    <script nonce="${escapeAttribute(parts.nonce)}" src="${escapeAttribute(parts.script)}"></script>
  </body>
</html>
`;
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** A file name may contain anything; double-quoted attributes and text are safe after this. */
function escapeAttribute(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character);
}
