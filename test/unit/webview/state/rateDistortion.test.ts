import { beforeEach, describe, expect, it } from 'vitest';
import type { MeasureRequest } from '../../../../src/protocol/analyses';
import type { Measurement } from '../../../../src/method/types';
import type { Inspector } from '../../../../webview/state/inspector';
import { lossRateGrid } from '../../../../webview/state/lossRate';
import { RateDistortion } from '../../../../webview/state/rateDistortion';
import {
  asking,
  cancelled,
  inspectorOf,
  reconstructed,
  settled,
  tokenization,
  tokenize,
  type Asked,
} from './shownPicture';

const point = (lossRate: number): Measurement => ({
  lossRate,
  keptTokens: Math.round(6 * (1 - lossRate)),
  length: 1,
  totalTokens: 2 + Math.round(6 * (1 - lossRate)),
  payloadBits: 1,
  maskBits: 1,
  psnr: 30,
  ssim: 0.9,
});

let inspector: Inspector;
let curve: RateDistortion;
let asked: Asked<MeasureRequest, readonly Measurement[]>[];
let failures: unknown[];
const lossRates = lossRateGrid(reconstructed.ranking, null);

beforeEach(() => begin());

function begin(of = tokenization): void {
  const measure = asking<MeasureRequest, readonly Measurement[]>();
  asked = measure.asked;
  failures = [];
  inspector = inspectorOf(of);
  curve = new RateDistortion(inspector, { measure: measure.ask }, (error) => failures.push(error));
}

/** Answers all that is asked, until nothing is. */
async function answerAll(): Promise<void> {
  // Each answer may have the next asked for.
  for (const request of asked) await request.answer(request.params.lossRates.map(point));
}

const measured = () => asked.flatMap(({ params }) => params.lossRates);

describe('the rate–distortion curve', () => {
  it('is measured point by point on the CPU, and then by ascending number of tokens', async () => {
    expect([curve.shown.value, curve.incomplete.value, curve.measuring.value, curve.stale.value]).toEqual([
      undefined,
      true,
      false,
      false,
    ]);
    void curve.compute();
    expect(curve.measuring.value).toBe(true);
    expect(curve.shown.value).toMatchObject({ lossRates, points: [], settings: inspector.settings.value });
    await asked[0]?.answer([point(0)]);
    expect(curve.shown.value?.points).toEqual([point(0)]);
    expect(curve.incomplete.value).toBe(true);
    await answerAll();
    expect(measured()).toEqual(lossRates);
    expect(asked.every(({ params }) => params.lossRates.length === 1)).toBe(true);
    expect(asked[0]?.params.settings).toEqual(inspector.settings.value);
    const tokens = curve.shown.value?.points.map(({ totalTokens }) => totalTokens) ?? [];
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    expect(new Set(tokens).size).toBeGreaterThan(3);
    expect([curve.incomplete.value, curve.measuring.value]).toEqual([false, false]);
  });

  it('is measured in fours on other providers', async () => {
    begin({ ...tokenization, provider: { provider: 'cuda', failures: [] } });
    void curve.compute();
    await answerAll();
    expect(asked[0]?.params.lossRates).toEqual(lossRates.slice(0, 4));
    expect(measured()).toEqual(lossRates);
  });

  it('is not begun twice, nor without a ranking', () => {
    void curve.compute();
    void curve.compute();
    expect(asked).toHaveLength(1);
    begin();
    inspector.criterion.value = 'sequential';
    void curve.compute();
    expect(asked).toHaveLength(0);
    // A former ranking is none of the settings chosen.
    inspector.reconstruction.value = reconstructed;
    void curve.compute();
    expect(asked).toHaveLength(0);
  });

  it('keeps what was measured when it is cancelled, and goes on there', async () => {
    void curve.compute();
    await asked[0]?.answer([point(0)]);
    curve.cancel();
    expect(asked[1]?.token.isCancellationRequested).toBe(true);
    expect(curve.measuring.value).toBe(false);
    await asked[1]?.answer([point(1)]);
    expect(curve.shown.value?.points).toEqual([point(0)]);
    void curve.compute();
    await answerAll();
    expect(asked[2]?.params.lossRates).toEqual([1]);
    expect(curve.incomplete.value).toBe(false);
    expect(failures).toEqual([]);
  });

  it.each(['edgePriority', 'budget', 'criterion', 'rankingRounds'] as const)(
    'of other settings is another: %s',
    async (key) => {
      void curve.compute();
      await answerAll();
      const first = curve.shown.value;
      const other = { edgePriority: 2, budget: 'reference', criterion: 'distortion', rankingRounds: 3 } as const;
      const before = inspector[key].value;
      (inspector[key] as { value: unknown }).value = other[key];
      // The last curve stays until there is one.
      expect([curve.shown.value, curve.stale.value, curve.incomplete.value]).toEqual([first, true, true]);
      (inspector[key] as { value: unknown }).value = before;
      expect([curve.shown.value, curve.stale.value, curve.incomplete.value]).toEqual([first, false, false]);
    },
  );

  it('ends when the settings change while it is measured; ε is none of them', async () => {
    void curve.compute();
    inspector.lossRate.value = 0.7;
    expect(curve.measuring.value).toBe(true);
    inspector.edgePriority.value = 3;
    expect(asked[0]?.token.isCancellationRequested).toBe(true);
    expect(curve.measuring.value).toBe(false);
    void curve.compute();
    await asked[1]?.answer([point(0)]);
    expect(curve.shown.value?.settings.edgePriority).toBe(3);
    expect([curve.shown.value?.points.length, curve.stale.value]).toEqual([1, false]);
  });

  it('is forgotten with its tokens', async () => {
    void curve.compute();
    await asked[0]?.answer([point(0)]);
    const { tokens } = tokenization;
    tokenize(inspector, { ...tokenization, tokens: { ...tokens, globalCodes: Int32Array.of(2, 2) } });
    expect([curve.shown.value, curve.measuring.value, curve.stale.value]).toEqual([undefined, false, false]);
    expect(asked[1]?.token.isCancellationRequested).toBe(true);
    await asked[1]?.answer([point(1)]);
    expect(curve.shown.value).toBeUndefined();
  });

  it('tells of a failure once, and of none after it was cancelled', async () => {
    void curve.compute();
    const error = new Error('no memory');
    await asked[0]?.fail(error);
    expect([failures, curve.measuring.value]).toEqual([[error], false]);
    void curve.compute();
    curve.cancel();
    await asked[1]?.fail(cancelled());
    await settled();
    expect(failures).toEqual([error]);
  });
});
