// `npm run bench:transfer [-- FILE]`: bytes between the extension host and the inference process, as a table and in FILE.
import { resolve } from 'node:path';
import { runVitest } from './lib/vitest.mjs';

const [out] = process.argv.slice(2);
const env = out === undefined ? {} : { TATOK_BENCH_OUT: resolve(out) };
process.exitCode = runVitest('test/benchmark/vitest.config.mts', ['test/benchmark/transfer.ts'], env);
