import { defineConfig } from 'vitest/config';

/** The tests that a mutation run asks: those of what it changes. */
export default defineConfig({
  resolve: { alias: { 'vscode-jsonrpc/browser': 'vscode-jsonrpc/node' } },
  test: {
    include: ['test/unit/{method,webview}/**/*.test.ts', 'test/unit/engine/{tiledRanking,influence,tiles}.test.ts'],
    testTimeout: 60_000,
  },
});
