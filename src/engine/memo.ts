import type { InfluenceParams, MeasureParams, RankParams } from '../protocol/engineMessages';
import type { Rendered } from './pipeline';
import type { InfluenceMap, Measurement, Ranking, StageTimings } from '../method/types';
import { hashOf, rankingKey } from './keys';
import { Lru } from './lru';

/** An attention tensor has about a megabyte; these are the images whose layers and heads are being browsed. */
const keptAttentions = 4;
/**
 * A sequential ranking costs fifteen estimates and a few kilobytes (two megabytes at 50 megapixels); with it a released slider costs
 * only a decoding.
 */
const keptRankings = 32;
/** Some hundred bytes each: the rate–distortion curves of a session. */
const keptMeasurements = 2048;
/** A kilobyte each: the maps of all global tokens under some kept sets. */
const keptInfluences = 512;
/** Those of the image that is being looked at, before and after a change of its settings. */
const keptReferences = 2;

/** What is ranked: tokens of a picture, under some settings. */
export type RankedTokens = Pick<RankParams, 'tokens' | 'image' | 'file' | 'settings'>;

/** An order of dropping, and what computing it took just now. */
export interface TimedRanking {
  readonly ranking: Ranking;
  readonly timings: StageTimings;
}

/** What was computed of tokens and images is not computed again as long as it is kept. Models are named by their keys. */
export class Memo {
  private readonly rankings = new Lru<string, Ranking>(keptRankings);
  private readonly measurements = new Lru<string, Measurement>(keptMeasurements);
  private readonly influences = new Lru<string, InfluenceMap>(keptInfluences);
  private readonly references = new Lru<string, Rendered>(keptReferences);
  private readonly attentions = new Lru<string, Float32Array>(keptAttentions);

  /** The order of dropping. */
  async ranking(
    model: string,
    { tokens, image, settings }: RankedTokens,
    rank: () => Promise<TimedRanking>,
  ): Promise<TimedRanking> {
    const key = rankingKey(model, image, tokens, settings);
    const known = this.rankings.get(key);
    if (known !== undefined) return { ranking: known, timings: {} };
    const ranked = await rank();
    this.rankings.set(key, ranked.ranking);
    return ranked;
  }

  /** Rate and distortion at every loss rate. @param measure is asked for those that were not measured before. */
  async measured(
    model: string,
    { tokens, image, settings, lossRates }: MeasureParams,
    measure: (missing: readonly number[]) => Promise<readonly Measurement[]>,
  ): Promise<readonly Measurement[]> {
    const rankedAs = rankingKey(model, image, tokens, settings);
    const original = hashOf(image.rgb);
    const keyOf = (lossRate: number) => JSON.stringify([rankedAs, original, settings.budget, lossRate]);
    const known = new Map(lossRates.map((lossRate) => [lossRate, this.measurements.get(keyOf(lossRate))]));
    const missing = lossRates.filter((lossRate) => known.get(lossRate) === undefined);
    for (const measurement of missing.length > 0 ? await measure(missing) : []) {
      this.measurements.set(keyOf(measurement.lossRate), measurement);
      known.set(measurement.lossRate, measurement);
    }
    return lossRates.flatMap((lossRate) => known.get(lossRate) ?? []);
  }

  /**
   * What a global token contributes.
   *
   * @param render what influence is a change of; all tokens of one image share it.
   */
  async influence(
    model: string,
    { tokens, image, settings, tile, globalToken }: InfluenceParams,
    render: () => Promise<Rendered>,
    compare: (reference: Rendered) => Promise<InfluenceMap>,
  ): Promise<InfluenceMap> {
    const rankedAs = rankingKey(model, image, tokens, settings);
    const filteredAs = JSON.stringify([rankedAs, settings.budget, settings.lossRate, tile]);
    const key = JSON.stringify([filteredAs, globalToken]);
    const known = this.influences.get(key);
    if (known !== undefined) return known;
    const reference = this.references.get(filteredAs) ?? (await render());
    this.references.set(filteredAs, reference);
    const map = await compare(reference);
    this.influences.set(key, map);
    return map;
  }

  /** The attention of all layers and heads. @param rgb pixels of one tile. */
  async attention(model: string, rgb: Uint8Array, attend: () => Promise<Float32Array>): Promise<Float32Array> {
    const key = `${model}\0${hashOf(rgb)}`;
    const known = this.attentions.get(key);
    if (known !== undefined) return known;
    const weights = await attend();
    this.attentions.set(key, weights);
    return weights;
  }
}
