/** What a side costs and is worth: one list for the table of the page, the figure that is exported, and the data. */
import type { Inspector } from '../state/inspector';
import { bitsPerPixel, bitsPerPixelText, bytesOf } from '../../src/method/anchors';
import { hasPart } from '../../src/method/parts';
import { psnrText, ssimText } from '../../src/method/quality';

export interface SideFigure {
  readonly name: string;
  readonly testId: string;
  /** undefined while it is not known, or for a model without; null where there is no number for it. */
  readonly of: (side: Inspector) => number | null | undefined;
  readonly text: (value: number | null) => string;
  /** Of a difference. */
  readonly digits: number;
  /** True if it is the reconstruction's, which follows later. */
  readonly decoded: boolean;
}

const whole = (value: number | null): string => (value === null ? '–' : value.toFixed(0));

export const sideFigures: readonly SideFigure[] = [
  {
    name: 'patches kept',
    testId: 'kept',
    of: ({ selected, tokenization }) =>
      tokenization.value && hasPart(tokenization.value.model, 'patchBits') ? selected.value?.keptTokens : undefined,
    text: whole,
    digits: 0,
    decoded: false,
  },
  {
    name: 'tokens',
    testId: 'tokens',
    of: ({ selected }) => selected.value?.totalTokens,
    text: whole,
    digits: 0,
    decoded: false,
  },
  {
    name: 'bits with mask',
    testId: 'bits',
    of: ({ selected }) => selected.value && Math.round(selected.value.payloadBits + selected.value.maskBits),
    text: whole,
    digits: 0,
    decoded: false,
  },
  {
    name: 'bytes',
    testId: 'bytes',
    of: ({ selected }) => selected.value && bytesOf(selected.value),
    text: whole,
    digits: 0,
    decoded: false,
  },
  {
    name: 'bits per pixel',
    testId: 'bpp',
    of: ({ selected, picture }) => selected.value && picture.value && bitsPerPixel(selected.value, picture.value.image),
    text: (value) => (value === null ? '–' : bitsPerPixelText(value)),
    digits: 4,
    decoded: false,
  },
  {
    name: 'PSNR, dB',
    testId: 'psnr',
    of: ({ reconstruction }) => reconstruction.value?.psnr,
    text: (value) => psnrText(value, 2),
    digits: 2,
    decoded: true,
  },
  {
    name: 'SSIM',
    testId: 'ssim',
    of: ({ reconstruction }) => reconstruction.value?.ssim,
    text: (value) => ssimText(value, 3),
    digits: 3,
    decoded: true,
  },
];

/** A figure in its digits; `–` where it is not known. */
export function figureText(figure: SideFigure, side: Inspector): string {
  const value = figure.of(side);
  return value === undefined ? '–' : figure.text(value);
}
