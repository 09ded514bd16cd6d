import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { CancellationToken } from 'vscode-jsonrpc/browser';
import { LatestRequest } from '../../../../webview/state/latestRequest';

const now = { delayMs: 0, finishRunning: false };
const later = { delayMs: 100, finishRunning: false };
const inTurn = { delayMs: 0, finishRunning: true };

let sent: {
  params: string;
  token: CancellationToken;
  resolve: (result: string) => void;
  reject: (error: unknown) => void;
}[];
let delivered: string[];
let failures: unknown[];
let request: LatestRequest<string, string>;

beforeEach(() => {
  vi.useFakeTimers();
  [sent, delivered, failures] = [[], [], []];
  request = new LatestRequest(
    (params, token) => new Promise((resolve, reject) => sent.push({ params, token, resolve, reject })),
    (result) => delivered.push(result),
    (error) => failures.push(error),
  );
});

afterEach(() => void vi.useRealTimers());

const names = () => sent.map(({ params }) => params);
const turn = () => vi.advanceTimersByTimeAsync(0);

it('cancels an older request and drops its answer and its failure', async () => {
  request.ask('a', now);
  request.ask('b', now);
  request.ask('c', now);
  expect(names()).toEqual(['a', 'b', 'c']);
  expect(sent.map(({ token }) => token.isCancellationRequested)).toEqual([true, true, false]);
  sent[0]?.resolve('A');
  sent[1]?.reject('B');
  sent[2]?.resolve('C');
  await turn();
  expect([delivered, failures]).toEqual([['C'], []]);
});

it('waits until nothing newer was asked for so long', async () => {
  request.ask('a', later);
  await vi.advanceTimersByTimeAsync(99);
  request.ask('b', later);
  await vi.advanceTimersByTimeAsync(99);
  expect(names()).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(names()).toEqual(['b']);
  request.ask('c', now);
  await vi.advanceTimersByTimeAsync(1000);
  expect(names()).toEqual(['b', 'c']);
});

it('lets a running one finish where every answer is shown, and then starts the newest', async () => {
  request.ask('a', inTurn);
  request.ask('b', inTurn);
  request.ask('c', inTurn);
  expect(names()).toEqual(['a']);
  expect(sent[0]?.token.isCancellationRequested).toBe(false);
  sent[0]?.resolve('A');
  await turn();
  expect(names()).toEqual(['a', 'c']);
  sent[1]?.reject('C');
  await turn();
  expect([delivered, failures]).toEqual([['A'], ['C']]);
  // Nothing is sent twice.
  expect(names()).toEqual(['a', 'c']);
  request.ask('d', inTurn);
  expect(names()).toEqual(['a', 'c', 'd']);
});

it('goes on after a failure with what was asked meanwhile', async () => {
  request.ask('a', inTurn);
  request.ask('b', inTurn);
  sent[0]?.reject('A');
  await turn();
  expect([failures, names()]).toEqual([['A'], ['a', 'b']]);
});

it('asks and tells nothing more once it is stopped, whether it ran, waited or was next', async () => {
  request.ask('a', inTurn);
  request.ask('b', inTurn);
  request.stop();
  expect(sent[0]?.token.isCancellationRequested).toBe(true);
  sent[0]?.resolve('A');
  request.ask('c', later);
  request.stop();
  await vi.advanceTimersByTimeAsync(1000);
  expect([names(), delivered, failures]).toEqual([['a'], [], []]);
});
