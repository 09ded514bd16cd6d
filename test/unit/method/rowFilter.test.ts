import { describe, expect, it } from 'vitest';
import { rowFilter } from '../../../src/method/rowFilter';
import { failedRow, numberColumns } from '../../../src/tokens/tokenRows';
import { refusalOf } from '../refusal';

describe('conditions on rows', () => {
  const row = { ...failedRow(null, 'a', null, ''), psnr: 17.5, kept: 100, ssim: null };

  it.each([
    ['psnr < 18', true],
    ['psnr<17.5', false],
    ['psnr <= 17.5 and kept >= 100', true],
    ['psnr > 1.7e1 AND kept != 100', false],
    ['kept = 1e2', true],
    ['ssim < 1', false],
    ['ssim != 1', false],
    ['kept > -.5', true],
  ])('%s is %s', (text, expected) => {
    expect(rowFilter(text, numberColumns)(row)).toBe(expected);
  });

  it.each([
    '',
    'psnr',
    'psnr < ',
    'psnr < x',
    'path = 1',
    'psnr < 1 or kept > 2',
    'constructor = 1',
    'psnr < 1 and',
    'psnr toString 1',
    '1 < psnr',
  ])('refuses “%s”', async (text) => {
    expect(await refusalOf(() => rowFilter(text, numberColumns))).toMatchObject({ code: 'bad-settings' });
  });
});
