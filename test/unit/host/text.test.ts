import { readFile } from 'node:fs/promises';
import { Linter } from 'eslint';
import fc from 'fast-check';
import tseslint from 'typescript-eslint';
import { describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import config from '../../../eslint.config.mjs';
import { code, formatted, lines, plain, sentences } from '../../../src/host/text';
import { hover, window } from '../../../src/host/window';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

/** As VS Code finds links in messages (src/vs/base/common/linkedText.ts) and icons in labels (iconLabels.ts). */
const link = /\[([^\]]+)\]\(((?:https?:\/\/|command:|file:)[^)\s]+)(?: (["'])(.+?)(\3))?\)/i;
const icon = /\$\(([A-Za-z0-9-]+(?:~[A-Za-z]+)?)\)/;
const command = 'command:workbench.action.terminal.sendSequence?%7B%22text%22%3A%22touch%20x%22%7D';

/** The text as a person sees it. */
const seen = (text: string) => text.replaceAll('\u2060', '');

describe('plain', () => {
  it('leaves no link or icon in what others have written, and all of it to be read', () => {
    const hostile = [`x [Show details](${command}).png`, '$(flame) model', '[a](https://example.org "b")', '\\$(x)'];
    for (const value of hostile) {
      const text = plain`${value} is not tokenized yet`;
      expect(seen(text)).toBe(`${value} is not tokenized yet`);
      expect(text).not.toMatch(link);
      expect(text).not.toMatch(icon);
    }
  });

  it('keeps the icons and links of its own words', () => {
    expect(plain`$(warning) ${'$(flame)'}`).toMatch(/^\$\(warning\) \$\u2060\(flame\)$/);
  });

  it('leaves none where values meet each other or its own words', () => {
    const pieces = fc.constantFrom('[', ']', '(', ')', '$', '$(', '](', `(${command})`, '(flame)', 'a', '\\', '\n');
    const value = fc.array(pieces, { maxLength: 6 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        for (const text of [plain`${a}${b}${c}`, plain`${plain`${a}${b}`}${c}`, plain`[${a}](${b})$${c}`]) {
          expect(text.replaceAll('\n', ' ')).not.toMatch(link);
          expect(text).not.toMatch(icon);
        }
      }),
    );
  });

  it('is one line without controls, whichever way it is written', () => {
    expect(plain`${'a\r\nb\u2028c\td'}`).toBe('a b c d');
    expect(plain`${'photo\u202egnp.exe\u2066\u0007\0'}`).toBe('photo\ufffdgnp.exe\ufffd\ufffd\ufffd');
    expect(plain`${'صورة.png'}`).toBe('صورة.png');
  });

  it('cuts a value that would hide the rest, between characters', () => {
    const text = sentences(`${'x'.repeat(499)}😀`, undefined, '', 'Choose another.');
    expect(text).toMatch(/^x{499}\ufffd… Choose another\.$/);
  });
});

describe('formatted', () => {
  it('shows every value letter by letter', () => {
    const value = `**b** _i_ \`c\` [a](${command}) <img src=x> &amp; # h | ~~s~~ @ada www.example.org https://example.org`;
    const { source } = formatted`**Model** ${value}`;
    // A backslash before each character that CommonMark or GitHub gives a meaning.
    expect(source.replace(/\\([!-/:-@[-`{-~])/g, '$1')).toBe(`**Model** ${value}`);
    expect(source.slice('**Model** '.length)).not.toMatch(/(?<!\\)[*_`[\]<&#|~@:]|www\./);
  });

  it('starts no list and no heading with a value', () => {
    const values = ['- a', '+ a', '1. a', '12) a', '# a', '=== ', '> a'];
    expect(lines(values.map((value) => formatted`${value}`)).source.split('\n')).toEqual([
      '\\- a',
      '\\+ a',
      '1\\. a',
      '12\\) a',
      '\\# a',
      '\\=== ',
      '\\> a',
    ]);
  });

  it('quotes code with a fence that the text does not hold', () => {
    expect(code('a_b').source).toBe('`a_b`');
    expect(code('a``b`\n# c').source).toBe('```a``b` # c```');
    expect(code('`[x](command:y)').source).toBe('`` `[x](command:y) ``');
    expect(code('').source).toBe('');
  });
});

describe('the window', () => {
  it('takes no bare string', () => {
    const use = (name: string) => {
      // @ts-expect-error A message is plain text.
      void window.showWarningMessage(name);
      // @ts-expect-error So is a button.
      void window.showErrorMessage(plain`${name}`, name);
      // @ts-expect-error So is each part of a line.
      void window.showQuickPick([{ label: plain`a`, detail: name }], { title: plain`b` });
      // @ts-expect-error So is the title of a list.
      void window.showQuickPick([{ label: plain`a` }], { title: name });
      // @ts-expect-error So is the title of progress.
      void window.withProgress({ location: vscode.ProgressLocation.Window, title: name }, () => Promise.resolve());
      // @ts-expect-error So is the text of the status bar.
      window.createStatusBarItem('a', vscode.StatusBarAlignment.Left, 1).text = name;
      // @ts-expect-error A tooltip is a hover.
      window.createStatusBarItem('a', vscode.StatusBarAlignment.Left, 1).tooltip = name;
      // @ts-expect-error A hover is made of formatted text.
      hover(name);
    };
    expect(use).toBeTypeOf('function');
  });
});

describe('ESLint', () => {
  const rules = config.find(({ rules }) => rules?.['no-restricted-syntax'] !== undefined)?.rules ?? {};
  const problems = (source: string) =>
    new Linter()
      .verify(source, [{ files: ['**/*.ts'], languageOptions: { parser: tseslint.parser }, rules }], 'a.ts')
      .map(({ ruleId }) => ruleId);

  it.each([
    'vscode.window.showErrorMessage(name);',
    'const { window } = vscode;',
    'const code = vscode;',
    'vscode["window"].showErrorMessage(name);',
    'import { window } from "vscode";',
    'import * as code from "vscode";',
    'const text = new vscode.MarkdownString(name);',
    'vscode.languages.registerHoverProvider("png", provider);',
    'const text = name as Plain;',
    'const text = name as unknown as Plain;',
  ])('refuses %s', (source) => {
    expect(problems(source)).toContain('no-restricted-syntax');
  });

  it('allows what takes no text', () => {
    expect(problems('import * as vscode from "vscode"; vscode.workspace.fs.readFile(uri);')).toEqual([]);
  });

  it('holds for all sources but the two that the types come from', async () => {
    const door = await readFile('src/host/window.ts', 'utf8');
    expect(problems(door)).toContain('no-restricted-syntax');
    const block = config.find(({ rules }) => rules?.['no-restricted-syntax'] !== undefined);
    expect(block).toMatchObject({ files: ['src/**'], ignores: ['src/host/window.ts', 'src/host/text.ts'] });
  });
});
