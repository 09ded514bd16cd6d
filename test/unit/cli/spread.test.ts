import { expect, it } from 'vitest';
import { spread } from '../../../src/cli/spread';

it('interpolates between samples in any order', () => {
  expect(spread([30, 10, 20])).toEqual({ least: 10, median: 20, p90: 28, most: 30 });
  expect(spread([7])).toEqual({ least: 7, median: 7, p90: 7, most: 7 });
});
