/** PSNR and SSIM in words; both measures have pictures that they have no number for. */
import type { Reconstruction } from './types';

/** Side of the window that SSIM compares pictures in, in pixels (Wang et al. 2004). */
export const ssimWindow = 11;

/** Why there is no SSIM. */
export const noSsim = `SSIM is not defined for pictures of fewer than ${ssimWindow} pixels across or down.`;

/** PSNR in dB: `24.13`, or `∞` of identical pictures. */
export function psnrText(psnr: Reconstruction['psnr'], digits: number): string {
  return psnr === null ? '∞' : psnr.toFixed(digits);
}

/** `0.712`, or `n/a` of pictures smaller than the window. */
export function ssimText(ssim: Reconstruction['ssim'], digits: number): string {
  return ssim === null ? 'n/a' : ssim.toFixed(digits);
}
