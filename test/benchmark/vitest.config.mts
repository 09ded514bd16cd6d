import { defineConfig } from 'vitest/config';

/** `npm run bench:webview`: measurements, kept apart from the tests because they depend on the machine. */
export default defineConfig({
  test: { include: ['test/benchmark/*.ts'], testTimeout: 600_000, hookTimeout: 60_000, disableConsoleIntercept: true },
});
