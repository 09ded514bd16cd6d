// `npm run bench:webview [-- FILE]`: frames per second of the page, its first paint and its size, as a table and in FILE.
import { resolve } from 'node:path';
import { build } from '../esbuild.mjs';
import { runInChromium } from './lib/vitest.mjs';

const dist = resolve(import.meta.dirname, '../.cache/bench/dist');
const [out] = process.argv.slice(2);
await build({ minify: true, outdir: dist, only: ['webview'] });
const env = { TATOK_DIST: dist, ...(out !== undefined && { TATOK_BENCH_OUT: resolve(out) }) };
process.exitCode = await runInChromium('test/benchmark/vitest.config.mts', ['test/benchmark/webview.ts'], env);
