/**
 * Bytes that cross the border between the client and the inference process, as its channel counts them: a photograph of 3.5 megapixels
 * in tiles up to its first reconstruction, a released slider, and the influence of every global token of one tile.
 */
import type { ChildProcess, fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { build } from '../../esbuild.mjs';
import { InferenceClient, type OpenedPicture } from '../../src/client/client';
import { mosaic } from './mosaic';

const processes: ChildProcess[] = [];

vi.mock('node:child_process', async (original) => {
  const actual = await original<{ fork: typeof fork }>();
  const forkAndKeep = (...[path, ...rest]: Parameters<typeof fork>): ChildProcess => {
    const child = actual.fork(path, ...rest);
    processes.push(child);
    return child;
  };
  return { ...actual, fork: forkAndKeep };
});

const out = process.env['TATOK_BENCH_OUT'];
const root = join(import.meta.dirname, '../..');
const outdir = join(root, '.cache/bench/transfer');
const [width, height] = [2304, 1536];
const megabyte = 1e6;

interface Transfer {
  /** Bytes from the client to the process. */
  readonly sent: number;
  readonly received: number;
}

const figures: Record<string, Transfer> = {};
let client: InferenceClient;
let file: Buffer;
let picture: OpenedPicture;

/** Both counts of the one process that runs. */
function counted(): Transfer {
  const [child] = processes;
  if (child === undefined) return { sent: 0, received: 0 };
  const key = Object.getOwnPropertySymbols(child).find((symbol) => symbol.description === 'kChannelHandle');
  const channel: unknown = key && Reflect.get(child, key);
  if (typeof channel !== 'object' || channel === null || !('bytesRead' in channel) || !('bytesWritten' in channel)) {
    throw new Error('This version of Node counts no bytes of its channels.');
  }
  return { sent: Number(channel.bytesWritten), received: Number(channel.bytesRead) };
}

async function transferOf(name: string, work: () => Promise<unknown>): Promise<Transfer> {
  const before = counted();
  await work();
  const after = counted();
  const transfer = { sent: after.sent - before.sent, received: after.received - before.received };
  figures[name] = transfer;
  return transfer;
}

beforeAll(async () => {
  await build({ only: ['inference'], outdir });
  file = await mosaic(width, height);
  client = new InferenceClient({ modulePath: join(outdir, 'inference.js') });
});

afterAll(async () => {
  await client.dispose();
  expect(processes).toHaveLength(1);
  console.table(figures);
  const result = { width, height, fileBytes: file.length, node: process.version, figures };
  if (out !== undefined) await writeFile(out, `${JSON.stringify(result, null, 2)}\n`);
});

describe('a photograph of 3.5 megapixels in tiles', () => {
  it('crosses once up to its first reconstruction', async () => {
    const choice = { directory: join(root, 'models/tatok-s-256'), providers: ['cpu'] };
    const settings = { ranking: 'entropy' } as const;
    const { sent, received } = await transferOf('opened and reconstructed', async () => {
      picture = await client.open({ choice, file, settings, cropMode: 'tiles' });
      await picture.analyses.rank(picture.settings);
      await picture.analyses.reconstruct(picture.settings);
    });
    expect(sent + received).toBeLessThan(24 * megabyte);
  });

  it('is not sent again when the slider is released', async () => {
    const { settings, analyses } = picture;
    const { sent, received } = await transferOf('slider released', () =>
      analyses.reconstruct({ ...settings, lossRate: settings.lossRate / 2 }),
    );
    expect(sent).toBeLessThan(1000);
    // The new picture, and which of its patches are kept with their bits.
    expect(received).toBeLessThan(3 * width * height + 0.1 * megabyte);
  });

  it('is not sent again for the influence of its global tokens', async () => {
    const { settings, analyses, model } = picture;
    const { sent } = await transferOf('influence of every token', async () => {
      for (let globalToken = 0; globalToken < model.globalTokens; globalToken++) {
        await analyses.influence({ settings, tile: 0, globalToken });
      }
    });
    expect(sent).toBeLessThan(100_000);
  });
});
