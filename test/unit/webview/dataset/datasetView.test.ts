import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DatasetRow } from '../../../../src/protocol/dataset';
import { DatasetView, readDatasetState, sorted } from '../../../../webview/dataset/datasetView';
import { meanCurve } from '../../../../webview/dataset/meanCurve';

const row = (index: number, more: Partial<DatasetRow> = {}): DatasetRow => ({
  index,
  id: `id ${index}`,
  path: `${index}.png`,
  label: null,
  mean_entropy: null,
  error: null,
  width: null,
  height: null,
  crop_x: null,
  crop_y: null,
  crop_width: null,
  crop_height: null,
  kept: null,
  tokens: null,
  payload_bits: null,
  mask_bits: null,
  coded_bits: null,
  psnr: null,
  ssim: null,
  ...more,
});

const indices = (rows: readonly DatasetRow[]) => rows.map(({ index }) => index);

describe('sorting', () => {
  const rows = [row(0, { psnr: 20 }), row(1), row(2, { psnr: 25 }), row(3, { psnr: 20 }), row(4, { psnr: 18 })];

  it('puts rows without a value last both ways, and leaves equal ones in their order', () => {
    expect(indices(sorted(rows, 'psnr', false))).toEqual([4, 0, 3, 2, 1]);
    expect(indices(sorted(rows, 'psnr', true))).toEqual([2, 0, 3, 4, 1]);
  });

  it('takes bits of tokens and mask together', () => {
    const costs = [row(0, { payload_bits: 10, mask_bits: 5 }), row(1, { payload_bits: 12, mask_bits: 1 }), row(2)];
    expect(indices(sorted(costs, 'bits', false))).toEqual([1, 0, 2]);
  });
});

describe('the rows of a page', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const filled = (...rows: DatasetRow[]): DatasetView => {
    const view = new DatasetView(readDatasetState(undefined));
    view.add(rows);
    vi.runAllTimers();
    return view;
  };

  it('are chosen by a condition and by what became of them', () => {
    const view = filled(
      row(2, { psnr: 15, id: 'same' }),
      row(0, { psnr: 30, id: 'same' }),
      row(1, { error: 'It is damaged.', id: null }),
      row(3, { psnr: 16 }),
    );
    expect(indices(view.shown.value)).toEqual([0, 1, 2, 3]);
    view.filter.value = 'psnr < 18';
    expect(indices(view.shown.value)).toEqual([2, 3]);
    view.selection.value = 'repeated';
    expect(indices(view.shown.value)).toEqual([2]);
    view.filter.value = '';
    expect(indices(view.shown.value)).toEqual([0, 2]);
    view.selection.value = 'failed';
    expect(indices(view.shown.value)).toEqual([1]);
    expect([view.failed.value, view.repeated.value]).toEqual([1, 2]);
  });

  it('are all shown under a condition that is none, with what is wrong', () => {
    const view = filled(row(0), row(1));
    view.filter.value = 'psnr is low';
    expect(view.filterProblem.value).toContain('“psnr is low” is no condition.');
    expect(view.shown.value).toHaveLength(2);
  });

  it('replace those of the same image, and go where their shard was not finished', () => {
    const view = filled(row(0, { psnr: 1 }), row(1), row(2));
    view.add([row(0, { psnr: 2 })]);
    view.remove(1, 3);
    vi.runAllTimers();
    expect(view.rows.value).toEqual([row(0, { psnr: 2 })]);
  });

  it('turn their order round when a column is chosen again', () => {
    const view = filled(row(0, { tokens: 5 }), row(1, { tokens: 7 }));
    view.sortBy('tokens');
    expect(indices(view.shown.value)).toEqual([0, 1]);
    view.sortBy('tokens');
    expect(indices(view.shown.value)).toEqual([1, 0]);
    view.sortBy('path');
    expect(indices(view.shown.value)).toEqual([0, 1]);
  });
});

it('a state that cannot be read is that of a new page', () => {
  const usual = { uri: '', sort: 'index', descending: false, filter: '', selection: 'all' };
  expect(readDatasetState(null)).toEqual(usual);
  expect(readDatasetState({ uri: 3, sort: '__proto__', filter: 'x'.repeat(5000), selection: [] })).toEqual(usual);
  expect(readDatasetState({ uri: 'file:///x', sort: 'psnr', descending: true })).toMatchObject({ sort: 'psnr' });
});

it('a mean curve has the means and percentiles of NumPy, without pictures that are identical', () => {
  const tops = [21.5, 24, 30.25, 28, 22.75];
  const lows = [18, 19, 25, 23, 17.5];
  const curves = tops.map((top, index) => ({
    index,
    points: [
      { lossRate: 0, tokens: 100, bits: 1000, psnr: top },
      { lossRate: 0.5, tokens: 40 + index, bits: 400, psnr: lows[index] ?? NaN },
    ],
  }));
  const identical = { index: 9, points: [{ lossRate: 0, tokens: 100, bits: 1000, psnr: null }] };
  // numpy.mean, numpy.percentile(…, 10) and (…, 90).
  const points = meanCurve([...curves, identical]);
  expect(points.map(({ lossRate, images, tokens }) => [lossRate, images, tokens])).toEqual([
    [0.5, 5, 42],
    [0, 5, 100],
  ]);
  for (const [i, [mean, low, high]] of [
    [20.5, 17.7, 24.2],
    [25.3, 22, 29.35],
  ].entries()) {
    expect(points[i]?.psnr).toBeCloseTo(mean ?? NaN, 9);
    expect(points[i]?.low).toBeCloseTo(low ?? NaN, 9);
    expect(points[i]?.high).toBeCloseTo(high ?? NaN, 9);
  }
});
