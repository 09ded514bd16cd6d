import { describe, expect, it } from 'vitest';
import { pageHtml, type PageParts } from '../../../src/panel/html';

const parts: PageParts = {
  cspSource: 'https://*.vscode-cdn.net',
  nonce: 'bm9uY2U',
  script: 'https://host/dist/webview.js',
  style: 'https://host/dist/webview.css',
  page: 'inspector',
  title: 'kodim23.png',
};

function policy(html: string): Map<string, string[]> {
  const content = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? '';
  return new Map(
    content.split('; ').map((directive) => {
      const [name = '', ...sources] = directive.split(' ');
      return [name, sources];
    }),
  );
}

describe('pageHtml', () => {
  it('allows nothing but its own script, styles and pictures', () => {
    const csp = policy(pageHtml(parts));
    expect(csp.get('default-src')).toEqual([`'none'`]);
    expect(csp.get('script-src')).toEqual([`'nonce-bm9uY2U'`]);
    expect([...csp.values()].flat().join(' ')).not.toMatch(/unsafe-|\*(?!\.vscode-cdn\.net)|https?:(?!\/\/)/);
    expect(csp.has('connect-src')).toBe(false);
    for (const directive of ['form-action', 'base-uri']) expect(csp.get(directive), directive).toEqual([`'none'`]);
  });

  it('gives its script, its style sheet and the toolkit the nonce, and has nothing inline', () => {
    const html = pageHtml(parts);
    expect(html).toContain('<meta property="csp-nonce" content="bm9uY2U" />');
    for (const element of html.match(/<(script|link)[^>]*>/g) ?? []) expect(element).toContain('nonce="bm9uY2U"');
    expect(html).not.toMatch(/<style|style="|\son\w+="/);
    expect(html).toMatch(/<script[^>]*><\/script>/);
  });

  it('shows a hostile file name as text', () => {
    const html = pageHtml({ ...parts, title: '</title><script>alert("1")</script>&.png' });
    expect(html).not.toContain('<script>alert');
    expect(html).toContain('&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;.png');
  });
});
