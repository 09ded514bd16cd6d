/**
 * A table of tokenizers under several settings on one image or more, with common formats at the same bytes. Rows are means over the images;
 * what has no number for an image is told beside them. Pure.
 */
import { bitsPerPixelText } from './anchors';
import { recordOf } from './settings';
import { csvOf, latexOf, type Cell } from './tables';
import type { FilterSettings, Reconstruction } from './types';

/** What one image costs and is worth. */
export interface ImageResult extends Pick<Reconstruction, 'psnr' | 'ssim'> {
  /** null: a file has none. */
  readonly tokens: number | null;
  readonly bits: number;
  readonly bytes: number;
  readonly pixels: number;
}

/** The means of a row. null: there is no number. */
export interface Means {
  readonly tokens: number | null;
  readonly bits: number | null;
  readonly bytes: number | null;
  readonly bitsPerPixel: number | null;
  /** Of the images that differ from their reconstruction. */
  readonly psnr: number | null;
  readonly ssim: number | null;
}

export interface TableRow {
  /** Its place among the rows, as they were asked for. */
  readonly id: number;
  readonly kind: 'model' | 'codec';
  /** Of a model, with its version, or of a format. */
  readonly name: string;
  /** What was set, or at whose bytes: `ε 0.8, distortion, image budget`. */
  readonly settings: string;
  /** Images that have a result. */
  readonly images: number;
  /** Images without one: a sentence on the first of them, and how many there are. */
  readonly missing: { readonly count: number; readonly reason: string } | null;
  readonly means: Means;
}

/** An image without a result, in a sentence. */
export interface NoResult {
  readonly reason: string;
}

export function rowOf(
  head: Pick<TableRow, 'id' | 'kind' | 'name' | 'settings'>,
  results: readonly (ImageResult | NoResult)[],
): TableRow {
  const measured = results.filter((result): result is ImageResult => !('reason' in result));
  const failed = results.filter((result): result is NoResult => 'reason' in result);
  const [first] = failed;
  return {
    ...head,
    images: measured.length,
    missing: first === undefined ? null : { count: failed.length, reason: first.reason },
    means: {
      tokens: mean(measured.map(({ tokens }) => tokens)),
      bits: mean(measured.map(({ bits }) => bits)),
      bytes: mean(measured.map(({ bytes }) => bytes)),
      bitsPerPixel: mean(measured.map(({ bits, pixels }) => bits / pixels)),
      psnr: mean(measured.map(({ psnr }) => psnr)),
      ssim: mean(measured.map(({ ssim }) => ssim)),
    },
  };
}

/** Of the values that there are; null where there are none. */
function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** The settings of a row in words. @param filters true if tokens are dropped one by one; otherwise ε is a length, or nothing. */
export function settingsText(settings: FilterSettings, filters: boolean, rates: boolean): string {
  if (!rates) return 'every token';
  if (!filters) return `ε ${settings.lossRate}`;
  const { rankingRounds } = recordOf(settings);
  const rounds = rankingRounds === undefined ? '' : ` in ${rankingRounds} rounds`;
  const edge = settings.edgePriority === 0 ? '' : `, β ${settings.edgePriority}`;
  return `ε ${settings.lossRate}, by ${settings.ranking}${rounds}, ${settings.budget} budget${edge}`;
}

export const tableColumns = ['name', 'tokens', 'bits', 'bytes', 'bitsPerPixel', 'psnr', 'ssim'] as const;
export type TableColumn = (typeof tableColumns)[number];

export const columnTitles: Readonly<Record<TableColumn, string>> = {
  name: 'system',
  tokens: 'tokens',
  bits: 'bits',
  bytes: 'bytes',
  bitsPerPixel: 'bits per pixel',
  psnr: 'PSNR, dB',
  ssim: 'SSIM',
};

/** A mean in its digits; `–` where there is none. */
export function meanText(column: Exclude<TableColumn, 'name'>, means: Means): string {
  const value = means[column];
  if (value === null) return '–';
  if (column === 'bitsPerPixel') return bitsPerPixelText(value);
  return value.toFixed(column === 'psnr' ? 2 : column === 'ssim' ? 3 : Number.isInteger(value) ? 0 : 1);
}

/** Rows in the order of a column; those without a number come last, whichever way. */
export function sortedRows(rows: readonly TableRow[], column: TableColumn, descending: boolean): TableRow[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (column === 'name')
      return sign * (a.name.localeCompare(b.name, 'en') || a.settings.localeCompare(b.settings, 'en'));
    const [one, other] = [a.means[column], b.means[column]];
    if (one === null || other === null) return Number(one === null) - Number(other === null) || a.id - b.id;
    return sign * (one - other) || a.id - b.id;
  });
}

export function tableCsv(rows: readonly TableRow[]): string {
  const head = ['system', 'settings', 'images', 'missing', 'reason'];
  const means = ['tokens', 'bits', 'bytes', 'bits_per_pixel', 'psnr_db', 'ssim'];
  const cells = ({
    name,
    settings,
    images,
    missing,
    means: { tokens, bits, bytes, bitsPerPixel, psnr, ssim },
  }: TableRow): Cell[] => [
    ...[name, settings, images, missing?.count ?? 0, missing?.reason ?? null],
    ...[tokens, bits, bytes, bitsPerPixel, psnr, ssim],
  ];
  return csvOf([[...head, ...means], ...rows.map(cells)]);
}

/** @param images whose means these are. */
export function tableLatex(rows: readonly TableRow[], images: number): string {
  const numbers = tableColumns.filter((column) => column !== 'name');
  const caption = `Tokenizers and image formats on ${images} image${images === 1 ? '' : 's'}: means.`;
  return latexOf({
    caption,
    columns: [
      { title: 'system', align: 'l' },
      { title: 'settings', align: 'l' },
      ...numbers.map((column) => ({ title: columnTitles[column], align: 'r' as const })),
    ],
    rows: rows.map(({ name, settings, images: measured, missing, means }) => [
      measured === images || missing === null ? name : `${name} (${measured} of ${images})`,
      settings,
      ...numbers.map((column) => meanText(column, means)),
    ]),
  });
}
