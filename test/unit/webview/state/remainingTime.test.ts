import { describe, expect, it } from 'vitest';
import { aboutHowLong, RemainingTime, stageNames } from '../../../../webview/state/remainingTime';
import type { Progress } from '../../../../src/protocol/analyses';
import { stages, type Stage } from '../../../../src/method/types';

const at = (done: number, total = 1000, stage: Stage = 'rank'): Progress => ({ stage, tiles: { done, total } });

describe('the time that is left', () => {
  it('follows from how long it took so far, once that tells something', () => {
    const time = new RemainingTime();
    expect(time.estimate(at(0), 0)).toBeUndefined();
    expect(time.estimate(at(50), 1000)).toBeUndefined();
    expect(time.estimate(at(100), 2000)).toBe(18_000);
    expect(time.estimate(undefined, 3000)).toBeUndefined();
  });

  it('does not change while there is no news', () => {
    const time = new RemainingTime();
    time.estimate(at(0), 0);
    const news = at(100);
    expect(time.estimate(news, 4000)).toBe(36_000);
    expect(time.estimate(news, 9000)).toBe(36_000);
  });

  it('follows the pace of the last while', () => {
    const time = new RemainingTime();
    // A hundred tiles a second first, then ten.
    for (let second = 0; second <= 5; second++) time.estimate(at(100 * second), 1000 * second);
    let left: number | undefined;
    for (let second = 6; second <= 40; second++) left = time.estimate(at(500 + 10 * (second - 5)), 1000 * second);
    expect(left).toBe(15_000);
  });

  it('starts anew with another stage, another picture, and the same from the start', () => {
    for (const next of [at(100, 1000, 'decode'), at(150, 500), at(5)]) {
      const time = new RemainingTime();
      time.estimate(at(0), 0);
      expect(time.estimate(at(100), 10_000)).toBe(90_000);
      expect(time.estimate(next, 20_000)).toBeUndefined();
    }
  });

  it('is not told of what has no tiles', () => {
    const time = new RemainingTime();
    expect(time.estimate({ stage: 'decode' }, 0)).toBeUndefined();
    expect(time.estimate({ stage: 'decode' }, 9000)).toBeUndefined();
  });

  it('is rounded as a person would', () => {
    expect([4000, 12_000, 47_000, 56_000, 89_000, 400_000].map(aboutHowLong)).toEqual([
      'a few seconds left',
      'about 10 s left',
      'about 50 s left',
      'about 1 min left',
      'about 1 min left',
      'about 7 min left',
    ]);
  });

  it('is told in seconds from ten on, and in minutes from where these would be rounded to one', () => {
    expect([9999, 10_000, 54_999, 55_000, 90_000].map(aboutHowLong)).toEqual([
      'a few seconds left',
      'about 10 s left',
      'about 50 s left',
      'about 1 min left',
      'about 2 min left',
    ]);
  });

  it('counts from the first progress and needs two seconds of it', () => {
    const time = new RemainingTime();
    expect(time.estimate(at(0), 1000)).toBeUndefined();
    expect(time.estimate(at(10), 2999)).toBeUndefined();
    expect(time.estimate(at(20), 3000)).toBe((2000 / 20) * 980);
    // Of fewer tiles, or as many, nothing follows.
    expect(time.estimate(at(20), 9000)).toBeUndefined();
  });
});

it('every stage has words of its own, in lower case as they are read in a sentence', () => {
  const names = stages.map((stage) => stageNames[stage]);
  expect(new Set(names).size).toBe(stages.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+ing( [a-z]+)?$/);
});
