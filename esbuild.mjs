// Bundles the extension: `node esbuild.mjs [--production] [--watch]`.
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';

/** @satisfies {esbuild.BuildOptions} */
const node = {
  platform: /** @type {const} */ ('node'),
  target: 'node20',
  format: /** @type {const} */ ('cjs'),
  // sharp and onnxruntime-node hold native code and are shipped as packages; esbuild would turn import() of them into
  // a call that cannot load CommonJS from a bundle.
  external: ['vscode', 'sharp', 'onnxruntime-node'],
  supported: { 'dynamic-import': false },
};

/** @type {readonly (esbuild.BuildOptions & { entryPoints: Record<string, string> })[]} */
const bundles = [
  { ...node, entryPoints: { extension: 'src/extension.ts' } },
  {
    ...node,
    entryPoints: { inference: 'src/engine/process.ts', sessionThread: 'src/engine/thread/sessionThread.ts' },
  },
  { ...node, entryPoints: { cli: 'src/cli/tokenize.ts' } },
  {
    ...node,
    entryPoints: {
      bench: 'src/cli/bench.ts',
      benchGraphs: 'src/cli/benchGraphs.ts',
      benchDataset: 'src/cli/benchDataset.ts',
    },
  },
  // Prettier, which formats the reports, loads its own parts by their place.
  {
    ...node,
    external: [...node.external, 'prettier'],
    entryPoints: { fuzz: 'test/fuzz/fuzz.ts', soak: 'test/fuzz/soak.ts' },
  },
  {
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    entryPoints: { webview: 'webview/main.mts', dataset: 'webview/dataset.mts', modelTable: 'webview/modelTable.mts' },
    jsx: 'automatic',
    jsxImportSource: 'preact',
  },
];

/**
 * Writes dist/. Development builds carry source maps; minified ones carry none, so that no path of the machine that
 * built them is published.
 * `only` names the bundles wanted, all when absent. Returns the files that went into the bundles.
 * @param {{ minify?: boolean, watch?: boolean, outdir?: string, only?: readonly string[] }} [options]
 * @returns {Promise<string[]>}
 */
export async function build({ minify = false, watch = false, outdir = 'dist', only } = {}) {
  const directory = resolve(import.meta.dirname, outdir);
  await rm(directory, { recursive: true, force: true });
  const wanted = bundles.filter(
    ({ entryPoints }) => only === undefined || Object.keys(entryPoints ?? {}).some((name) => only.includes(name)),
  );
  const options = wanted.map((bundle) => ({
    ...bundle,
    bundle: true,
    absWorkingDir: import.meta.dirname,
    outdir: directory,
    minify,
    sourcemap: !minify,
    sourcesContent: false,
    legalComments: /** @type {const} */ ('linked'),
    define: { 'process.env.NODE_ENV': minify ? '"production"' : '"development"' },
    logLevel: watch ? /** @type {const} */ ('info') : /** @type {const} */ ('warning'),
  }));
  if (watch) {
    const contexts = await Promise.all(options.map((bundle) => esbuild.context(bundle)));
    await Promise.all(contexts.map((context) => context.watch()));
    return [];
  }
  const results = await Promise.all(options.map((bundle) => esbuild.build({ ...bundle, metafile: true })));
  return results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const flags = new Set(process.argv.slice(2));
  const unknown = [...flags].filter((flag) => flag !== '--production' && flag !== '--watch');
  if (unknown.length > 0) {
    console.error(`Unknown option ${unknown.join(', ')}. Usage: node esbuild.mjs [--production] [--watch]`);
    process.exitCode = 2;
  } else {
    // esbuild has printed what is wrong with the source by then.
    await build({ minify: flags.has('--production'), watch: flags.has('--watch') }).catch(() => {
      process.exitCode = 1;
    });
  }
}
