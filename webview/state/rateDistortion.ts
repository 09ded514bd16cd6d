import { batch, computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { CancellationTokenSource } from 'vscode-jsonrpc/browser';
import type { Inspector } from './inspector';
import { lossRateGrid } from './lossRate';
import type { Analyses } from '../../src/protocol/analyses';
import type { FilterSettings, Measurement, Tokens } from '../../src/method/types';

/** Measurements under one β, budget and ranking. */
export interface RateCurve {
  readonly settings: FilterSettings;
  /** ε to measure, in the order of measuring. */
  readonly lossRates: readonly number[];
  /** Those measured so far, by ascending number of tokens. */
  readonly points: readonly Measurement[];
}

/** ε measured at once: on the CPU a batch saves nothing, and single ones let a drag's reconstruction in between. */
const batchSize = { cpu: 1, other: 4 };

/** The rate–distortion curve: measured on request, point by point, once for every β, budget and ranking. */
export class RateDistortion {
  private readonly curves = signal<ReadonlyMap<string, RateCurve>>(new Map());
  private readonly last = signal<string | undefined>(undefined);
  /** Key of the curve being measured. */
  private readonly running = signal<string | undefined>(undefined);
  private work: CancellationTokenSource | undefined;
  private tokens: Tokens | undefined;

  constructor(
    private readonly inspector: Inspector,
    private readonly analyses: Pick<Analyses, 'measure'>,
    private readonly fail: (error: unknown) => void,
  ) {
    effect(() => this.follow(inspector.tokenization.value?.tokens, this.key.value));
  }

  private readonly key = computed(() => {
    const { edgePriority, budget, criterion, rankingRounds } = this.inspector;
    return JSON.stringify([edgePriority.value, budget.value, criterion.value, rankingRounds.value]);
  });

  /** The curve of the settings chosen, or the last one until that is measured. */
  readonly shown: ReadonlySignal<RateCurve | undefined> = computed(() => {
    const curves = this.curves.value;
    return curves.get(this.key.value) ?? curves.get(this.last.value ?? '');
  });

  /** True if the curve shown was measured under another β, budget or ranking. */
  readonly stale: ReadonlySignal<boolean> = computed(
    () => this.shown.value !== undefined && !this.curves.value.has(this.key.value),
  );

  readonly measuring: ReadonlySignal<boolean> = computed(() => this.running.value !== undefined);

  /** True if there is anything to measure under the settings chosen. */
  readonly incomplete: ReadonlySignal<boolean> = computed(() => {
    const curve = this.curves.value.get(this.key.value);
    return curve === undefined || curve.points.length < curve.lossRates.length;
  });

  /** Measures what is missing of the curve under the settings chosen; the ranking must be known. */
  async compute(): Promise<void> {
    const { sampled, budgetBits, settings, provider, awaitsRanking } = this.inspector;
    const key = this.key.peek();
    const order = sampled.peek();
    if (order === undefined || awaitsRanking.peek() || this.running.peek() !== undefined) return;
    const curve = this.curves.peek().get(key) ?? {
      settings: settings.peek(),
      lossRates: lossRateGrid(order, budgetBits.peek()),
      points: [],
    };
    this.keep(key, curve);
    const measured = new Set(curve.points.map(({ lossRate }) => lossRate));
    const missing = curve.lossRates.filter((lossRate) => !measured.has(lossRate));
    const size = provider.peek() === 'cpu' ? batchSize.cpu : batchSize.other;
    const work = new CancellationTokenSource();
    this.work = work;
    this.running.value = key;
    try {
      while (missing.length > 0) {
        const request = { settings: curve.settings, lossRates: missing.splice(0, size) };
        const points = await this.analyses.measure(request, { token: work.token });
        if (this.work !== work) return;
        this.add(key, points);
      }
    } catch (error) {
      if (this.work === work) this.fail(error);
    } finally {
      if (this.work === work) this.cancel();
    }
  }

  /** Ends measuring; what is measured stays. */
  cancel(): void {
    this.work?.cancel();
    this.work = undefined;
    this.running.value = undefined;
  }

  private follow(tokens: Tokens | undefined, key: string): void {
    if (this.tokens !== tokens) {
      this.tokens = tokens;
      this.cancel();
      batch(() => {
        this.curves.value = new Map();
        this.last.value = undefined;
      });
    } else if (this.running.peek() !== key) {
      this.cancel();
    }
  }

  private add(key: string, points: readonly Measurement[]): void {
    const curve = this.curves.peek().get(key);
    if (curve === undefined) return;
    const all = [...curve.points, ...points].sort((a, b) => a.totalTokens - b.totalTokens);
    this.keep(key, { ...curve, points: all });
  }

  private keep(key: string, curve: RateCurve): void {
    batch(() => {
      this.curves.value = new Map(this.curves.peek()).set(key, curve);
      this.last.value = key;
    });
  }
}
