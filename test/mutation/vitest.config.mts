import { defineConfig } from 'vitest/config';

/** The tests that a mutation run asks: those of what it changes. */
export default defineConfig({
  resolve: { alias: { 'vscode-jsonrpc/browser': 'vscode-jsonrpc/node' } },
  test: {
    include: [
      'test/unit/{method,webview,export}/**/*.test.ts',
      'test/unit/engine/{tiledRanking,influence,tiles,image}.test.ts',
      'test/unit/host/{tatokSettings,manifest}.test.ts',
      'test/unit/panel/imageFile.test.ts',
    ],
    testTimeout: 60_000,
  },
});
