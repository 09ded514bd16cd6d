// `npm run bench:webview [-- FILE]`: frames per second of the page, its first paint and its size, as a table and in FILE.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { build } from '../esbuild.mjs';
import { chromiumPath } from './lib/chromium.mjs';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, '.cache/bench/dist');
const [out] = process.argv.slice(2);
await build({ minify: true, outdir: dist, only: ['webview'] });
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--config', 'test/benchmark/vitest.config.mts', '--root', root, 'test/benchmark/webview.ts'],
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      TATOK_DIST: dist,
      CHROMIUM_PATH: await chromiumPath(),
      ...(out !== undefined && { TATOK_BENCH_OUT: resolve(out) }),
    },
  },
);
process.exitCode = status ?? 1;
