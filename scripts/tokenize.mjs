// Runs the command line from a fresh checkout: bundles it (a fraction of a second), then hands over to it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build } from '../esbuild.mjs';

await build({ only: ['cli', 'inference'] });
const { status } = spawnSync(
  process.execPath,
  [join(import.meta.dirname, '../dist/cli.js'), ...process.argv.slice(2)],
  {
    // npm runs scripts in the package's folder; relative image names mean the caller's.
    cwd: process.env.INIT_CWD ?? process.cwd(),
    stdio: 'inherit',
  },
);
process.exitCode = status ?? 1;
