import { computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { CancellationTokenSource } from 'vscode-jsonrpc/browser';
import type { Inspector } from './inspector';
import { carried, keyOfEdits, noEdits } from '../../src/method/edits';
import type { Analyses } from '../../src/protocol/analyses';
import { fromResponseError } from '../../src/protocol/errorTransfer';
import type { InfluenceMap, Tokens, Grid, PatchRegion } from '../../src/method/types';

/** Maps of the global tokens computed so far under one kept set: N values of 8-bit units each. */
export type InfluenceMaps = ReadonlyMap<number, Float32Array>;

/** Kept sets whose maps are remembered; one has some ten kilobytes. */
const keptMasks = 16;

/**
 * Influence of every global token under the kept set shown: computed while that overlay is chosen, the isolated tokens first,
 * one request each, so that a drag's reconstruction gets in between.
 */
export class Influence {
  private readonly byMask = signal<ReadonlyMap<string, InfluenceMaps>>(new Map());
  private readonly lastMask = signal<string | undefined>(undefined);
  private readonly paused = signal(false);
  private readonly running = signal<string | undefined>(undefined);
  private work: CancellationTokenSource | undefined;
  private tokens: Tokens | undefined;
  private lastTile: number | undefined;

  constructor(
    private readonly inspector: Inspector,
    private readonly analyses: Pick<Analyses, 'influence'>,
    private readonly fail: (error: unknown) => void,
  ) {
    effect(() => this.follow());
  }

  /** Names the kept set shown; undefined while its reconstruction is still to come. */
  private readonly mask = computed(() => {
    const { selected, stale, ranks, reconstruction } = this.inspector;
    if (selected.value === undefined || reconstruction.value === undefined || stale.value) return undefined;
    const region = this.inspector.tileRegion.value;
    if (region === undefined) return undefined;
    // Tiles know nothing of each other: only the kept patches of this one matter.
    const columns = this.inspector.tokenization.value?.image.grid.columns ?? 0;
    const rows = Array.from({ length: region.rows }, (_, row) => {
      const first = (region.row + row) * columns + region.column;
      return selected.value?.keep.subarray(first, first + region.columns).join('') ?? '';
    });
    const { replaced } = this.inspector.edits.value;
    return `${ranks.value} ${this.inspector.tile.value} ${rows.join(' ')} ${keyOfEdits({ ...noEdits, replaced })}`;
  });

  /** Maps under the kept set shown, or the last ones until there are any. */
  readonly maps: ReadonlySignal<InfluenceMaps> = computed(() => {
    const known = this.byMask.value;
    const last = this.lastTile === this.inspector.tile.value ? this.lastMask.value : undefined;
    return known.get(this.mask.value ?? '') ?? known.get(last ?? '') ?? new Map<number, Float32Array>();
  });

  /** True if the maps shown are those of another kept set. */
  readonly stale: ReadonlySignal<boolean> = computed(
    () => this.maps.value.size > 0 && !this.byMask.value.has(this.mask.value ?? ''),
  );

  readonly computing: ReadonlySignal<boolean> = computed(() => this.running.value !== undefined);

  /** True if the user stopped the computation before all maps were there. */
  readonly stopped: ReadonlySignal<boolean> = computed(
    () => this.paused.value && (this.stale.value || this.maps.value.size < this.count()),
  );

  /** Mean over the isolated tokens, or over all that are known, on the whole grid; NaN outside the tile. */
  readonly shown: ReadonlySignal<Float32Array | undefined> = computed(() => {
    const maps = this.maps.value;
    const isolated = this.inspector.isolatedTokens.value;
    const chosen = isolated.length > 0 ? isolated : [...maps.keys()];
    const rows = chosen.flatMap((token) => maps.get(token) ?? []);
    const [first] = rows;
    const grid = this.inspector.tokenization.value?.image.grid;
    const region = this.inspector.tileRegion.value;
    if (first?.length !== (region?.rows ?? 0) * (region?.columns ?? 0) || !grid || !region) return undefined;
    const mean = first.map((_, patch) => rows.reduce((sum, row) => sum + (row[patch] ?? 0), 0) / rows.length);
    return onGrid(mean, region, grid);
  });

  resume(): void {
    this.paused.value = false;
  }

  /** Ends the computation until {@link resume}; what is known stays. */
  cancel(): void {
    this.paused.value = true;
  }

  private count(): number {
    return this.inspector.tokenization.value?.model.globalTokens ?? 0;
  }

  private follow(): void {
    const tokens = this.inspector.tokenization.value?.tokens;
    const mask = this.mask.value;
    const wanted = this.inspector.overlay.value === 'influence' && !this.paused.value;
    if (this.tokens !== tokens) {
      this.tokens = tokens;
      this.stop();
      this.byMask.value = new Map();
      this.lastMask.value = undefined;
    }
    if (!wanted || mask !== this.running.peek()) this.stop();
    if (wanted && mask !== undefined && this.running.peek() === undefined) void this.compute(mask);
  }

  private async compute(mask: string): Promise<void> {
    if (this.next(mask) === undefined) return;
    const settings = this.inspector.settings.peek();
    const edits = carried(this.inspector.edits.peek());
    const tile = this.inspector.tile.peek();
    const work = new CancellationTokenSource();
    this.work = work;
    this.running.value = mask;
    try {
      for (let token = this.next(mask); token !== undefined; token = this.next(mask)) {
        const request = { settings, edits, tile, globalToken: token };
        const map = await this.analyses.influence(request, { token: work.token });
        if (this.work !== work) return;
        this.keep(mask, map);
      }
      this.stop();
    } catch (error) {
      if (this.work !== work) return;
      // Of replaced tokens there is nothing to say; new ones begin anew.
      if (fromResponseError(error).code === 'cancelled') this.stop();
      else {
        this.cancel();
        this.fail(error);
      }
    }
  }

  /** The token to compute next: isolated ones first, also those isolated meanwhile. */
  private next(mask: string): number | undefined {
    const known = this.byMask.peek().get(mask);
    const count = this.inspector.tokenization.peek()?.model.globalTokens ?? 0;
    const order = [...this.inspector.isolatedTokens.peek(), ...Array.from({ length: count }, (_, token) => token)];
    return order.find((token) => known?.has(token) !== true);
  }

  private keep(mask: string, { tile, globalToken, change }: InfluenceMap): void {
    const all = new Map(this.byMask.peek());
    const maps = new Map(all.get(mask)).set(globalToken, change);
    all.delete(mask);
    all.set(mask, maps);
    for (const oldest of all.keys()) {
      if (all.size <= keptMasks) break;
      all.delete(oldest);
    }
    this.byMask.value = all;
    this.lastTile = tile;
    this.lastMask.value = mask;
  }

  private stop(): void {
    this.work?.cancel();
    this.work = undefined;
    this.running.value = undefined;
  }
}

/** Values of one tile's patches on the whole grid, NaN elsewhere: tiles know nothing of each other. */
export function onGrid(values: Float32Array, region: PatchRegion, { rows, columns }: Grid): Float32Array {
  const whole = new Float32Array(rows * columns).fill(NaN);
  for (let row = 0; row < region.rows; row++) {
    const line = values.subarray(row * region.columns, (row + 1) * region.columns);
    whole.set(line, (region.row + row) * columns + region.column);
  }
  return whole;
}
