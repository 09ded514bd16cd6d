/**
 * One ε for many images: found from the bits that each image loses, without decoding. `tatok/evaluation/budget.py` is the counterpart in
 * Python; `test/fixtures/collection-budgets.json` holds both to the same values.
 */
import { bisectRight, deviation, max, mean, min, quantileSorted } from 'd3-array';
import { TatokError } from './errors';
import { firstWhere } from './filter';
import type { Budget } from './types';

/** ε is a multiple of 1/200, as the inspector's slider is. */
const steps = 200;
/** The reference budget is this share of the images' Σĥ in their order: ε then reaches from every token to none for most of them. */
const busy = 0.8;
/** The greatest ε of a reference budget that is found: above it the slider could drop little more. */
const highestRate = 0.95;

/** How many tokens images take. */
export interface TokenSpread {
  readonly mean: number;
  /** Standard deviation of the images, not an estimate of a population's: divided by their number. */
  readonly deviation: number;
  readonly least: number;
  /** Quantiles, linear between images. */
  readonly tenth: number;
  readonly median: number;
  readonly ninetieth: number;
  readonly most: number;
}

/** Settings under which the mean number of tokens is the greatest that is not above the one asked for. */
export interface FoundBudget {
  /** `collection` has a reference budget of these images, for a model's manifest; the others are settings. */
  readonly kind: Budget | 'collection';
  /** ε, a multiple of 1/200. */
  readonly lossRate: number;
  /** B in bits; null: Σĥ of each image. */
  readonly budgetBits: number | null;
  readonly spread: TokenSpread;
  /** Global and kept patch tokens of every image. */
  readonly tokens: readonly number[];
}

/** Images by the bits that dropping their patches loses. */
export class Collection {
  /** Of every image the bits that dropping m + 1 patches loses, ascending. */
  private readonly lost: readonly Float64Array[];

  /**
   * @param lost of every image N values: the bits that are lost when a patch and all that are dropped before it are dropped, as `lostWith` has
   *   them, in any order.
   * @param globalTokens K, which every image takes.
   */
  constructor(
    lost: readonly ArrayLike<number>[],
    private readonly globalTokens: number,
  ) {
    this.lost = lost.map((values) => Float64Array.from(values).sort());
  }

  get images(): number {
    return this.lost.length;
  }

  /** Tokens of every image under ε·B; `budgetBits` null is each image's own Σĥ. */
  tokens(lossRate: number, budgetBits: number | null): number[] {
    return this.lost.map((lost) => {
      const allowance = lossRate * (budgetBits ?? lost.at(-1) ?? 0);
      return this.globalTokens + lost.length - (lossRate > 0 ? bisectRight(lost, allowance) : 0);
    });
  }

  /**
   * @param wanted mean number of global and kept patch tokens.
   * @param referenceBits B of the model; undefined where it is not known.
   * @returns the image budget, the model's reference budget if it reaches the mean, and a reference budget of these images.
   * @throws TatokError bad-settings where no ε gives the mean.
   */
  budgetsFor(wanted: number, referenceBits: number | undefined): FoundBudget[] {
    this.requirePossible(wanted);
    const holds = (lossRate: number, budgetBits: number | null) => meanOf(this.tokens(lossRate, budgetBits)) <= wanted;
    const found = (kind: FoundBudget['kind'], lossRate: number, budgetBits: number | null): FoundBudget => {
      const tokens = this.tokens(lossRate, budgetBits);
      return { kind, lossRate, budgetBits, tokens, spread: spreadOf(tokens) };
    };
    const image = firstWhere(1, steps, (step) => holds(step / steps, null));
    const budgets = [found('image', image / steps, null)];
    if (referenceBits !== undefined && holds(1, referenceBits)) {
      budgets.push(
        found('reference', firstWhere(1, steps, (step) => holds(step / steps, referenceBits)) / steps, referenceBits),
      );
    }
    const sums = this.lost.map((lost) => lost.at(-1) ?? 0).sort((a, b) => a - b);
    const allowance = firstWhere(1, Math.ceil(sums.at(-1) ?? 0) + 1, (bits) => holds(1, bits));
    const share = allowance / Math.max(1, quantileSorted(sums, busy) ?? 1);
    const lossRate = Math.min(highestRate, Math.max(1, Math.round(steps * share)) / steps);
    budgets.push(found('collection', lossRate, Math.ceil(allowance / lossRate)));
    return budgets;
  }

  private requirePossible(wanted: number): void {
    const [least, most] = [this.globalTokens, this.globalTokens + (this.lost[0]?.length ?? 0)];
    if (this.images === 0) throw new TatokError('bad-settings', 'There is no image with tokens to find a budget from.');
    if (wanted > least && wanted < most) return;
    throw new TatokError(
      'bad-settings',
      `A mean of ${wanted} tokens is out of reach: an image takes ${least} to ${most}.`,
      `Ask for more than ${least} and fewer than ${most} tokens.`,
    );
  }
}

export function spreadOf(tokens: readonly number[]): TokenSpread {
  const sorted = [...tokens].sort((a, b) => a - b);
  const quantile = (share: number) => quantileSorted(sorted, share) ?? NaN;
  // d3's deviation is that of a sample.
  const ofImages = Math.sqrt((sorted.length - 1) / sorted.length) * (deviation(sorted) ?? 0);
  return {
    mean: meanOf(sorted),
    deviation: ofImages,
    least: min(sorted) ?? NaN,
    tenth: quantile(0.1),
    median: quantile(0.5),
    ninetieth: quantile(0.9),
    most: max(sorted) ?? NaN,
  };
}

function meanOf(values: readonly number[]): number {
  return mean(values) ?? NaN;
}
