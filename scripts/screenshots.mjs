// Renews media/screenshots, for README and Marketplace, and the pictures of media/walkthrough, from a real VS Code: `npm run screenshots [-- FILTER]`.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { chromiumPath } from './lib/chromium.mjs';
import { fetchCodeServer } from './lib/codeServer.mjs';
import { packageExtension } from './package.mjs';

const root = resolve(import.meta.dirname, '..');
await fetchCodeServer();
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--config', 'test/screenshots/vitest.config.mts', '--root', root, ...process.argv.slice(2)],
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      TATOK_VSIX: await packageExtension({ out: '.cache/test/tatok-inspector.vsix' }),
      CHROMIUM_PATH: await chromiumPath(),
    },
  },
);
if (status === 0) console.log('Look at media/screenshots/ and media/walkthrough/ before committing them.');
process.exitCode = status ?? 1;
