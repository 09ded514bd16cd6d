import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ProcessExited, RunningProcess } from '../../../src/client/runningProcess';
import * as protocol from '../../../src/protocol/engineMessages';

vi.mock('node:child_process', async (original) => ({ ...(await original<object>()), fork: vi.fn() }));

/** A process that no signal ends: it waits in the kernel for a device that is lost. */
class Unkillable extends EventEmitter {
  readonly stdout = null;
  readonly stderr = null;
  connected = true;
  readonly kill = vi.fn();
  readonly unref = vi.fn();
  readonly send = vi.fn();
  readonly disconnect = vi.fn(() => (this.connected = false));
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('is given up after seconds: what it was asked is rejected, and it keeps nobody alive', async () => {
  const child = new Unkillable();
  vi.mocked(fork).mockReturnValue(child as unknown as ChildProcess);
  const ended = vi.fn();
  const running = new RunningProcess({ modulePath: '/inference.js' }, ended);
  const choice = { directory: '/models/tiny', providers: ['cuda'] };
  const answer = running
    .request((connection) => connection.sendRequest(protocol.loadModel, choice))
    .catch((error: unknown) => error);
  const stopped = running.stop();
  expect(child.kill).toHaveBeenCalledWith('SIGKILL');
  await vi.advanceTimersByTimeAsync(4000);
  expect(ended).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(2000);
  await stopped;
  expect(ended).toHaveBeenCalledOnce();
  expect(await answer).toBeInstanceOf(ProcessExited);
  expect(child.unref).toHaveBeenCalledOnce();
  expect(child.connected).toBe(false);
});

it('does not keep what it answered', async () => {
  vi.useRealTimers();
  vi.mocked(fork).mockReturnValue(new Unkillable() as unknown as ChildProcess);
  const running = new RunningProcess({ modulePath: '/inference.js' }, vi.fn());
  const answers = await Promise.all(
    Array.from({ length: 5 }, async () => new WeakRef(await running.request(() => Promise.resolve({ rgb: [0] })))),
  );
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  await setImmediate();
  collectGarbage();
  expect(answers.map((answer) => answer.deref())).toEqual(Array(5).fill(undefined));
});
