/**
 * Ranks the patches of a picture over all of its tiles: by ĥ given G, ĥ estimated anew as patches are revealed, or that weighed
 * by the squared error that keeping them saves.
 */
import { setImmediate } from 'node:timers/promises';
import { TatokError } from '../method/errors';
import { distortionWeights, isSequential, rankSequentially, roundsOf, savedDecibels } from '../method/sequential';
import { eliminate, eliminationPasses } from '../method/elimination';
import { rankPatches } from '../method/filter';
import { patchSide } from '../method/patch';
import { squaredErrors } from './metrics';
import type { StageClock } from './stages';
import { zip, type TileGraphs } from './tileGraphs';
import type { Tiling } from './tiles';
import type { FilterSettings, ModelDescription, Picture, Ranking, Tokens } from '../method/types';

/** Inputs of a ranking, besides the model. */
export interface RankingInput {
  readonly tokens: Tokens;
  readonly tiling: Tiling;
  /** The tokens' at full size; its pixels are read where distortion decides. */
  readonly picture: Picture;
  readonly settings: Pick<FilterSettings, 'ranking' | 'rankingRounds' | 'edgePriority'>;
}

/**
 * The order of dropping.
 *
 * @param model has an entropy model.
 * @throws TatokError bad-settings for distortion where no patches are ranked.
 * @param clock receives the stage `rank`, of several tiles batch by batch; its observer may stop there.
 */
export async function rankTiles(
  model: ModelDescription,
  graphs: TileGraphs,
  ranked: RankingInput,
  clock: StageClock,
): Promise<Ranking> {
  const { entropyBits } = ranked.tokens;
  const grid = ranked.tiling.estimated;
  const { ranking: criterion, edgePriority } = ranked.settings;
  if (criterion === 'distortion' && model.patchTokens === 0) {
    throw new TatokError(
      'bad-settings',
      'The ranking by distortion weighs patches, and this model drops tokens of a sequence.',
      'Rank by entropy or sequentially.',
    );
  }
  if (!isSequential(criterion)) return clock.run('rank', () => rankPatches(entropyBits, grid, edgePriority));
  const rounds = new RevealingRounds(model, graphs, ranked, clock);
  const estimate = (visible: Uint8Array) => rounds.estimate(visible);
  if (model.givenOthers) return eliminate(entropyBits, estimate, grid, edgePriority, roundsOf(ranked.settings));
  const weigh = criterion === 'distortion' ? (visible: Uint8Array) => rounds.weigh(visible) : undefined;
  const ranking = await rankSequentially(entropyBits, estimate, grid, edgePriority, roundsOf(ranked.settings), weigh);
  if (weigh === undefined || ranking.priorities === undefined) return ranking;
  return { ...ranking, priorities: { ...ranking.priorities, savedDecibels: rounds.savedDecibels } };
}

/**
 * The rounds of one ranking that estimates anew. Tiles do not see each other: where nothing was revealed, nothing changes, and where all is, nothing
 * is left to rank. So a round takes only the tiles that are neither.
 */
class RevealingRounds {
  private readonly entropyBits: Float32Array;
  private readonly expectedCodes: Float32Array;
  /** D and D⁰ of {@link distortionWeights}. */
  private readonly errors: Float32Array;
  private readonly floor: Float32Array;
  /** By how much each patch's error fell in the round that revealed it, dB. */
  readonly savedDecibels: Float64Array;
  /** The patches visible in the round before. */
  private before: Uint8Array;
  /** Tiles of this round. */
  private unsettled: readonly number[];
  private pass = 0;
  /** Estimates after the first; where they are weighed, a decoding after each, and two for the first. */
  private readonly passes: number;

  constructor(
    private readonly model: ModelDescription,
    private readonly graphs: TileGraphs,
    private readonly ranked: RankingInput,
    private readonly clock: StageClock,
  ) {
    const { tokens, tiling, settings } = ranked;
    this.entropyBits = tokens.entropyBits.slice();
    this.expectedCodes = tokens.expectedCodes.slice();
    this.errors = new Float32Array(tiling.patches);
    this.floor = new Float32Array(tiling.patches);
    this.savedDecibels = new Float64Array(tiling.patches);
    this.before = new Uint8Array(tokens.entropyBits.length);
    this.unsettled = everyTile(tiling);
    const count = roundsOf(settings);
    const revealing = settings.ranking === 'distortion' ? 2 * count : count - 1;
    this.passes = model.givenOthers ? eliminationPasses(count) : revealing;
  }

  /** ĥ of every patch given G and what is visible, N values in bits. */
  async estimate(visible: Uint8Array): Promise<Float32Array> {
    const { tokens, tiling } = this.ranked;
    const changed = everyTile(tiling).filter((tile) => tiling.some(tile, (i) => visible[i] !== this.before[i]));
    this.unsettled = changed.filter((tile) => tiling.some(tile, (i) => visible[i] === 0));
    await this.forUnsettled(async (tiles) => {
      const batch = await this.graphs.estimate(
        tiles.map((tile) => ({
          codes: this.graphs.codesOf(tokens, tiling, tile),
          visible: this.graphs.maskOf(visible, tiling, tile),
        })),
      );
      zip(tiles, batch, (tile, estimate) => {
        tiling.scatter(estimate.entropyBits, tile, this.entropyBits);
        tiling.scatter(estimate.expectedCodes, tile, this.expectedCodes);
      });
    });
    this.before = visible;
    return this.entropyBits.slice();
  }

  /** w of every patch, N factors of ĥ, with what is visible decoded as kept. */
  async weigh(visible: Uint8Array): Promise<Float64Array> {
    if (!visible.includes(1)) await this.measure(visible.slice().fill(1), this.floor);
    await this.measure(visible, this.errors);
    const saved = savedDecibels(this.errors, this.floor);
    visible.forEach((seen, i) => {
      if (seen === 0) this.savedDecibels[i] = saved[i] ?? 0;
    });
    return distortionWeights(this.errors, this.floor, visible);
  }

  /**
   * Squared error of every patch as it is decoded with a kept set. Counting it takes longer than a GPU decodes: where batches are decoded
   * in another thread, the next one is meanwhile.
   */
  private measure(keep: Uint8Array, into: Float32Array): Promise<void> {
    const { tokens, tiling, picture } = this.ranked;
    const { expectedCodes } = this;
    const { imageSize, steps } = this.model;
    const length = steps.length;
    const side = patchSide(this.model);
    const compare = (tile: number, rgb: Uint8Array) => {
      const squares = squaredErrors(tiling.cut(picture, tile), rgb, imageSize.width, side, tiling.extent(tile));
      tiling.scatterRegion(squares, tile, into);
    };
    const last = this.unsettled.at(-1);
    let compareFormer = () => {};
    return this.forUnsettled(async (tiles) => {
      const decoding = this.graphs.decode(
        tiles.map((tile) => this.graphs.decoderInput(tokens, { expectedCodes }, { keep, length }, tiling, tile)),
      );
      // After a turn of the loop the batch is on its way to the other thread.
      const [decoded] = await Promise.all([decoding, setImmediate().then(compareFormer)]);
      compareFormer = () => zip(tiles, decoded, compare);
      if (tiles.at(-1) === last) compareFormer();
    });
  }

  private forUnsettled(work: (tiles: readonly number[]) => Promise<void>): Promise<void> {
    const passes = { done: this.pass++, total: this.passes };
    return this.graphs.forSome(this.unsettled, this.ranked.tiling, 'rank', this.clock, passes, work);
  }
}

function everyTile({ count }: Tiling): number[] {
  return Array.from({ length: count }, (_, tile) => tile);
}
