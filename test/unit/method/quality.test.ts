import { expect, it } from 'vitest';
import { psnrText, ssimText } from '../../../src/method/quality';

it('PSNR and SSIM are numbers of the digits asked for, or say that there is none', () => {
  expect([psnrText(24.126, 2), psnrText(null, 2)]).toEqual(['24.13', '∞']);
  expect([ssimText(0.7123, 3), ssimText(null, 3)]).toEqual(['0.712', 'n/a']);
});
