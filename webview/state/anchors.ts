import { batch, computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import type { CancellationToken } from 'vscode-jsonrpc/browser';
import type { Inspector } from './inspector';
import { LatestRequest } from './latestRequest';
import type { RateDistortion } from './rateDistortion';
import { anchorLimits, bytesOf, codecs, type Anchor, type AnchorPoint, type Codec } from '../../src/method/anchors';
import type { Analyses } from '../../src/protocol/analyses';
import type { Tokens } from '../../src/method/types';

/** ε has settled when it has not moved for so long: encoders take longer than a reconstruction. */
const settledMs = 300;

interface AnchorsOf {
  readonly tokens: Tokens;
  readonly bytes: number;
  readonly anchors: ReadonlyMap<Codec, Anchor>;
}

interface CurvesOf {
  readonly tokens: Tokens;
  readonly limits: readonly number[];
  readonly curves: ReadonlyMap<Codec, readonly AnchorPoint[]>;
}

/** The photograph in common formats at the bytes of its tokens, once the user wants to see it: anew whenever ε has settled. */
export class Anchors {
  private readonly last = signal<AnchorsOf | undefined>(undefined);
  private readonly lastCurves = signal<CurvesOf | undefined>(undefined);

  constructor(
    private readonly inspector: Inspector,
    private readonly rateDistortion: RateDistortion,
    private readonly analyses: Pick<Analyses, 'anchor' | 'anchorCurve'>,
    fail: (error: unknown) => void,
  ) {
    this.follow(fail);
    this.followCurve(fail);
    effect(() => {
      // The view needs its picture.
      if (inspector.view.value === 'anchor' && inspector.hasOriginal.value) inspector.anchored.value = true;
    });
    effect(() => {
      const anchor = this.shown.value.get(inspector.codec.value);
      inspector.anchor.value = anchor?.file ? anchor : undefined;
    });
  }

  /** Bytes of the tokens and mask shown. */
  readonly bytes: ReadonlySignal<number | undefined> = computed(() => {
    const selected = this.inspector.selected.value;
    return selected && bytesOf(selected);
  });

  /** Those of the picture, maybe of former bytes. */
  readonly shown: ReadonlySignal<ReadonlyMap<Codec, Anchor>> = computed(() => {
    const [last, tokens] = [this.last.value, this.inspector.tokenization.value?.tokens];
    return last !== undefined && last.tokens === tokens && this.inspector.anchored.value ? last.anchors : new Map();
  });

  /** True if anchors are still to come, or still those of other bytes. */
  readonly stale: ReadonlySignal<boolean> = computed(
    () =>
      this.inspector.anchored.value &&
      (this.last.value?.bytes !== this.bytes.value || this.shown.value.size < codecs.length),
  );

  /** The curve of each format over the bytes of the rate–distortion curve, as far as it is known. */
  readonly curves: ReadonlySignal<ReadonlyMap<Codec, readonly AnchorPoint[]>> = computed(() => {
    const [last, tokens] = [this.lastCurves.value, this.inspector.tokenization.value?.tokens];
    return last !== undefined && last.tokens === tokens && this.inspector.anchored.value ? last.curves : new Map();
  });

  /** Computes anchors from now on, or no longer. */
  toggle(): void {
    const { anchored, view } = this.inspector;
    batch(() => {
      anchored.value = !anchored.value;
      if (!anchored.value && view.value === 'anchor') view.value = 'reconstruction';
    });
  }

  private follow(fail: (error: unknown) => void): void {
    const { inspector } = this;
    const request = this.latest(async ({ tokens, bytes }: { tokens: Tokens; bytes: number }, token) => {
      const anchors = new Map<Codec, Anchor>();
      const chosen = inspector.codec.peek();
      for (const codec of [chosen, ...codecs.filter((other) => other !== chosen)]) {
        anchors.set(codec, await this.analyses.anchor({ codec, bytes }, { token }));
        if (!token.isCancellationRequested) this.last.value = { tokens, bytes, anchors: new Map(anchors) };
      }
    }, fail);
    effect(() => {
      const tokens = inspector.tokenization.value?.tokens;
      const bytes = this.bytes.value;
      // A reconstruction is more urgent.
      const wanted = inspector.anchored.value && inspector.hasOriginal.value;
      if (!wanted || tokens === undefined || bytes === undefined || inspector.stale.value) {
        request.stop();
        return;
      }
      const known = this.last.peek();
      if (known?.tokens === tokens && known.bytes === bytes && known.anchors.size === codecs.length) return;
      request.ask({ tokens, bytes }, { delayMs: known === undefined ? 0 : settledMs, finishRunning: false });
    });
  }

  private followCurve(fail: (error: unknown) => void): void {
    const limits = computed(() => {
      const curve = this.rateDistortion.shown.value;
      if (curve === undefined || curve.points.length < curve.lossRates.length) return undefined;
      const bytes = curve.points.map(bytesOf);
      return anchorLimits(Math.min(...bytes), Math.max(...bytes));
    });
    const request = this.latest(
      async ({ tokens, limits: bytes }: { tokens: Tokens; limits: readonly number[] }, token) => {
        const curves = new Map<Codec, readonly AnchorPoint[]>();
        for (const codec of codecs) {
          curves.set(codec, await this.analyses.anchorCurve({ codec, bytes: [...bytes] }, { token }));
          if (!token.isCancellationRequested)
            this.lastCurves.value = { tokens, limits: bytes, curves: new Map(curves) };
        }
      },
      fail,
    );
    effect(() => {
      const tokens = this.inspector.tokenization.value?.tokens;
      const wanted = this.inspector.anchored.value && this.inspector.hasOriginal.value;
      if (!wanted || tokens === undefined || limits.value === undefined) {
        request.stop();
        return;
      }
      const known = this.lastCurves.peek();
      const same = known?.tokens === tokens && String(known.limits) === String(limits.value);
      if (same && known.curves.size === codecs.length) return;
      request.ask({ tokens, limits: limits.value }, { delayMs: settledMs, finishRunning: false });
    });
  }

  private latest<Params>(
    send: (params: Params, token: CancellationToken) => Promise<void>,
    fail: (error: unknown) => void,
  ): LatestRequest<Params, void> {
    return new LatestRequest(send, () => undefined, fail);
  }
}
