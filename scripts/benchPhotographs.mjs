// `npm run bench:photographs [-- FILE]`: 12 and 50 megapixels in a real VS Code, as a table and in FILE. Linux x64 only.
import { resolve } from 'node:path';
import { runInVSCode } from './lib/vitest.mjs';

const [out] = process.argv.slice(2);
const env = out === undefined ? {} : { TATOK_BENCH_OUT: resolve(out) };
process.exitCode = await runInVSCode('test/benchmark/vitest.config.mts', ['test/benchmark/photographs.ts'], env);
