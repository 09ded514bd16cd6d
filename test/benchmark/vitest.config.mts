import { defineConfig } from 'vitest/config';

/** `npm run bench:webview` and `bench:photographs`: measurements, kept apart from the tests because they depend on the machine. */
export default defineConfig({
  test: {
    include: ['test/benchmark/*.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 300_000,
    disableConsoleIntercept: true,
  },
});
