/**
 * Kinds of exports, for the page's menu and the command alike. A kind is also the end of the file's name:
 * `cat.png` is exported as `cat.view.png`, `cat.patches.csv` and so on, compared with `dog.png` as `cat-dog.comparison.png`.
 */
import type * as z from 'zod/mini';
import { hasPart, type Part, type Parts } from '../method/parts';
import type { exportRequest } from './schemas';

/** Made by the host from the tokenization, under the settings that the page shows. */
export const dataKinds = ['patches.csv', 'patches.json', 'tokens.json', 'npz'] as const;
export type DataKind = (typeof dataKinds)[number];

/** A reconstruction for every ε of a sweep, one frame each: made by the host with the inference process. */
export const sweepKinds = ['sweep.webp', 'sweep.gif'] as const;
export type SweepKind = (typeof sweepKinds)[number];

/** Pictures without marks, made by the page. */
export const plainKinds = ['input.png', 'reconstruction.png', 'mask.png', 'difference.png', 'attention.png'] as const;
export type PlainKind = (typeof plainKinds)[number];

/** The plots of the page. */
export const plotNames = ['curve', 'histogram', 'rate-distortion'] as const;
export type PlotName = (typeof plotNames)[number];

/** Made by the page, which can draw. */
export const pictureKinds = [
  'view.png',
  ...plainKinds,
  'curve.svg',
  'curve.csv',
  'histogram.svg',
  'histogram.csv',
  'rate-distortion.svg',
  'rate-distortion.csv',
] as const satisfies readonly ('view.png' | PlainKind | `${PlotName}.${'svg' | 'csv'}`)[];
export type PictureKind = (typeof pictureKinds)[number];

/** Exports of an inspector. */
export type ExportKind = DataKind | PictureKind | SweepKind;

/** Exports of a comparison, made by its page, which knows both sides. */
export const comparisonKinds = ['comparison.png', 'comparison.csv', 'comparison.json'] as const;
export type ComparisonKind = (typeof comparisonKinds)[number];

export type ExportRequest = z.infer<typeof exportRequest>;

export interface ExportChoice<Kind = ExportKind> {
  readonly kind: Kind;
  readonly label: string;
  /** Its contents. */
  readonly detail: string;
  /** The part of a model that it needs. */
  readonly of?: Part;
}

/** Exports of a model's tokenizations, in groups, as menus show them. */
export function exportChoices(model: Parts): readonly (readonly ExportChoice[])[] {
  return allChoices.map((group) => group.filter(({ of }) => hasPart(model, of))).filter(({ length }) => length > 0);
}

export const comparisonChoices: readonly ExportChoice<ComparisonKind>[] = [
  {
    kind: 'comparison.png',
    label: 'Comparison as PNG…',
    detail: 'Both pictures as they are shown, with their legend',
  },
  {
    kind: 'comparison.csv',
    label: 'Comparison as CSV…',
    detail: 'One line per side: settings, tokens, bits, PSNR, SSIM; and those of rate–distortion where computed',
  },
  {
    kind: 'comparison.json',
    label: 'Comparison as JSON…',
    detail: 'The same with kept patches',
  },
];

const allChoices: readonly (readonly ExportChoice[])[] = [
  [{ kind: 'view.png', label: 'View as PNG…', detail: 'The picture as it is shown, with its legend' }],
  [
    { kind: 'input.png', label: 'Input as PNG…', detail: 'The pixels that were tokenized, without marks' },
    { kind: 'reconstruction.png', label: 'Reconstruction as PNG…', detail: 'The decoded pixels, without marks' },
    {
      kind: 'difference.png',
      label: 'Difference as PNG…',
      detail: 'Absolute difference of input and reconstruction, 0 to 255, mean of the channels',
    },
    { kind: 'mask.png', label: 'Mask as PNG…', detail: 'Kept patches white, dropped ones black', of: 'patchBits' },
    {
      kind: 'attention.png',
      label: 'Attention as PNG…',
      detail: 'Of the global tokens chosen, layer and head as shown; the largest weight is white',
      of: 'attention',
    },
    {
      kind: 'sweep.webp',
      label: 'Sweep of ε as WebP…',
      detail: 'Reconstructions from ε = 0 to 1, animated',
      of: 'rates',
    },
    { kind: 'sweep.gif', label: 'Sweep of ε as GIF…', detail: 'The same in 256 colours', of: 'rates' },
  ],
  [
    {
      kind: 'patches.csv',
      label: 'Patches as CSV…',
      detail: 'One line per patch: code, bits, rank, kept, colour',
      of: 'patchTokens',
    },
    {
      kind: 'patches.json',
      label: 'Patches as JSON…',
      detail: 'The same with model and settings',
      of: 'patchTokens',
    },
    { kind: 'tokens.json', label: 'Tokens as JSON…', detail: 'The token sequence, as the command line writes it' },
    { kind: 'npz', label: 'Arrays as NumPy .npz…', detail: 'Codes, bits, kept mask and expected codes' },
  ],
  [
    { kind: 'curve.svg', label: 'Entropy curve as SVG…', detail: 'Cumulative conditional entropy', of: 'filters' },
    { kind: 'curve.csv', label: 'Entropy curve as CSV…', detail: 'Bits held by the patches kept', of: 'filters' },
    { kind: 'histogram.svg', label: 'Histogram as SVG…', detail: 'Bits per patch', of: 'filters' },
    { kind: 'histogram.csv', label: 'Histogram as CSV…', detail: 'Patches per half bit', of: 'filters' },
    {
      kind: 'rate-distortion.svg',
      label: 'Rate–distortion as SVG…',
      detail: 'PSNR or SSIM, once it is computed',
      of: 'rates',
    },
    {
      kind: 'rate-distortion.csv',
      label: 'Rate–distortion as CSV…',
      detail: 'Tokens, bits, PSNR and SSIM for each ε',
      of: 'rates',
    },
  ],
];
