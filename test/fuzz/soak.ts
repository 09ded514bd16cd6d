/**
 * `npm run soak -- [--count N]`: one inference process tokenizes small pictures of all kinds in all crop modes, some of them cancelled and
 * some broken. Memory, handles and threads of both processes must not grow. Writes test/fuzz/soak.md; the status is 1 where they do.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { TatokError } from '../../src/method/errors';
import { cropModes } from '../../src/method/types';
import { machine, table, writeMarkdown } from './report';
import { footprint, watchedClient, type Footprint } from './watched';

const root = join(__dirname, '..');

/** Growth beyond these is a leak. */
const bounds = {
  /** KiB of resident memory in a picture: a picture that is kept open costs twice as much. */
  kibPerPicture: 16,
  handles: 0,
  /** libvips has one more at times. */
  threads: 1,
} as const;

/** Pictures between two records, and before those that count: every file in every crop mode twice, so that allocators have seen all. */
const every = 50;
const warmUp = 600;

/**
 * Options of Node.js that the host has as well: all memory for new objects from the beginning. By itself it becomes sixteen times as much,
 * which happens once, no one knows when.
 */
const youngGeneration = ['--min-semi-space-size=16', '--max-semi-space-size=16'];

interface Reading {
  readonly pictures: number;
  readonly host: Footprint;
  readonly inference: Footprint;
}

/** What came of the pictures. */
type Counts = Record<'tokenized' | 'refused' | 'cancelled', number>;

/** Median of the slopes between all pairs of points (Theil and Sen): a few odd readings do not move it. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const slopes = points.flatMap(([x, y], i) => points.slice(i + 1).map(([u, v]) => (v - y) / (u - x)));
  return median(slopes);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [below = NaN, above = NaN] = [sorted[Math.max(0, middle - 1)], sorted[middle]];
  return sorted.length % 2 === 1 ? above : (below + above) / 2;
}

async function read(pid: number | undefined, pictures: number): Promise<Reading> {
  // What is garbage is no growth.
  globalThis.gc?.();
  const [host, inference] = await Promise.all([footprint('self'), pid === undefined ? undefined : footprint(pid)]);
  if (host === undefined || inference === undefined) throw new Error('This system does not tell what a process uses.');
  return { pictures, host, inference };
}

async function main(): Promise<void> {
  const { count } = new Command('soak')
    .option('--count <N>', `pictures, besides ${warmUp} before`, Number, 1000)
    .parse()
    .opts<{ count: number }>();
  if (!(count >= 4 * every)) throw new Error(`--count must be at least ${4 * every}.`);
  const folder = join(root, 'test/fixtures/images');
  const names = (await readdir(folder)).filter((name) => /\.(png|jpg|gif|webp|tif|avif)$/.test(name)).sort();
  const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
  const choice = { directory: join(root, 'test/fixtures/bundles/tiny'), providers: ['cpu'] };
  const ends: string[] = [];
  const { client, pid, dispose } = await watchedClient({
    modulePath: join(__dirname, 'inference.js'),
    memoryMiB: 4096,
    execArgv: youngGeneration,
    log: (line) => {
      if (/inference process (ended|is replaced)/.test(line)) ends.push(line);
    },
  });
  const lease = client.acquire();
  const counts: Counts = { tokenized: 0, refused: 0, cancelled: 0 };
  const readings: Reading[] = [];
  for (let picture = 0; picture < warmUp + count; picture++) {
    const source = new CancellationTokenSource();
    const stages = ['read', 'encode', 'decode'];
    // One of ten is cancelled, at the beginning of one step or another.
    const last = picture % 10 === 9 ? stages[Math.floor(picture / 10) % stages.length] : undefined;
    const onProgress = ({ stage }: { stage: string }) => {
      if (stage === last) source.cancel();
    };
    const params = {
      choice,
      file: files[picture % files.length] ?? new Uint8Array(),
      settings: { lossRate: (picture % 11) / 10, ranking: picture % 7 === 0 ? 'distortion' : 'entropy' },
      cropMode: cropModes[Math.floor(picture / files.length) % cropModes.length] ?? 'centre',
    } as const;
    try {
      await client.tokenize(params, { token: source.token, onProgress });
      counts.tokenized++;
    } catch (error) {
      if (!(error instanceof TatokError)) throw error;
      counts[error.code === 'cancelled' ? 'cancelled' : 'refused']++;
      if (!/^(image-|cancelled)/.test(error.code)) throw error;
    }
    source.dispose();
    if ((picture + 1) % every === 0) readings.push(await read(pid(), picture + 1));
  }
  lease.dispose();
  await dispose();

  const { text, found } = report(count, counts, readings, ends);
  await writeMarkdown(join(root, 'test/fuzz/soak.md'), text);
  console.log(found.length === 0 ? 'Nothing grows.' : found.join('\n'));
  process.exitCode = found.length === 0 ? 0 : 1;
}

function report(
  count: number,
  counts: Counts,
  readings: readonly Reading[],
  ends: readonly string[],
): { readonly text: string; readonly found: readonly string[] } {
  const settled = readings.filter(({ pictures }) => pictures >= warmUp);
  const found = ends.map((line) => `The process did not live through it: ${line}`);
  const rows = (['host', 'inference'] as const).map((name) => {
    const growth = slope(settled.map((reading) => [reading.pictures, 1024 * reading[name].resident]));
    const [first, last] = [settled.at(0)?.[name], settled.at(-1)?.[name]];
    const more = (of: 'handles' | 'threads') =>
      median(settled.slice(-3).map((reading) => reading[name][of])) -
      median(settled.slice(0, 3).map((reading) => reading[name][of]));
    if (growth > bounds.kibPerPicture)
      found.push(`The ${name} process grows by ${growth.toFixed(1)} KiB in a picture.`);
    for (const of of ['handles', 'threads'] as const) {
      if (more(of) > bounds[of]) found.push(`The ${name} process has ${more(of)} more ${of}.`);
    }
    const memory = [first, last].map((at) => at?.resident.toFixed(0) ?? '');
    return [
      name,
      growth.toFixed(2),
      ...memory,
      `${first?.handles} → ${last?.handles}`,
      `${first?.threads} → ${last?.threads}`,
    ];
  });
  const text = `# ${count} pictures in one process

Made by \`npm run soak -- --count ${count}\` on ${machine()}, after ${warmUp} others, with the toy bundle of the tests
and its images in all crop modes: ${counts.tokenized}
were tokenized and reconstructed, ${counts.refused} refused, ${counts.cancelled} cancelled. The slope is Theil and Sen's over the readings
from picture ${warmUp} on; it may be ${bounds.kibPerPicture} KiB at most. Handles may not become more, threads by ${bounds.threads} at most: libvips has
one more at times. The host's garbage is collected before each reading; both
processes have all memory for new objects from the beginning.

${table(['Process', 'KiB in a picture', `MiB at ${warmUp}`, 'MiB at the end', 'Handles', 'Threads'], rows)}

${found.length === 0 ? 'Nothing grows.' : found.join('\n')}

${table(
  ['Pictures', 'Host, MiB', 'Handles', 'Threads', 'Inference, MiB', 'Handles', 'Threads'],
  readings.map(({ pictures, host, inference }) => [
    pictures,
    ...[host, inference].flatMap(({ resident, handles, threads }) => [resident.toFixed(1), handles, threads]),
  ]),
)}
`;
  return { text, found };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
