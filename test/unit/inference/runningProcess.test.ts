/** A process that no signal ends: it waits in the kernel for a device that is lost. */
import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ProcessExited, RunningProcess } from '../../../src/inference/runningProcess';
import * as protocol from '../../../src/protocol/inference';

vi.mock('node:child_process', async (original) => ({ ...(await original<object>()), fork: vi.fn() }));

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
