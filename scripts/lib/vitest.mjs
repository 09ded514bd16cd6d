import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { packageExtension } from '../package.mjs';
import { chromiumPath } from './chromium.mjs';
import { fetchCodeServer } from './codeServer.mjs';

const root = resolve(import.meta.dirname, '../..');

/**
 * Runs files of Vitest.
 * @param {string} config of Vitest, below the root
 * @param {readonly string[]} [options] of Vitest
 * @param {Readonly<Record<string, string>>} [env] set for them besides
 * @returns {number} exit status
 */
export function runVitest(config, options = [], env = {}) {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', config, '--root', root, ...options], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  return status ?? 1;
}

/**
 * Runs files of Vitest that work a page in Chromium.
 * @param {string} config of Vitest, below the root
 * @param {readonly string[]} [options] of Vitest
 * @param {Readonly<Record<string, string>>} [env] set for them besides
 * @returns {Promise<number>} exit status
 */
export async function runInChromium(config, options = [], env = {}) {
  return runVitest(config, options, { CHROMIUM_PATH: await chromiumPath(), ...env });
}

/**
 * Runs files of Vitest that work the packed extension in a real VS Code for the browser; Linux x64 only. As {@link runInChromium}.
 * @param {string} config
 * @param {readonly string[]} [options]
 * @param {Readonly<Record<string, string>>} [env]
 */
export async function runInVSCode(config, options = [], env = {}) {
  await fetchCodeServer();
  const vsix = await packageExtension({ out: '.cache/test/tatok-inspector.vsix' });
  return runInChromium(config, options, { TATOK_VSIX: vsix, ...env });
}
