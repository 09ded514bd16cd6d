/** A comparison as data: what the page's table says, with everything that decided it. */
import type { Comparison } from './comparison';
import { sideFigures } from './sideFigures';
import type { Services } from '../state/context';
import { recordOf } from '../../src/method/settings';
import { csvOf, type Cell } from '../../src/method/tables';
import type { Measurement } from '../../src/method/types';

/** A line for the settings shown of each side, then one for every point of its rate–distortion curve that was measured. */
export function comparisonCsv(comparison: Comparison): string {
  const head = ['side', 'image', 'model', 'version', 'crop', 'point'];
  const settings = ['loss_rate', 'ranking', 'ranking_rounds', 'budget', 'edge_priority_bits'];
  const figures = ['patches_kept', 'tokens', 'bits_with_mask', 'bytes', 'bits_per_pixel', 'psnr_db', 'ssim'];
  return csvOf([[...head, ...settings, ...figures], ...bothSides(comparison).flatMap(rowsOf)]);
}

/** The same, with models' hashes and kept patches, as JSON. */
export function comparisonJson(comparison: Comparison): string {
  const sides = Object.fromEntries(bothSides(comparison).map(([letter, side]) => [letter, recordOfSide(side)]));
  return `${JSON.stringify({ format: 'tatok-comparison', version: 1, sides, kept: comparison.keptSets.peek() ?? null })}\n`;
}

function bothSides({ left, right }: Comparison): readonly (readonly [letter: 'A' | 'B', side: Services])[] {
  return [
    ['A', left.peek()],
    ['B', right.peek()],
  ];
}

function rowsOf([letter, { inspector, session }]: readonly [letter: string, side: Services]): Cell[][] {
  const tokenization = inspector.tokenization.peek();
  const settings = recordOf(inspector.settings.peek());
  const { lossRate, conditioning, rankingRounds = null, budget, edgePriority } = settings;
  const rates = inspector.rates.peek();
  const filters = inspector.filters.peek();
  const decides = (at: number): Cell[] =>
    filters ? [at, conditioning, rankingRounds, budget, edgePriority] : [rates ? at : null, null, null, null, null];
  const head = (point: string): Cell[] => [
    letter,
    inspector.document.peek()?.name ?? null,
    tokenization?.model.name ?? null,
    tokenization?.model.version ?? null,
    tokenization?.image.cropMode ?? null,
    point,
  ];
  const pixels = tokenization === undefined ? 1 : tokenization.image.width * tokenization.image.height;
  const measured = (point: Measurement): Cell[] => {
    const bits = point.payloadBits + point.maskBits;
    const kept = filters ? point.keptTokens : null;
    return [
      kept,
      point.totalTokens,
      Math.round(bits),
      Math.ceil(bits / 8 - 1e-9),
      bits / pixels,
      point.psnr ?? Infinity,
      point.ssim,
    ];
  };
  const curve = session.rateDistortion.stale.peek() ? [] : (session.rateDistortion.shown.peek()?.points ?? []);
  return [
    [...head('shown'), ...decides(lossRate), ...figuresOf(inspector)],
    ...curve.map((point) => [...head('curve'), ...decides(point.lossRate), ...measured(point)]),
  ];
}

/** In the order of the table; an infinite PSNR is one of identical pictures. */
function figuresOf(inspector: Services['inspector']): Cell[] {
  return sideFigures.map(({ testId, of }) => {
    const value = of(inspector);
    return value === null && testId === 'psnr' ? Infinity : (value ?? null);
  });
}

function recordOfSide({ inspector, session }: Services): unknown {
  const { tokenization, document, selected, settings, rates } = inspector;
  const model = tokenization.peek()?.model;
  const image = tokenization.peek()?.image;
  return {
    image: document.peek()?.name ?? null,
    model: model && { name: model.name, version: model.version, hash: model.hash },
    picture: image && {
      source: [image.sourceWidth, image.sourceHeight],
      crop: { mode: image.cropMode, ...image.crop },
      size: [image.width, image.height],
      grid: image.grid,
    },
    settings: rates.peek() ? recordOf(settings.peek()) : null,
    figures: Object.fromEntries(sideFigures.map(({ testId, of }) => [testId, of(inspector) ?? null])),
    keep: [...(selected.peek()?.keep ?? [])],
    rateDistortion: session.rateDistortion.stale.peek() ? [] : (session.rateDistortion.shown.peek()?.points ?? []),
  };
}
