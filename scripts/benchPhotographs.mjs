// `npm run bench:photographs [-- FILE]`: 12 and 50 megapixels in a real VS Code, as a table and in FILE. Linux x64 only.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { chromiumPath } from './lib/chromium.mjs';
import { fetchCodeServer } from './lib/codeServer.mjs';
import { packageExtension } from './package.mjs';

const root = resolve(import.meta.dirname, '..');
const [out] = process.argv.slice(2);
await fetchCodeServer();
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--config', 'test/benchmark/vitest.config.mts', '--root', root, 'test/benchmark/photographs.ts'],
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      TATOK_VSIX: await packageExtension({ out: '.cache/test/tatok-inspector.vsix' }),
      CHROMIUM_PATH: await chromiumPath(),
      ...(out !== undefined && { TATOK_BENCH_OUT: resolve(out) }),
    },
  },
);
process.exitCode = status ?? 1;
