// Changes one expression at a time and runs the tests that must notice: `npm run mutation`, or `npm run mutation -- FILES`.
// test/mutation/report.md keeps the results of the last run of each file.
import { Stryker } from '@stryker-mutator/core';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { format, resolveConfig } from 'prettier';

/** The method itself, rankings over tiles and the state of the page. */
const everything = ['src/method/**/*.ts', 'src/engine/ranking.ts', 'webview/state/**/*.ts'];
const report = 'test/mutation/report.md';
const noticed = ['Killed', 'Timeout'];
const judged = [...noticed, 'Survived', 'NoCoverage'];

const mutate = process.argv.length > 2 ? process.argv.slice(2) : everything;
const results = await new Stryker({
  mutate,
  testRunner: 'vitest',
  vitest: { configFile: 'test/mutation/vitest.config.mts' },
  plugins: ['@stryker-mutator/vitest-runner'],
  coverageAnalysis: 'perTest',
  reporters: ['progress-append-only'],
  concurrency: Math.max(1, availableParallelism() - 1),
  // A busy machine must not make a slow answer pass for an endless loop.
  timeoutMS: 30_000,
  tempDirName: '.cache/mutation',
  ignorePatterns: ['models/*/*.onnx', 'models/training', 'media', 'dist', 'test/e2e', 'test/webview'],
}).runMutationTest();

/** @type {Map<string, typeof results>} */
const byFile = new Map();
for (const result of results.filter(({ status }) => judged.includes(status))) {
  const file = relative(process.cwd(), result.fileName);
  byFile.set(file, [...(byFile.get(file) ?? []), result]);
}

const former = await readFile(report, 'utf8').catch(() => '');
/** @type {Map<string, string>} */
const rows = new Map();
for (const [row, file] of former.matchAll(/^\| `(.+?)` .*$/gm)) rows.set(file ?? '', row);
/** @type {Map<string, string>} */
const survivors = new Map();
for (const [section, file] of former.matchAll(/^### (.+)\n\n(?:- .*\n)+/gm)) survivors.set(file ?? '', section);

for (const [file, of] of byFile) {
  const killed = of.filter(({ status }) => noticed.includes(status)).length;
  rows.set(file, `| \`${file}\` | ${of.length} | ${killed} | ${((100 * killed) / of.length).toFixed(1)} % |`);
  const left = of.filter(({ status }) => !noticed.includes(status));
  const lines = left.map(({ location: { start }, replacement = '', mutatorName }) => {
    const change = replacement.replaceAll(/\s+/g, ' ').slice(0, 80);
    return `- line ${start.line}, ${mutatorName}: \`\` ${change} \`\`\n`;
  });
  if (lines.length > 0) survivors.set(file, `### ${file}\n\n${lines.join('')}`);
  else survivors.delete(file);
}

const table = [...rows.values()].sort();
const sum = (/** @type {number} */ column) =>
  table.reduce((total, row) => total + Number(row.split('|')[column]?.trim()), 0);
const total = `${sum(3)} of ${sum(2)} changes are noticed, ${((100 * sum(3)) / sum(2)).toFixed(1)} %.`;
const text =
  `# Mutation run\n\nMade by \`npm run mutation\`. ${total}\n\n| File | Changes | Noticed | Share |\n| --- | ---: | ---: | ---: |\n` +
  `${table.join('\n')}\n\n## Not noticed\n\n${[...survivors.values()].sort().join('\n')}`;
await writeFile(report, await format(text, { ...(await resolveConfig(report)), parser: 'markdown' }));
console.log(total);
