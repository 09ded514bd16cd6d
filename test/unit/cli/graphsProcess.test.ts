import { join } from 'node:path';
import { expect, it } from 'vitest';
import { timeGraphsIn } from '../../../src/cli/graphsProcess';

async function time(directory: string, stallMs = 20_000): Promise<{ batches: number[]; failure: string | undefined }> {
  const batches: number[] = [];
  const task = { choice: { directory, providers: [] }, image: '', batches: [], runs: 1, warmUp: 0 };
  const modulePath = join(import.meta.dirname, 'fakeGraphs.mjs');
  const failure = await timeGraphsIn(modulePath, task, {
    env: process.env,
    stallMs,
    onTimed: ({ batch }) => batches.push(batch),
  }).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  return { batches, failure };
}

it('ends with the last batch, whatever keeps the process alive', async () => {
  expect(await time('finish')).toEqual({ batches: [1], failure: undefined });
});

it.each([
  ['hang', 'Nothing came for 3 s after: encode, batch 8, first run.', 3000],
  ['crash', 'The process ended with SIGKILL after: encode, batch 8, first run.', undefined],
  ['fail', 'The encoder graph could not be run.', undefined],
])('says where it stopped when the graphs %s, after what was timed before', async (how, failure, stallMs) => {
  expect(await time(how, stallMs)).toEqual({ batches: [1], failure });
});
