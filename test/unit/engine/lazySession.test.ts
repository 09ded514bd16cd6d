import { beforeEach, expect, it, vi } from 'vitest';
import { LazySession } from '../../../src/engine/lazySession';
import type { GraphSession } from '../../../src/engine/thread/graphSession';

const release = vi.fn(() => Promise.resolve());
const opened: { ended: boolean }[] = [];
const open = vi.fn((): Promise<GraphSession> => {
  const session = { inputMetadata: [], outputMetadata: [], ended: false, run: () => Promise.resolve({}), release };
  opened.push(session);
  return Promise.resolve(session);
});

beforeEach(() => {
  vi.clearAllMocks();
  opened.length = 0;
});

it('is opened once for all who want it, and released if it was opened', async () => {
  const lazy = new LazySession(open, vi.fn());
  await lazy.release();
  expect(release).not.toHaveBeenCalled();
  expect(new Set(await Promise.all([lazy.get(), lazy.get()]))).toEqual(new Set([opened[0]]));
  await lazy.release();
  expect(release).toHaveBeenCalledOnce();
});

it('is released at once when it is not the one that was promised, and opened again', async () => {
  const check = vi.fn(() => {
    throw new Error('another graph');
  });
  const lazy = new LazySession(open, check);
  await Promise.all([lazy.get(), lazy.get()].map((session) => expect(session).rejects.toThrow('another graph')));
  expect(release).toHaveBeenCalledOnce();
  check.mockImplementation(() => undefined as never);
  expect(await lazy.get()).toBe(opened[1]);
  expect(opened).toHaveLength(2);
});

it('is opened again when opening failed', async () => {
  open.mockRejectedValueOnce(new Error('out of memory'));
  const lazy = new LazySession(open, vi.fn());
  await expect(lazy.get()).rejects.toThrow('out of memory');
  expect(await lazy.get()).toBe(opened[0]);
});

it('is opened again, once, when it has ended', async () => {
  const lazy = new LazySession(open, vi.fn());
  await lazy.get();
  for (const session of opened) session.ended = true;
  expect(new Set(await Promise.all([lazy.get(), lazy.get()]))).toEqual(new Set([opened[1]]));
  expect(opened).toHaveLength(2);
});
