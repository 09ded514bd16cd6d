import { expect, it } from 'vitest';
import { Lru } from '../../../src/engine/lru';

it('forgets what was used least recently', () => {
  const forgotten: number[] = [];
  const lru = new Lru<string, number>(2, (value) => forgotten.push(value));
  lru.set('a', 1);
  lru.set('b', 2);
  lru.get('a');
  lru.set('c', 3);
  expect(forgotten).toEqual([2]);
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([1, undefined, 3]);
});
