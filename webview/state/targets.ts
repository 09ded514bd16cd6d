import { effect, signal } from '@preact/signals';
import type { Inspector } from './inspector';
import { droppedPrefix, firstWhere } from '../../src/method/filter';
import { costOf, takesLength } from '../../src/method/streams';
import type { Analyses } from '../../src/protocol/analyses';
import type { Ranking } from '../../src/method/types';

export const targetUnits = ['tokens', 'bits', 'psnr'] as const;
export type TargetUnit = (typeof targetUnits)[number];

/** Finds the ε that spends a number of tokens or bits, or reaches a quality. */
export class Targets {
  /** What came of the last target. */
  readonly said = signal('');
  private asked = 0;

  constructor(
    private readonly inspector: Inspector,
    private readonly analyses: Pick<Analyses, 'measure'>,
    private readonly fail: (error: unknown) => void,
  ) {
    // An ε of the user's own is no answer to a target.
    effect(() => {
      if (inspector.lossRate.value !== this.answer) this.said.value = '';
    });
  }

  private answer: number | undefined;

  /**
   * Sets the ε of the fewest tokens that have at least a quality, or of the most that cost at most so many tokens or payload bits. Where
   * none does, the nearest there is.
   *
   * @param target tokens in all, bits, or dB; the last of the filter without experiments.
   */
  async reach(target: number, unit: TargetUnit): Promise<void> {
    const { sampled, budgetBits, tokenization } = this.inspector;
    const ranking = sampled.peek();
    if (ranking === undefined || tokenization.peek() === undefined || !(target >= 0)) {
      this.said.value = 'Not known yet: the patches are still being ranked.';
      return;
    }
    const asked = ++this.asked;
    const budget = budgetBits.peek();
    const most = droppedPrefix(ranking, 1, budget);
    const lossRate = (dropped: number) => lossRateOf(ranking, dropped, budget);
    try {
      const dropped =
        unit === 'psnr'
          ? await this.mostDropped(most, async (each) => (await this.psnr(lossRate(each))) >= target)
          : firstWhere(0, most, (each) => this.cost(each)[unit] <= target);
      if (asked !== this.asked) return;
      const reached = unit === 'psnr' ? await this.psnr(lossRate(dropped)) : this.cost(dropped)[unit];
      if (asked !== this.asked) return;
      this.answer = lossRate(dropped);
      this.inspector.lossRate.value = this.answer;
      const met = unit === 'psnr' ? reached >= target : reached <= target;
      this.said.value = met
        ? `ε ${this.answer.toFixed(4)}`
        : `${unit === 'psnr' ? 'at most' : 'at least'} ${describe(reached, unit)}`;
    } catch (error) {
      this.fail(error);
    }
  }

  /** Tokens and payload bits when so many of the ranking are dropped, forced patches apart. */
  private cost(dropped: number): { readonly tokens: number; readonly bits: number } {
    const tokenization = this.inspector.tokenization.peek();
    const ranking = this.inspector.sampled.peek();
    if (tokenization === undefined || ranking === undefined) return { tokens: 0, bits: 0 };
    const { model, image } = tokenization;
    let left = ranking.order.length - dropped;
    const { forcedKept, forcedDropped } = this.inspector.edits.peek();
    if (forcedKept.length + forcedDropped.length > 0) {
      const gone = new Set(ranking.order.subarray(0, dropped));
      left += forcedKept.filter((patch) => gone.has(patch)).length;
      left -= forcedDropped.filter((patch) => !gone.has(patch)).length;
    }
    const kept = takesLength(model) ? { keptTokens: 0, length: 1 + left } : { keptTokens: left, length: 1 };
    const { totalTokens, payloadBits } = costOf(model, image.tiles, kept);
    return { tokens: totalTokens, bits: payloadBits };
  }

  private async psnr(lossRate: number): Promise<number> {
    const settings = this.inspector.settings.peek();
    const [point] = await this.analyses.measure({ settings, lossRates: [lossRate] });
    // Identical pictures have none.
    return point?.psnr ?? Infinity;
  }

  private async mostDropped(most: number, enough: (dropped: number) => Promise<boolean>): Promise<number> {
    let [low, high] = [0, most];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (await enough(middle)) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/**
 * The least ε that drops so many of a ranking; where the next ones cost nothing they are dropped as well.
 *
 * @param budgetBits B; null is the image's own Σĥ.
 */
export function lossRateOf(ranking: Ranking, dropped: number, budgetBits: number | null): number {
  const budget = budgetBits ?? ranking.totalBits;
  const bits = ranking.cumulativeBits[dropped] ?? 0;
  if (dropped === 0 || budget === 0) return 0;
  // ε = 0 keeps even what costs nothing.
  let lossRate = Math.min(1, Math.max(Number.EPSILON, bits / budget));
  // Division and multiplication may round to a hair less.
  for (let hairs = 1; droppedPrefix(ranking, lossRate, budgetBits) < dropped && hairs <= 64; hairs *= 2) {
    lossRate = Math.min(1, (bits / budget) * (1 + hairs * Number.EPSILON));
  }
  return lossRate;
}

function describe(reached: number, unit: TargetUnit): string {
  if (unit === 'psnr') return `${reached.toFixed(2)} dB`;
  return `${Math.round(reached)} ${unit}`;
}
