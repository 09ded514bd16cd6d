import { signal } from '@preact/signals';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AnchorCurveRequest, AnchorRequest } from '../../../../src/protocol/analyses';
import { anchorLimits, bytesOf, codecs, type Anchor, type AnchorPoint } from '../../../../src/method/anchors';
import type { Measurement } from '../../../../src/method/types';
import { Anchors } from '../../../../webview/state/anchors';
import type { Inspector } from '../../../../webview/state/inspector';
import type { RateCurve, RateDistortion } from '../../../../webview/state/rateDistortion';
import { asking, inspectorOf, reconstructed, tokenization, tokenize, type Asked } from './shownPicture';

let inspector: Inspector;
let anchors: Anchors;
let files: Asked<AnchorRequest, Anchor>[];
let curves: Asked<AnchorCurveRequest, readonly AnchorPoint[]>[];
let failures: unknown[];
const measured = signal<RateCurve | undefined>(undefined);

beforeEach(() => {
  vi.useFakeTimers();
  measured.value = undefined;
  const [one, many] = [asking<AnchorRequest, Anchor>(), asking<AnchorCurveRequest, readonly AnchorPoint[]>()];
  [files, curves, failures] = [one.asked, many.asked, []];
  inspector = inspectorOf();
  const analyses = { anchor: one.ask, anchorCurve: many.ask };
  const rateDistortion = { shown: measured } as unknown as RateDistortion;
  anchors = new Anchors(inspector, rateDistortion, analyses, (error) => failures.push(error));
});
afterEach(() => void vi.useRealTimers());

const anchorOf = ({ codec, bytes }: AnchorRequest): Anchor =>
  ({ codec, file: { bytes: bytes - 1 }, rgb: Uint8Array.of(codecs.indexOf(codec)) }) as unknown as Anchor;

async function answer(index: number): Promise<void> {
  const each = files[index];
  if (each === undefined) throw new Error(`nothing was asked as number ${index}`);
  void each.answer(anchorOf(each.params));
  await vi.advanceTimersByTimeAsync(0);
}

/** The reconstruction under the settings shown. */
function reconstruct(): void {
  const selected = inspector.selected.peek();
  if (selected !== undefined) inspector.reconstruction.value = { ...reconstructed, ...selected };
}

const bytes = () => bytesOf(inspector.selected.peek() ?? { payloadBits: NaN, maskBits: NaN });
const settle = () => vi.advanceTimersByTimeAsync(5000);

describe('the photograph at the bytes of its tokens', () => {
  it('is computed once the user wants it, the chosen format first', async () => {
    reconstruct();
    await settle();
    expect([files, anchors.stale.value, anchors.bytes.value]).toEqual([[], false, bytes()]);
    inspector.codec.value = codecs[1];
    anchors.toggle();
    expect(anchors.stale.value).toBe(true);
    for (let i = 0; i < codecs.length; i++) await answer(i);
    const order = [codecs[1], ...codecs.filter((codec) => codec !== codecs[1])];
    expect(files.map(({ params }) => params)).toEqual(order.map((codec) => ({ codec, bytes: bytes() })));
    expect([...anchors.shown.value.keys()]).toEqual(order);
    expect(anchors.stale.value).toBe(false);
    expect(inspector.anchor.value).toBe(anchors.shown.value.get(codecs[1]));
    inspector.codec.value = codecs[0];
    expect(inspector.anchor.value).toBe(anchors.shown.value.get(codecs[0]));
    expect(failures).toEqual([]);
  });

  it('waits for the reconstruction, and for ε to settle', async () => {
    anchors.toggle();
    await settle();
    expect(files).toEqual([]);
    reconstruct();
    for (let i = 0; i < codecs.length; i++) await answer(i);
    const before = inspector.anchor.value;
    expect(before?.codec).toBe('webp');
    inspector.lossRate.value = 0;
    expect(anchors.stale.value).toBe(true);
    // What was shown stays meanwhile.
    expect(anchors.shown.value.size).toBe(codecs.length);
    reconstruct();
    await vi.advanceTimersByTimeAsync(0);
    expect(files).toHaveLength(codecs.length);
    await settle();
    expect(files.at(-1)?.params).toEqual({ codec: inspector.codec.value, bytes: bytes() });
    inspector.lossRate.value = 1;
    expect(files.at(-1)?.token.isCancellationRequested).toBe(true);
    await answer(codecs.length);
    // Its answer is none any more.
    expect(inspector.anchor.value).toEqual(before);
  });

  it('is not asked for again where it is known, nor where the user no longer wants it', async () => {
    reconstruct();
    anchors.toggle();
    for (let i = 0; i < codecs.length; i++) await answer(i);
    reconstruct();
    await settle();
    expect(files).toHaveLength(codecs.length);
    inspector.view.value = 'anchor';
    anchors.toggle();
    expect(inspector.view.value).toBe('reconstruction');
    expect([anchors.shown.value.size, anchors.stale.value, inspector.anchor.value]).toEqual([0, false, undefined]);
    inspector.view.value = 'difference';
    anchors.toggle();
    await settle();
    expect([files.length, inspector.view.value, anchors.shown.value.size]).toEqual([
      codecs.length,
      'difference',
      codecs.length,
    ]);
    anchors.toggle();
    expect(inspector.view.value).toBe('difference');
  });

  it('is wanted by the view that shows it', () => {
    inspector.view.value = 'anchor';
    expect(inspector.anchored.value).toBe(true);
  });

  it('is no picture where no file is small enough', async () => {
    reconstruct();
    anchors.toggle();
    void files[0]?.answer({ ...anchorOf(files[0].params), file: null });
    await vi.advanceTimersByTimeAsync(0);
    expect(anchors.shown.value.size).toBe(1);
    expect(inspector.anchor.value).toBeUndefined();
  });

  it('is that of its tokens alone, and tells of a failure', async () => {
    reconstruct();
    anchors.toggle();
    await answer(0);
    tokenize(inspector, {
      ...tokenization,
      tokens: { ...tokenization.tokens, globalCodes: Int32Array.of(0, 0) },
    });
    expect(anchors.shown.value.size).toBe(0);
    reconstruct();
    await settle();
    const error = new Error('no memory');
    void files.at(-1)?.fail(error);
    await vi.advanceTimersByTimeAsync(0);
    expect(failures).toEqual([error]);
  });
});

describe('the curves of common formats', () => {
  const point = (payloadBits: number) => ({ payloadBits, maskBits: 8 }) as Measurement;
  const whole = {
    ...{ settings: tokenization.settings, lossRates: [0, 1] },
    points: [point(800), point(8000)],
  } as unknown as RateCurve;

  it('follow the whole rate–distortion curve, one format after another', async () => {
    measured.value = { ...whole, points: whole.points.slice(1) };
    anchors.toggle();
    await settle();
    expect(curves).toEqual([]);
    measured.value = whole;
    await settle();
    const limits = anchorLimits(bytesOf(point(800)), bytesOf(point(8000)));
    const answers = codecs.map((codec) => [{ codec }] as unknown as AnchorPoint[]);
    for (let i = 0; i < codecs.length; i++) {
      expect(curves[i]?.params).toEqual({ codec: codecs[i], bytes: limits });
      void curves[i]?.answer(answers[i] ?? []);
      await vi.advanceTimersByTimeAsync(0);
      expect(anchors.curves.value.get(codecs[i] ?? 'webp')).toBe(answers[i]);
    }
    measured.value = { ...whole };
    await settle();
    expect(curves).toHaveLength(codecs.length);
    anchors.toggle();
    expect(anchors.curves.value.size).toBe(0);
    anchors.toggle();
    measured.value = { ...whole, points: [point(80), point(8000)] };
    await settle();
    expect(curves).toHaveLength(codecs.length + 1);
    tokenize(inspector, {
      ...tokenization,
      tokens: { ...tokenization.tokens, globalCodes: Int32Array.of(0, 0) },
    });
    expect(anchors.curves.value.size).toBe(0);
    measured.value = undefined;
    expect(curves.at(-1)?.token.isCancellationRequested).toBe(true);
  });

  it('say why they failed', async () => {
    measured.value = whole;
    anchors.toggle();
    await settle();
    const error = new Error('no memory');
    void curves[0]?.fail(error);
    await vi.advanceTimersByTimeAsync(0);
    expect(failures).toEqual([error]);
  });
});
