import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import globals from 'globals';
import { basename } from 'node:path';
import tseslint from 'typescript-eslint';

/**
 * Borders between folders, which say where code runs (src/README.md, webview/README.md). Flat config replaces a rule's options, so each
 * block lists all.
 */
const vscode = {
  name: 'vscode',
  message: 'Only the extension host (src/extension.ts, host, panel, commands) knows VS Code.',
};
const native = ['onnxruntime-node', 'sharp'].map((name) => ({
  name,
  message: 'Native code runs in the inference process and the command line only.',
}));
const toolkit = { name: '@vscode/webview-ui-toolkit', message: 'Only webview/ui imports the toolkit.' };

/**
 * A block of rules for one folder.
 * @param {string} folder
 * @param {readonly string[]} imported folders beside it that it may import
 * @param {{ name: string, message: string }[]} paths packages that it must not import
 * @returns {import('eslint').Linter.Config}
 */
const border = (folder, imported, paths) => {
  const allowed = [...imported, basename(folder)].join('|');
  const message = `${folder} imports ${imported.length === 0 ? 'no other folder' : imported.join(', ')} alone.`;
  return {
    files: [`${folder}/**`],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths, patterns: [{ regex: `^(\\.\\./)+(?!\\.\\.|(src/)?(${allowed})/|[^/]+$)`, message }] },
      ],
    },
  };
};
const pure = [vscode, toolkit, ...native];

/**
 * Bare strings reach neither messages, lists, progress, hovers nor the status bar: VS Code would read links to commands and icons out of
 * a file's name. src/host/window.ts gives the window types that take text of src/host/text.ts alone.
 */
const textOfOthers = [
  ...['window', 'languages', 'MarkdownString', 'MarkedString', 'Hover', 'TreeItem', 'CodeLens', 'Diagnostic'].map(
    (name) => ({
      selector: `MemberExpression[object.name="vscode"][property.name="${name}"]`,
      message: `vscode.${name} takes any string for markup; use or extend src/host/window.ts.`,
    }),
  ),
  {
    selector: 'MemberExpression[object.name="vscode"][computed=true]',
    message: 'Name the member of vscode, so that it can be checked.',
  },
  {
    selector: 'VariableDeclarator[init.name="vscode"]',
    message: 'Use vscode by its name, so that its members can be checked.',
  },
  {
    selector:
      'ImportDeclaration[source.value="vscode"][importKind!="type"] > :matches(ImportSpecifier, ImportDefaultSpecifier, ImportNamespaceSpecifier[local.name!="vscode"])',
    message: 'Import * as vscode, so that its members can be checked.',
  },
  {
    selector: ':matches(TSAsExpression, TSTypeAssertion) TSTypeReference[typeName.name=/^(Plain|Markdown)$/]',
    message: 'Text is made by plain and formatted, not by a cast.',
  },
];

export default defineConfig(
  { ignores: ['dist/', 'out/', '.cache/', '.venv/', '.carry/', 'models/'] },
  js.configs.recommended,
  {
    files: ['**/*.{ts,tsx,mts}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // Event handlers and RPC handlers may be async; what they return is handled by their caller.
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      // vscode-jsonrpc spells "no value" as void in its types.
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Interfaces ask for methods that have nothing to do, or nothing to wait for.
      '@typescript-eslint/no-empty-function': ['error', { allow: ['methods', 'arrowFunctions'] }],
      '@typescript-eslint/require-await': 'off',
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  { files: ['src/**'], languageOptions: { globals: globals.node } },
  border('src/method', [], pure),
  border('src/protocol', ['method'], pure),
  border('src/bundle', ['method'], pure),
  border('src/export', ['method'], pure),
  border('src/cuda', ['method', 'bundle'], pure),
  border('src/client', ['method', 'protocol', 'cuda'], pure),
  border('src/engine', ['method', 'protocol', 'bundle', 'cuda', 'thread'], [vscode, toolkit]),
  border('src/tokens', ['method', 'protocol', 'bundle', 'client'], pure),
  border(
    'src/cli',
    ['method', 'protocol', 'bundle', 'cuda', 'client', 'engine', 'export', 'tokens'],
    [vscode, toolkit],
  ),
  border('src/host', ['method', 'protocol', 'bundle', 'cuda', 'client'], [...native, toolkit]),
  border('src/panel', ['method', 'protocol', 'bundle', 'client', 'export', 'host', 'tokens'], [...native, toolkit]),
  border('src/commands', ['method', 'protocol', 'cuda', 'host', 'panel', 'tokens'], [...native, toolkit]),
  { files: ['webview/**'], languageOptions: { globals: globals.browser } },
  {
    files: ['webview/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: pure,
          patterns: [
            { regex: 'src/(?!(method|protocol)/)', message: 'The page imports src/method and src/protocol alone.' },
          ],
        },
      ],
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/host/window.ts', 'src/host/text.ts'],
    rules: { 'no-restricted-syntax': ['error', ...textOfOthers] },
  },
  border('webview/canvas', ['method'], pure),
  border('webview/ui', [], [vscode, ...native]),
  { files: ['src/cli/**', 'scripts/**', 'test/**', '*.{mjs,mts}'], rules: { 'no-console': 'off' } },
  { files: ['**/*.mjs'], languageOptions: { globals: globals.node } },
  {
    files: ['test/**'],
    rules: {
      // Fakes of VS Code's classes are object literals, and expect() takes methods apart.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
