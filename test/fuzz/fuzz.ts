/**
 * `npm run fuzz -- [--seed N] [--count N]`: hostile and random input. Prints every finding with what makes its mutant again, and writes
 * test/fuzz/report.md; the status is 1 where anything was found.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { machine, table, writeMarkdown } from './report';
import { fuzz, type Tried } from './campaign';
import { bounds } from './trials';

const root = join(__dirname, '..');

const command = new Command('fuzz')
  .option('--seed <N>', 'of all mutants', Number, 1)
  .option('--count <N>', 'mutants: half are images, the rest manifests, graphs and tokens', Number, 2400)
  .option('--keep <DIR>', 'existing folder for the files of the images with findings')
  .parse();
const { seed, count, keep } = command.opts<{ seed: number; count: number; keep?: string }>();

async function main(): Promise<void> {
  const all: Tried[] = [];
  const found: string[] = [];
  const commandLine = await fuzz({ root, built: __dirname }, { seed, count }, (tried) => {
    all.push(tried);
    for (const finding of tried.outcome.findings) {
      found.push(`${tried.kind} ${tried.recipe.slice(0, 300)}: ${finding}`);
      console.log(`${tried.kind} ${tried.recipe}\n  ${finding}`);
      if (keep !== undefined && tried.sized) {
        void writeFile(join(keep, `${found.length}.${tried.kind}`), tried.file);
      }
    }
  });
  found.push(...commandLine.findings.map((finding) => `command line: ${finding}`));
  await writeMarkdown(join(root, 'test/fuzz/report.md'), report(all, commandLine, found));
  console.log(`${all.length} mutants, ${found.length} findings.`);
  process.exitCode = found.length === 0 ? 0 : 1;
}

function report(
  all: readonly Tried[],
  { images, refused }: { readonly images: number; readonly refused: number },
  found: readonly string[],
): string {
  const kinds = [...new Set(all.map(({ kind }) => kind))];
  const rows = kinds.map((kind) => {
    const of = all.filter((tried) => tried.kind === kind).map(({ outcome }) => outcome);
    const pictures = of.filter(({ result }) => result === 'picture').length;
    const most = (values: readonly number[]) => Math.max(...values);
    const memory = most(of.map(({ peak }) => peak ?? NaN));
    return [
      kind,
      of.length,
      pictures,
      of.length - pictures,
      of.filter(({ findings }) => findings.length > 0).length,
      most(of.map(({ seconds }) => seconds)).toFixed(1),
      Number.isNaN(memory) ? 'n/a' : Math.round(memory),
    ];
  });
  const sentences = new Map<string, number>();
  for (const { outcome } of all) {
    if (outcome.sentence !== undefined) sentences.set(outcome.sentence, (sentences.get(outcome.sentence) ?? 0) + 1);
  }
  const sorted = [...sentences].sort(([a, of], [b, than]) => than - of || a.localeCompare(b));
  return `# Hostile and random input

Made by \`npm run fuzz -- --seed ${seed} --count ${count}\` on ${machine()}. Every mutant is opened, tokenized and reconstructed
by the inference process with the toy bundle of the tests; tokens are decoded, and rows of a data set read. Each gives a picture of the size that it states, with finite estimates, or one
sentence; the process survives; no step takes more than ${bounds.seconds} s, and ${bounds.residentMiB} MiB are resident at most.

${table(['Mutants of', 'Tried', 'Pictures', 'Refused', 'With findings', 'Longest, s', 'Most memory, MiB'], rows)}

The command line was given ${images} of the images: ${refused} refused with one line each and status 1, the others with their record.

## Findings

${found.length === 0 ? 'None.' : found.map((finding) => `- ${code(finding)}`).join('\n')}

## Refusals

Numbers are N here, and names are left out.

${table(
  ['Mutants', 'Code and sentence'],
  sorted.map(([sentence, times]) => [times, code(sentence)]),
)}
`;
}

/** Text of others as code, which no character of it can end. */
function code(text: string): string {
  return `\`\` ${text.replace(/[\p{Cc}`|]/gu, '·')} \`\``;
}

void main();
