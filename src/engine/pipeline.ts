/** The TaTok pipeline, as the method note reads: encode → entropy → filter → decode. */
import { attentionMap } from './attention';
import { TatokError } from '../method/errors';
import { keepEvery, maskBits, payloadBits, selectKept, type Selection } from '../method/filter';
import type { PipelineGraphs } from './gatheredGraphs';
import { nothingEstimated, type Codes, type EntropyEstimate } from './graphs';
import { patchChange, replacementCodes } from './influence';
import { QualityMeter } from './metrics';
import { describeParts } from '../method/parts';
import { patchSide } from '../method/patch';
import { rankTiles } from './ranking';
import { isSequential } from '../method/sequential';
import { budgetOf, resolveSettings } from '../method/settings';
import { TileGraphs, zip } from './tileGraphs';
import { reduce, reductionFor, Tiling, type Strip } from './tiles';
import type { DecodedTokens, TokensToDecode } from '../protocol/engineMessages';
import type {
  AttentionChoice,
  AttentionMap,
  FilterSettings,
  InfluenceMap,
  Measurement,
  ModelDescription,
  ShownGeometry,
  ShownImage,
  Picture,
  PictureGeometry,
  Ranking,
  Reconstruction,
  Stage,
  StageTimings,
  Tokenized,
  Tokens,
} from '../method/types';
import { StageClock, type StageObserver } from './stages';

/** Tokens under some settings, decoded. */
export type Reconstructed = Reconstruction & { readonly timings: StageTimings };

/** A kept set and its cost. */
export type Filtered = Pick<Reconstruction, 'keep' | 'keptTokens' | 'totalTokens' | 'payloadBits' | 'maskBits'>;

/** One tile of a kept set, and what it decodes to. */
export interface Rendered {
  /** Patches of the tile. */
  readonly keep: Uint8Array;
  /** size·size·3 sRGB bytes. */
  readonly rgb: Uint8Array;
}

/** A loaded model. Calls may be repeated in any order and keep no state between them. */
export class TaTok {
  private readonly tileGraphs: TileGraphs;

  /** @param batch most model images that go through a graph at once. */
  constructor(
    readonly model: ModelDescription,
    private readonly graphs: PipelineGraphs,
    batch: number,
  ) {
    this.tileGraphs = new TileGraphs(model, graphs, batch);
  }

  /**
   * Codes of a picture and what the entropy model says of them given G.
   *
   * @param image the picture as it is shown.
   * @param settings what the tokens are to be filtered with.
   * @throws TatokError of the model; whatever `observer` throws, between stages and batches.
   */
  async tokenize(
    picture: Picture,
    image: ShownImage,
    settings: FilterSettings,
    observer?: StageObserver,
  ): Promise<Tokenized> {
    const clock = new StageClock(observer);
    const tiling = this.tiling(image);
    const tokens = this.graphs.tokenizesAtOnce
      ? await this.tokenizeAtOnce(picture, tiling, clock)
      : await this.tokenizeInTurn(picture, tiling, clock);
    return { image, settings, tokens, timings: clock.timings };
  }

  /**
   * The order of dropping under some β and ranking criterion.
   *
   * @param picture the tokens' at full size; its pixels are read where distortion decides.
   * @param given their ε and budget are not used.
   * @throws TatokError bad-settings for a model without an entropy model.
   */
  async rank(
    tokens: Tokens,
    picture: Picture,
    given: FilterSettings,
    observer?: StageObserver,
  ): Promise<{ readonly ranking: Ranking; readonly timings: StageTimings }> {
    if (!this.model.filters) {
      throw new TatokError(
        'bad-settings',
        `Nothing can be dropped, so nothing is ranked: ${describeParts(this.model)}.`,
      );
    }
    const clock = new StageClock(observer);
    const settings = resolveSettings(given, this.model);
    const tiling = this.tiling(picture);
    const ranking = await rankTiles(this.model, this.tileGraphs, { tokens, tiling, picture, settings }, clock);
    return { ranking, timings: clock.timings };
  }

  /**
   * Filters and decodes tokens under some settings, without encoding.
   *
   * @param image of the tokens.
   * @param picture the same at full size, for PSNR and SSIM.
   * @param ranking of these tokens under the same β and ranking criterion; undefined: every token is kept.
   */
  async reconstruct(
    tokens: Tokens,
    image: ShownGeometry,
    picture: Picture,
    given: FilterSettings,
    ranking: Ranking | undefined,
    observer?: StageObserver,
  ): Promise<Reconstructed> {
    const clock = new StageClock(observer);
    const settings = resolveSettings(given, this.model);
    const tiling = this.tiling(image);
    const { selections, estimates } = await this.select(tokens, tiling, ranking, [settings], clock);
    const decoded = await this.decode(tokens, estimates, selections, tiling, image, picture, clock);
    const [selection, estimate, pixels] = [selections[0], estimates[0], decoded[0]];
    if (selection === undefined || estimate === undefined || pixels === undefined) throw new RangeError('no selection');
    return {
      settings,
      ...selection,
      entropyBits: estimate.entropyBits,
      actualLossRate: selection.lostBits === 0 ? 0 : selection.lostBits / selection.budgetBits,
      ...this.rate(selection, tiling),
      ...pixels,
      timings: clock.timings,
    };
  }

  /**
   * What is kept of tokens under some settings and what that costs, without decoding.
   *
   * @param ranking of these tokens under the same β and ranking criterion; undefined: every token is kept.
   */
  filter(geometry: PictureGeometry, given: FilterSettings, ranking: Ranking | undefined): Filtered {
    const tiling = this.tiling(geometry);
    const selection = this.selection(ranking, resolveSettings(given, this.model), tiling);
    return { keep: selection.keep, ...this.rate(selection, tiling) };
  }

  /**
   * Pixels of tokens whose picture is not at hand: exactly those that {@link reconstruct} had from the same codes, kept set and ranking
   * criterion, in batches of the same size on the same provider and threads. Where one graph gave codes and estimates together,
   * the estimates are computed by another one here and may be rounded differently.
   *
   * @returns pixels reduced as the picture is shown.
   * @throws TatokError tokens-invalid unless the model can have given the tokens.
   */
  async decodeTokens(tokens: TokensToDecode, observer?: StageObserver): Promise<DecodedTokens> {
    const clock = new StageClock(observer);
    const { width, height, globalCodes, patchCodes, keep, ranking } = tokens;
    const tiling = this.tiling(tokens);
    this.requireTokens(tokens, tiling);
    const codes = { globalCodes, patchCodes };
    const visible = isSequential(ranking) ? keep : new Uint8Array(keep.length);
    const [estimate = nothingEstimated] = this.model.filters
      ? await this.estimate(codes, [visible], tiling, 'entropy', clock)
      : [];
    const reduction = reductionFor(width, height, patchSide(this.model));
    const [decoded] = await this.decode(
      codes,
      [estimate],
      [{ keep }],
      tiling,
      { width, height, reduction },
      undefined,
      clock,
    );
    if (decoded === undefined) throw new RangeError('no picture');
    return { width: Math.ceil(width / reduction), height: Math.ceil(height / reduction), rgb: decoded.rgb };
  }

  /** @throws TatokError tokens-invalid. */
  private requireTokens({ globalCodes, patchCodes, keep }: TokensToDecode, tiling: Tiling): void {
    const { globalTokens, codebookSize, name } = this.model;
    const refuse = (reason: string) => new TatokError('tokens-invalid', `The tokens do not fit ${name}: ${reason}.`);
    for (const [what, values, wanted] of [
      ['global tokens', globalCodes, globalTokens * tiling.count],
      ['patch tokens', patchCodes, tiling.patchTokens],
      ['values of the kept mask', keep, tiling.patchTokens],
    ] as const) {
      if (values.length !== wanted) throw refuse(`there are ${values.length} ${what} instead of ${wanted}`);
    }
    for (const codes of [globalCodes, patchCodes]) {
      const wrong = codes.find((code) => code < 0 || code >= codebookSize);
      if (wrong !== undefined) throw refuse(`the code ${wrong} is not in its codebook of ${codebookSize}`);
    }
  }

  /**
   * Rate and distortion of the same tokens under several ε, decoded as one batch.
   *
   * @param image of the tokens.
   * @param picture the same at full size.
   * @param settings their ε is not used.
   * @param lossRates at least one ε.
   * @param ranking of these tokens under the same β and ranking criterion; undefined: every token is kept.
   */
  async measure(
    tokens: Tokens,
    image: ShownGeometry,
    picture: Picture,
    settings: FilterSettings,
    lossRates: readonly number[],
    ranking: Ranking | undefined,
    observer?: StageObserver,
  ): Promise<Measurement[]> {
    const clock = new StageClock(observer);
    const each = lossRates.map((lossRate) => resolveSettings({ ...settings, lossRate }, this.model));
    const tiling = this.tiling(image);
    const { selections, estimates } = await this.select(tokens, tiling, ranking, each, clock);
    const decoded = await this.decode(tokens, estimates, selections, tiling, image, picture, clock);
    return selections.flatMap((selection, i) => {
      const [pixels, lossRate] = [decoded[i], lossRates[i]];
      if (pixels === undefined || lossRate === undefined) return [];
      return [{ lossRate, ...this.rate(selection, tiling), psnr: pixels.psnr, ssim: pixels.ssim }];
    });
  }

  /** Pixels of one tile under some settings, without measuring them: the reference of {@link influence}. */
  async render(
    tokens: Tokens,
    geometry: PictureGeometry,
    tile: number,
    settings: FilterSettings,
    ranking: Ranking | undefined,
    observer?: StageObserver,
  ): Promise<Rendered> {
    const clock = new StageClock(observer);
    const checked = resolveSettings(settings, this.model);
    const tiling = this.tiling(geometry);
    requireTile(tiling, tile);
    const selection = this.selection(ranking, checked, tiling);
    const codes = this.tileGraphs.codesOf(tokens, tiling, tile);
    const keep = this.tileGraphs.maskOf(selection.keep, tiling, tile);
    const visible = isSequential(checked.ranking) ? keep : new Uint8Array(this.model.patchTokens);
    const [estimate] = await clock.run('filter', () => this.tileGraphs.estimate([{ codes, visible }]));
    if (estimate === undefined) throw new RangeError('no estimate');
    const { expectedCodes } = estimate;
    const [rgb] = await clock.run('decode', () => this.tileGraphs.decode([{ codes, expectedCodes, keep }]));
    if (rgb === undefined) throw new RangeError('no picture');
    return { keep, rgb };
  }

  /**
   * The influence of one global token on its tile: its replacements are decoded as one batch and compared with `reference`.
   *
   * @throws TatokError bad-settings for a token that the model does not have.
   */
  async influence(
    tokens: Tokens,
    geometry: PictureGeometry,
    tile: number,
    { ranking: criterion }: FilterSettings,
    globalToken: number,
    { keep, rgb }: Rendered,
    observer?: StageObserver,
  ): Promise<InfluenceMap> {
    const { codebookSize, globalTokens, imageSize } = this.model;
    const tiling = this.tiling(geometry);
    const { globalCodes: ownCodes, patchCodes } = this.tileGraphs.codesOf(tokens, tiling, tile);
    const own = ownCodes[globalToken];
    if (own === undefined) {
      throw new TatokError('bad-settings', `The model has no global token ${globalToken}; it has ${globalTokens}.`);
    }
    const clock = new StageClock(observer);
    const visible = isSequential(criterion) ? keep : new Uint8Array(this.model.patchTokens);
    const changed = replacementCodes(own, codebookSize).map((code) => {
      const globalCodes = ownCodes.slice();
      globalCodes[globalToken] = code;
      return { globalCodes, patchCodes };
    });
    const estimates = await clock.run('entropy', () =>
      this.tileGraphs.estimate(changed.map((codes) => ({ codes, visible }))),
    );
    const pictures = await clock.run('decode', () =>
      this.tileGraphs.decode(
        changed.flatMap((codes, i) => {
          const expectedCodes = estimates[i]?.expectedCodes;
          return expectedCodes === undefined ? [] : [{ codes, expectedCodes, keep }];
        }),
      ),
    );
    const change = patchChange(rgb, pictures, imageSize, patchSide(this.model), tiling.extent(tile));
    return { tile, region: tiling.region(tile), globalToken, change };
  }

  /** size·size·3 sRGB bytes of one tile, as {@link attend} wants them. @throws RangeError when there is no such tile. */
  tile(picture: Picture, tile: number): Uint8Array {
    const tiling = this.tiling(picture);
    requireTile(tiling, tile);
    return tiling.cut(picture, tile);
  }

  /** Attention of every layer and head, [L, H, K, N]: the expensive part of {@link attentionOf}, worth keeping. */
  attend(rgb: Uint8Array): Promise<Float32Array> {
    return this.graphs.attend(rgb);
  }

  /** The map of one tile's layer and head (or means) out of what {@link attend} returned. */
  attentionOf(
    attention: Float32Array,
    geometry: PictureGeometry,
    tile: number,
    layer: AttentionChoice,
    head: AttentionChoice,
  ): AttentionMap {
    const region = this.tiling(geometry).region(tile);
    return { tile, region, ...attentionMap(attention, this.model, region, layer, head) };
  }

  /** Frees the sessions; the model cannot be used afterwards. */
  release(): Promise<void> {
    return this.graphs.release();
  }

  /** The kept patch tokens of a picture. */
  private selection(ranking: Ranking | undefined, settings: FilterSettings, { patchTokens, grid }: Tiling): Selection {
    return ranking === undefined
      ? keepEvery(patchTokens)
      : selectKept(ranking, settings.lossRate, budgetOf(settings, this.model, grid));
  }

  private tiling({ width, height }: Pick<PictureGeometry, 'width' | 'height'>): Tiling {
    return new Tiling(width, height, this.model);
  }

  /** Codes and their estimates, tile by tile. */
  private async tokenizeAtOnce(picture: Picture, tiling: Tiling, clock: StageClock): Promise<Tokens> {
    const [codes, estimate] = [this.noCodes(tiling), this.noEstimate(tiling)];
    await this.tileGraphs.forAll(tiling, 'encode', clock, async (tiles) => {
      const batch = await this.graphs.tokenizeAll(tiles.map((tile) => tiling.cut(picture, tile)));
      zip(tiles, batch, (tile, tokens) => {
        this.putCodes(tokens, tiling, tile, codes);
        putEstimate(tokens, tiling, tile, estimate);
      });
    });
    return { ...codes, ...estimate };
  }

  /** The codes of all tiles, then their estimates. */
  private async tokenizeInTurn(picture: Picture, tiling: Tiling, clock: StageClock): Promise<Tokens> {
    const codes = this.noCodes(tiling);
    await this.tileGraphs.forAll(tiling, 'encode', clock, async (tiles) => {
      const batch = await this.graphs.encodeAll(tiles.map((tile) => tiling.cut(picture, tile)));
      zip(tiles, batch, (tile, tokens) => this.putCodes(tokens, tiling, tile, codes));
    });
    const noPatches = new Uint8Array(tiling.patches);
    const [estimate = nothingEstimated] = this.model.filters
      ? await this.estimate(codes, [noPatches], tiling, 'entropy', clock)
      : [];
    return { ...codes, ...estimate };
  }

  private noCodes(tiling: Tiling): Codes {
    const { globalTokens } = this.model;
    return {
      globalCodes: new Int32Array(tiling.count * globalTokens),
      patchCodes: new Int32Array(tiling.patchTokens),
    };
  }

  private noEstimate(tiling: Tiling): EntropyEstimate {
    return {
      entropyBits: new Float32Array(tiling.patches),
      surprisalBits: new Float32Array(tiling.patches),
      expectedCodes: new Float32Array(tiling.patches * this.model.levels.length),
    };
  }

  private putCodes({ globalCodes, patchCodes }: Codes, tiling: Tiling, tile: number, into: Codes): void {
    into.globalCodes.set(globalCodes, tile * this.model.globalTokens);
    tiling.scatter(patchCodes, tile, into.patchCodes);
  }

  /** ĥ, surprisal and E_q[z] over the whole picture, for each set of visible patches (1), given G and those. */
  private async estimate(
    codes: Codes,
    visible: readonly Uint8Array[],
    tiling: Tiling,
    stage: Stage,
    clock: StageClock,
  ): Promise<EntropyEstimate[]> {
    const estimates = visible.map(() => this.noEstimate(tiling));
    await this.tileGraphs.forAll(tiling, stage, clock, async (tiles) => {
      const jobs = visible.flatMap((mask, i) => tiles.map((tile) => ({ tile, mask, whole: estimates[i] })));
      const batch = await this.tileGraphs.estimate(
        jobs.map(({ tile, mask }) => ({
          codes: this.tileGraphs.codesOf(codes, tiling, tile),
          visible: this.tileGraphs.maskOf(mask, tiling, tile),
        })),
      );
      zip(jobs, batch, ({ tile, whole }, estimate) => {
        if (whole !== undefined) putEstimate(estimate, tiling, tile, whole);
      });
    });
    return estimates;
  }

  /** Tokens and bits of a kept set. */
  private rate({ keep, keptTokens }: Selection, tiling: Tiling): Omit<Filtered, 'keep'> {
    const totalTokens = this.model.globalTokens * tiling.count + keptTokens;
    return {
      keptTokens,
      totalTokens,
      payloadBits: payloadBits(totalTokens, this.model.codebookSize),
      maskBits: maskBits(keep.length, keptTokens),
    };
  }

  /**
   * Decodes several kept sets, strip by strip (one row of tiles each), so that of each no more than a strip is held at full
   * size.
   *
   * @param picture that the results are measured against; undefined: they are not.
   */
  private async decode(
    codes: Codes,
    estimates: readonly Pick<Tokens, 'expectedCodes'>[],
    selections: readonly Pick<Selection, 'keep'>[],
    tiling: Tiling,
    { width, height, reduction }: Pick<ShownGeometry, 'width' | 'height' | 'reduction'>,
    picture: Picture | undefined,
    clock: StageClock,
  ): Promise<Pick<Reconstruction, 'rgb' | 'psnr' | 'ssim'>[]> {
    const shownWidth = Math.ceil(width / reduction);
    const decoded = selections.map(({ keep }, i) => ({
      keep,
      expectedCodes: estimates[i]?.expectedCodes ?? new Float32Array(),
      strip: new Uint8Array(),
      rgb: new Uint8Array(shownWidth * Math.ceil(height / reduction) * 3),
      meter: new QualityMeter(width),
    }));
    const measure = ({ top, height: rows }: Strip) => {
      if (picture === undefined) return;
      const original = picture.rgb.subarray(top * width * 3, (top + rows) * width * 3);
      for (const { meter, strip } of decoded) meter.add(original, strip);
    };
    await this.tileGraphs.forAll(tiling, 'decode', clock, async (tiles) => {
      const [first, last] = [tiles[0] ?? 0, tiles.at(-1) ?? 0];
      const strip = tiling.strip(first);
      if (first % tiling.tiles.columns === 0) {
        for (const part of decoded) part.strip = new Uint8Array(width * strip.height * 3);
      }
      const jobs = decoded.flatMap((part) => tiles.map((tile) => ({ tile, part })));
      const batch = await this.tileGraphs.decode(
        jobs.map(({ tile, part }) => this.tileGraphs.decoderInput(codes, part, part.keep, tiling, tile)),
      );
      zip(jobs, batch, ({ tile, part }, rgb) => tiling.paste(rgb, tile, part.strip));
      if ((last + 1) % tiling.tiles.columns !== 0) return;
      for (const part of decoded) {
        part.rgb.set(reduce(part.strip, width, strip.height, reduction), (strip.top / reduction) * shownWidth * 3);
      }
      // The last strip's is a stage of its own, so that a picture of one strip has a time for decoding and one for measuring.
      if (last + 1 < tiling.count) measure(strip);
    });
    await clock.run('metrics', () => measure(tiling.strip(tiling.count - 1)));
    return decoded.map(({ rgb, meter }) => ({ rgb, psnr: meter.psnr, ssim: meter.ssim }));
  }

  /** Dynamic Token Filtering under each ε, and the estimates for the decoder: given G, or given G and each Z_S. */
  private async select(
    tokens: Tokens,
    tiling: Tiling,
    ranking: Ranking | undefined,
    each: readonly FilterSettings[],
    clock: StageClock,
  ): Promise<{ readonly selections: readonly Selection[]; readonly estimates: readonly EntropyEstimate[] }> {
    const selections = await clock.run('filter', () =>
      each.map((settings) => this.selection(ranking, settings, tiling)),
    );
    const estimates =
      each[0] !== undefined && isSequential(each[0].ranking)
        ? await this.estimate(
            tokens,
            selections.map(({ keep }) => keep),
            tiling,
            'filter',
            clock,
          )
        : selections.map(() => tokens);
    return { selections, estimates };
  }
}

function requireTile({ count }: Tiling, tile: number): void {
  if (!Number.isInteger(tile) || tile < 0 || tile >= count) throw new RangeError(`there is no tile ${tile}`);
}

function putEstimate(estimate: EntropyEstimate, tiling: Tiling, tile: number, into: EntropyEstimate): void {
  tiling.scatter(estimate.entropyBits, tile, into.entropyBits);
  tiling.scatter(estimate.surprisalBits, tile, into.surprisalBits);
  tiling.scatter(estimate.expectedCodes, tile, into.expectedCodes);
}
