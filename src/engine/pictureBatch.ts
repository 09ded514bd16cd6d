/** Several pictures through the pipeline at once: what data sets of tokens are made by. */
import { TatokError } from '../method/errors';
import { lostWith } from '../method/filter';
import type { FilterSettings, ModelDescription, Picture } from '../method/types';
import type { DecodedTokens, FailedPicture, TokenizedPicture, TokensToDecode } from '../protocol/engineMessages';
import { GatheredGraphs, type PipelineGraphs } from './gatheredGraphs';
import { shownImage } from './picture';
import { TaTok } from './pipeline';
import type { StageObserver } from './stages';

/** Pictures of one model image each, in batches of one size. */
export class PictureBatch {
  private readonly graphs: GatheredGraphs;
  private readonly tatok: TaTok;

  /** @param size images of every run of a graph. */
  constructor(
    private readonly model: ModelDescription,
    graphs: PipelineGraphs,
    size: number,
    private readonly observer: StageObserver,
  ) {
    this.graphs = new GatheredGraphs(graphs, size);
    this.tatok = new TaTok(model, this.graphs, size);
  }

  /**
   * @param read decoded files, or why they could not be.
   * @param quality true: kept tokens are decoded and measured.
   * @throws TatokError of the graphs: then no picture of the batch has an answer.
   */
  async tokenize(
    read: readonly PromiseSettledResult<{ readonly picture: Picture }>[],
    settings: FilterSettings,
    quality: boolean,
  ): Promise<(TokenizedPicture | FailedPicture)[]> {
    const pictures = read.flatMap((each) => (each.status === 'fulfilled' ? [each.value.picture] : []));
    const tokenized = await this.graphs.forEach(pictures, (picture) => this.tokenizeOne(picture, settings, quality));
    const answers = tokenized.map(answerOf).values();
    return read.map((each) => {
      if (each.status === 'rejected') return answerOf(each);
      const { value } = answers.next();
      if (value === undefined) throw new RangeError('a picture has no answer');
      return value;
    });
  }

  /** @throws TatokError of the graphs. */
  async decode(pictures: readonly TokensToDecode[]): Promise<(DecodedTokens | FailedPicture)[]> {
    const decoded = await this.graphs.forEach(pictures, (tokens) => this.tatok.decodeTokens(tokens, this.observer));
    return decoded.map(answerOf);
  }

  private async tokenizeOne(picture: Picture, settings: FilterSettings, quality: boolean): Promise<TokenizedPicture> {
    const { tatok, observer } = this;
    const image = shownImage(picture, this.model);
    const all = (await tatok.tokenize(picture, image, settings, observer)).tokens;
    const { globalCodes, patchCodes, entropyBits, surprisalBits } = all;
    if (!(globalCodes instanceof Int32Array && patchCodes instanceof Int32Array))
      throw new RangeError('not plain tokens');
    const tokens = { globalCodes, patchCodes, entropyBits, surprisalBits };
    const { ranking } = this.model.filters
      ? await tatok.rank(all, picture, settings, observer)
      : { ranking: undefined };
    const lostBits = Float32Array.from(ranking === undefined ? [] : lostWith(ranking));
    const { rgb: _, ...geometry } = picture;
    if (!quality) {
      return { geometry, tokens, lostBits, filtered: tatok.filter(picture, settings, ranking), quality: undefined };
    }
    const { keep, keptTokens, totalTokens, payloadBits, maskBits, psnr, ssim } = await tatok.reconstruct(
      all,
      image,
      picture,
      settings,
      ranking,
      observer,
    );
    const filtered = { keep, keptTokens, totalTokens, payloadBits, maskBits };
    return { geometry, tokens, lostBits, filtered, quality: { psnr, ssim } };
  }
}

/** Faults of one picture. All others are the model's or the provider's, and those of every picture. */
const ownFaults = new Set(['image-unreadable', 'image-unsupported', 'image-too-large', 'tokens-invalid']);

/** A picture's answer: its result, or why there is none. @throws the reason where it is not the picture's own. */
export function answerOf<Result>(settled: PromiseSettledResult<Result>): Result | FailedPicture {
  if (settled.status === 'fulfilled') return settled.value;
  const reason: unknown = settled.reason;
  if (!(reason instanceof TatokError) || !ownFaults.has(reason.code)) throw reason;
  return { failure: reason.advice === undefined ? reason.message : `${reason.message} ${reason.advice}` };
}
