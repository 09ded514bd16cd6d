import { spawn } from 'node:child_process';

/**
 * Runs a program to its end; its output is shown only when it fails.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<string>} its standard output
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let everything = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      everything += chunk;
    });
    child.stderr.on('data', (chunk) => (everything += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${everything.trimEnd()}`));
    });
  });
}

/**
 * Runs npm, the one that runs this script where there is one. npm's own settings of that run (the package's folder,
 * its registry of scripts) must not reach a run in another folder.
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 */
export function runNpm(args, { cwd, env = process.env }) {
  const clean = Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_(package|lifecycle)_/.test(name)));
  const npm = process.env['npm_execpath'];
  const options = { cwd, env: { ...clean, INIT_CWD: cwd } };
  if (npm?.endsWith('.js')) return run(process.execPath, [npm, ...args], options);
  return process.platform === 'win32'
    ? run('cmd.exe', ['/d', '/c', 'npm.cmd', ...args], options)
    : run('npm', args, options);
}
