// `npm test [-- VITEST OPTIONS]`: fetches what the tests need, runs them all and ends with `N passed, N failed`.
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { spawn } from 'node:child_process';
import { build } from '../esbuild.mjs';
import { chromiumPath } from './lib/chromium.mjs';
import { codeServerRunsHere, fetchCodeServer } from './lib/codeServer.mjs';
import { packageExtension } from './package.mjs';

const root = resolve(import.meta.dirname, '..');
const results = join(root, '.cache/test/results.json');

/** @returns {Promise<NodeJS.ProcessEnv>} paths of the prepared parts, for the tests */
async function prepare() {
  console.log('Building the extension …');
  await build();
  console.log('Packing the extension …');
  const vsix = await packageExtension({ out: '.cache/test/tatok-inspector.vsix' });
  console.log('Looking for Chromium, fetching one from npm if there is none …');
  const chromium = await chromiumPath();
  if (codeServerRunsHere) {
    console.log('Fetching VS Code for the browser from npm (about 800 MB below .cache/, the first time only) …');
    await fetchCodeServer();
  } else console.log('The end-to-end tests are skipped: VS Code for the browser exists for linux-x64 only.');
  return { TATOK_VSIX: vsix, CHROMIUM_PATH: chromium };
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>} exit status
 */
function runVitest(env) {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`];
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  return new Promise((resolve) => child.once('close', (status) => resolve(status ?? 1)));
}

/** Totals over all projects. A file that could not even be loaded is one failure. */
async function totals() {
  /** @type {{ numPassedTests: number, numFailedTests: number, testResults: { status: string, assertionResults: { status: string }[] }[] }} */
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(await readFile(results, 'utf8'));
  const broken = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  );
  return { passed: numPassedTests, failed: numFailedTests + broken.length };
}

process.chdir(root);
await mkdir(join(root, '.cache/test'), { recursive: true });
await rm(results, { force: true });
let passed = 0;
let failed = 0;
try {
  const status = await runVitest(await prepare());
  ({ passed, failed } = await totals());
  // Errors outside of tests, or no tests at all, fail the run as well.
  if (status !== 0) failed = Math.max(failed, 1);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  failed = Math.max(failed, 1);
}
process.exitCode = failed > 0 ? 1 : 0;
console.log(`\n${passed} passed, ${failed} failed`);
