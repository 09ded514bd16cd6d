// Packs the extension for one platform: `npm run package [-- --target win32-x64] [--out FILE]`.
import { access, cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from '../esbuild.mjs';
import { thirdPartyNotices } from './lib/notices.mjs';
import { run, runNpm } from './lib/run.mjs';
import { buildWheel } from './lib/wheel.mjs';

const root = resolve(import.meta.dirname, '..');

/** Platforms that both sharp and onnxruntime-node have binaries for. */
export const targets = ['linux-x64', 'linux-arm64', 'win32-x64', 'win32-arm64', 'darwin-arm64'];

const shipped = [
  'package.json',
  '.vscodeignore',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'media',
  'models/manifest.schema.json',
  'models/tatok-s-256',
];

/**
 * Writes a VSIX and returns its path. Everything is put together in a temporary folder: the checkout's node_modules hold
 * one platform's binaries and stay as they are.
 * @param {{ target?: string, out?: string }} [options]
 */
export async function packageExtension({ target = `${process.platform}-${process.arch}`, out } = {}) {
  if (!targets.includes(target)) {
    throw new Error(`There is no package for ${target}; there are ${targets.join(', ')}.`);
  }
  const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const vsix = resolve(root, out ?? `${name}-${target}-${version}.vsix`);
  const stage = await mkdtemp(join(tmpdir(), 'tatok-package-'));
  try {
    for (const path of shipped) await cp(join(root, path), join(stage, path), { recursive: true });
    await cp(join(root, 'src/api.d.ts'), join(stage, 'api.d.ts'));
    await installDependencies(stage, target);
    await buildWheel(join(stage, 'python'));
    const bundled = await build({
      minify: true,
      outdir: join(stage, 'dist'),
      only: ['extension', 'inference', 'webview'],
    });
    const vsce = join(root, 'node_modules/@vscode/vsce/vsce');
    const files = (await run(process.execPath, [vsce, 'ls'], { cwd: stage })).split('\n');
    const notices = await thirdPartyNotices([
      ...packageDirectories(root, bundled),
      ...packageDirectories(stage, files),
    ]);
    await writeFile(join(stage, 'THIRD-PARTY-NOTICES.txt'), notices);
    await mkdir(dirname(vsix), { recursive: true });
    const flags = ['--target', target, '--out', vsix, '--no-rewrite-relative-links'];
    await run(process.execPath, [vsce, 'package', ...flags], { cwd: stage });
    return vsix;
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/**
 * The locked production dependencies of the target platform, without other platforms' binaries.
 * @param {string} stage
 * @param {string} target
 */
async function installDependencies(stage, target) {
  const [os = '', cpu = ''] = target.split('-');
  for (const file of ['package-lock.json', '.npmrc']) await cp(join(root, file), join(stage, file));
  const platform = [`--os=${os}`, `--cpu=${cpu}`, ...(os === 'linux' ? ['--libc=glibc'] : [])];
  await runNpm(['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...platform], {
    cwd: stage,
  });
  const binaries = join(stage, 'node_modules/onnxruntime-node/bin/napi-v6');
  await access(join(binaries, os, cpu, 'onnxruntime_binding.node'));
  await access(join(stage, `node_modules/@img/sharp-${target}`));
  for (const system of await readdir(binaries)) {
    for (const processor of await readdir(join(binaries, system))) {
      if (system === os && processor === cpu) continue;
      await rm(join(binaries, system, processor), { recursive: true });
    }
  }
}

/**
 * Folders of the packages that files belong to; the project's own belong to none.
 * @param {string} folder that the files' paths start from
 * @param {readonly string[]} files
 */
export function packageDirectories(folder, files) {
  const directories = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(directories)].map((directory) => join(folder, directory));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({ options: { target: { type: 'string' }, out: { type: 'string' } } });
  const vsix = await packageExtension(values);
  const { size } = await stat(vsix);
  console.log(`${vsix} (${(size / 1e6).toFixed(1)} MB)`);
}
