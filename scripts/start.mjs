// Opens the extension on the sample photographs: `npm start`. In the desktop VS Code where there is one, otherwise in a
// VS Code for the browser that is fetched from npm.
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { build } from '../esbuild.mjs';
import { codeServerRunsHere, fetchCodeServer, startCodeServer } from './lib/codeServer.mjs';
import { packageExtension } from './package.mjs';

const root = resolve(import.meta.dirname, '..');
const samples = join(root, 'media/samples');
const invitation = 'Right-click a photograph in the Explorer and choose "Tokenize Image".';

/** The desktop's `code`. In a terminal of a remote window it is another program, which cannot run extensions in development. */
async function findDesktopCode() {
  if (process.env['VSCODE_IPC_HOOK_CLI']) return undefined;
  if (process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) return undefined;
  const name = process.platform === 'win32' ? 'code.cmd' : 'code';
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** @param {string} code */
async function openDesktop(code) {
  console.log('Building the extension …');
  await build();
  console.log(`Opening VS Code on the sample photographs. ${invitation}`);
  const windows = process.platform === 'win32';
  const args = [`--extensionDevelopmentPath=${root}`, samples];
  // A .cmd file runs through a shell, which needs the quotes of paths with spaces.
  const child = windows
    ? spawn(
        `"${code}"`,
        args.map((arg) => `"${arg}"`),
        { shell: true, stdio: 'inherit' },
      )
    : spawn(code, args, { stdio: 'inherit' });
  process.exitCode = await new Promise((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
}

async function serveInBrowser() {
  console.log('No desktop VS Code here (no `code` on PATH, or no display): using VS Code in the browser.');
  console.log('Fetching VS Code for the browser from npm (about 800 MB on disk below .cache/, the first time only) …');
  const codeServer = await fetchCodeServer();
  console.log('Building and packing the extension …');
  const vsix = await packageExtension({ out: '.cache/start/tatok-inspector.vsix' });
  console.log('Starting VS Code with the extension …');
  const server = await startCodeServer(codeServer, { directory: join(root, '.cache/start'), extensions: [vsix] });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, () => void server.stop());
  console.log(`\n  ${server.address}/?folder=${encodeURI(samples)}\n`);
  console.log(`Open this address in a browser. ${invitation}`);
  console.log('Ctrl-C stops.');
  await server.exited;
  console.log('Stopped.');
}

const code = await findDesktopCode();
if (code !== undefined) await openDesktop(code);
else if (codeServerRunsHere) await serveInBrowser();
else {
  console.error(
    'npm start needs the desktop VS Code with its `code` command on PATH (in VS Code: "Shell Command: Install \'code\' command in PATH").',
  );
  process.exitCode = 1;
}
