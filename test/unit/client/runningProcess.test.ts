import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CancellationToken, CancellationTokenSource } from 'vscode-jsonrpc/node';
import { ProcessExited, RunningProcess } from '../../../src/client/runningProcess';
import type { Stage } from '../../../src/method/types';
import * as protocol from '../../../src/protocol/engineMessages';

vi.mock('node:child_process', async (original) => ({ ...(await original<object>()), fork: vi.fn() }));

/** A process that no signal ends: it waits in the kernel for a device that is lost. */
class Unkillable extends EventEmitter {
  readonly stdout = null;
  readonly stderr = null;
  connected = true;
  readonly kill = vi.fn<(signal: string) => unknown>();
  readonly unref = vi.fn();
  readonly send = vi.fn();
  readonly disconnect = vi.fn(() => (this.connected = false));
}

/** A process that ends when it is told to, and tells what a test has it tell. */
class Obedient extends Unkillable {
  override readonly kill = vi.fn<(signal: string) => unknown>(() => this.emit('exit', null, 'SIGKILL'));

  /** At the start of a step. */
  async tell(id: number, stage: Stage): Promise<void> {
    this.emit('message', { jsonrpc: '2.0', method: protocol.progress.method, params: { id, stage } });
    await vi.advanceTimersByTimeAsync(0);
  }

  /** Answers the request that was sent as the n-th, which JSON-RPC numbers by itself. */
  async answer(n: number): Promise<void> {
    this.emit('message', { jsonrpc: '2.0', id: n, result: 'answer' });
    await vi.advanceTimersByTimeAsync(0);
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A request whose answer is any. */
const rank = { picture: 1, name: 'rank', params: {} };

function start<Child extends Unkillable>(child: Child, stepLimitMs?: () => number | undefined, memoryLimit?: number) {
  vi.mocked(fork).mockReturnValue(child as unknown as ChildProcess);
  const ended = vi.fn();
  const running = new RunningProcess({ modulePath: '/inference.js', stepLimitMs, memoryLimit }, ended);
  const ask = (id: number, token = CancellationToken.None) =>
    running.ask(protocol.analysis, { id, params: rank }, token).catch((error: unknown) => error);
  return { child, ended, running, ask };
}

it('is given up after seconds: what it was asked is rejected, and it keeps nobody alive', async () => {
  const { child, ended, running, ask } = start(new Unkillable());
  const answer = ask(1);
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

describe('a cancelled request', () => {
  /** A process in a step of request 7, which is then cancelled. */
  async function cancelledIn(stage: Stage, child = new Obedient()) {
    const started = start(child);
    const source = new CancellationTokenSource();
    const answer = started.ask(7, source.token);
    const other = started.ask(8);
    await started.child.tell(7, stage);
    source.cancel();
    return { ...started, answer, other };
  }

  it('has the process replaced when its step does not end within two seconds', async () => {
    const { child, ended, other } = await cancelledIn('encode');
    await vi.advanceTimersByTimeAsync(1900);
    expect([child.kill, ended].map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
    await vi.advanceTimersByTimeAsync(200);
    expect(child.kill).toHaveBeenCalledWith('SIGKILL');
    expect(await other).toMatchObject({ name: 'ProcessExited', stopped: true });
  });

  it('makes room for the next process before the old one has ended', async () => {
    const child = new Obedient();
    child.kill.mockImplementation(() => undefined);
    const { ended } = await cancelledIn('encode', child);
    await vi.advanceTimersByTimeAsync(2100);
    expect(ended).toHaveBeenCalledOnce();
  });

  it('may go on loading the model, which others want too, for ten', async () => {
    const { child } = await cancelledIn('load');
    await vi.advanceTimersByTimeAsync(9900);
    expect(child.kill).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(200);
    expect(child.kill).toHaveBeenCalledOnce();
  });

  it('does nothing to the process when it is answered, when another is in work, or when nothing was said of it', async () => {
    const answered = await cancelledIn('encode');
    await answered.child.answer(0);
    expect(await answered.answer).toBe('answer');
    const another = await cancelledIn('encode');
    await another.child.tell(8, 'decode');
    const { child, ask } = start(new Obedient());
    const source = new CancellationTokenSource();
    void ask(7, source.token);
    source.cancel();
    await vi.advanceTimersByTimeAsync(60_000);
    for (const each of [answered.child, another.child, child]) expect(each.kill).not.toHaveBeenCalled();
  });
});

describe('a time limit', () => {
  it('holds for each step anew, and rejects the request whose step it is', async () => {
    const { child, ask } = start(new Obedient(), () => 60_000);
    const answers = [ask(1), ask(2)];
    for (const stage of ['read', 'load', 'encode'] as const) {
      await child.tell(2, stage);
      await vi.advanceTimersByTimeAsync(59_000);
    }
    expect(child.kill).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2000);
    expect(await answers[1]).toMatchObject({
      code: 'time-limit',
      message: 'The step “encode” took longer than 60 seconds, so the inference process was replaced.',
    });
    expect(await answers[0]).toMatchObject({ name: 'ProcessExited', stopped: true });
  });

  it('holds for a process that says nothing at all', async () => {
    const { ask } = start(new Obedient(), () => 60_000);
    const answers = Promise.all([ask(1), ask(2)]);
    await vi.advanceTimersByTimeAsync(61_000);
    for (const answer of await answers) expect(answer).toMatchObject({ code: 'time-limit' });
  });

  it('does not hold between requests, nor where there is none', async () => {
    const idle = start(new Obedient(), () => 60_000);
    const answer = idle.ask(1);
    await idle.child.tell(1, 'encode');
    await idle.child.answer(0);
    expect(await answer).toBe('answer');
    const unlimited = start(new Obedient(), () => undefined);
    void unlimited.ask(1);
    await unlimited.child.tell(1, 'encode');
    await vi.advanceTimersByTimeAsync(1e9);
    for (const { child } of [idle, unlimited]) expect(child.kill).not.toHaveBeenCalled();
  });

  it('may be longer than timers go', async () => {
    const { child, ask } = start(new Obedient(), () => 1e12);
    void ask(1);
    await vi.advanceTimersByTimeAsync(1e6);
    expect(child.kill).not.toHaveBeenCalled();
  });
});

describe.runIf(process.platform === 'linux')('a limit of memory', () => {
  /** Its memory is that of this process. */
  class Real extends Obedient {
    readonly pid = process.pid;
  }

  it('rejects the request whose step it is, and has the others repeated', async () => {
    const { child, ask } = start(new Real(), undefined, 1e6);
    const answers = [ask(1), ask(2)];
    await child.tell(2, 'encode');
    await vi.advanceTimersByTimeAsync(300);
    expect(child.kill).toHaveBeenCalledWith('SIGKILL');
    expect(await answers[1]).toMatchObject({
      code: 'memory-limit',
      message: 'The step “encode” took more than 0.0 GB of memory, so the inference process was replaced.',
    });
    expect(await answers[0]).toMatchObject({ name: 'ProcessExited', stopped: true });
  });

  it('lets a process be that holds less, or that nothing is asked of', async () => {
    const modest = start(new Real());
    void modest.ask(1);
    const idle = start(new Real(), undefined, 1e6);
    const answer = idle.ask(1);
    await idle.child.answer(0);
    expect(await answer).toBe('answer');
    await vi.advanceTimersByTimeAsync(60_000);
    for (const { child } of [modest, idle]) expect(child.kill).not.toHaveBeenCalled();
  });
});

it('does not keep what it answered', async () => {
  vi.useRealTimers();
  const { child, running } = start(new Unkillable());
  child.send.mockImplementation(({ id }: { id: number }) => {
    child.emit('message', { jsonrpc: '2.0', id, result: { rgb: [0] } });
  });
  const ask = (id: number) => running.ask(protocol.analysis, { id, params: rank }, CancellationToken.None);
  const answers = await Promise.all(Array.from({ length: 5 }, async (_, id) => new WeakRef((await ask(id)) as object)));
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  await setImmediate();
  collectGarbage();
  expect(answers.map((answer) => answer.deref())).toEqual(Array(5).fill(undefined));
});

it('is forked as a Node with no options of this process: neither those for Node nor those for a debugger', () => {
  vi.stubEnv('NODE_OPTIONS', '--inspect');
  vi.stubEnv('VSCODE_INSPECTOR_OPTIONS', '{}');
  start(new Obedient());
  vi.unstubAllEnvs();
  const { env, execArgv } = vi.mocked(fork).mock.lastCall?.[2] ?? {};
  expect(env).toMatchObject({ ELECTRON_RUN_AS_NODE: '1', PATH: process.env['PATH'] });
  expect([env?.['NODE_OPTIONS'], env?.['VSCODE_INSPECTOR_OPTIONS'], execArgv]).toEqual([undefined, undefined, []]);
});
