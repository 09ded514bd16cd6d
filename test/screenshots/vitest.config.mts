import { defineConfig } from 'vitest/config';

/** `npm run screenshots`: pictures for people to look at, kept apart from the tests because they check nothing. */
export default defineConfig({
  test: {
    include: ['test/screenshots/*.shots.ts'],
    testTimeout: 900_000,
    hookTimeout: 300_000,
    fileParallelism: false,
  },
});
