/** The TaTok pipeline, as the method note reads: encode → entropy → filter → decode. */
import { attentionMap } from './attention';
import { drawCodes } from './drawnCodes';
import {
  forcedSelection,
  givenSelection,
  noEdits,
  requireEdits,
  withForced,
  withReplaced,
  type Edits,
} from '../method/edits';
import { TatokError } from '../method/errors';
import { codebookSize } from '../method/codebook';
import { quarters, withoutQuarters } from '../method/elimination';
import { maskBits, selectKept } from '../method/filter';
import type { PipelineGraphs } from './gatheredGraphs';
import { expectedWidth, newCodes, nothingEstimated, type Codes, type EntropyEstimate } from './graphs';
import { patchChange, replacementCodes } from './influence';
import { QualityMeter } from './metrics';
import { describeParts, hasPart } from '../method/parts';
import { patchSide } from '../method/patch';
import { rankTiles } from './ranking';
import { criterionOf, isSequential } from '../method/sequential';
import { budgetOf, resolveSettings } from '../method/settings';
import { costOf, depthOf, keepPrefix, mainStream, streamOf, tokensOf, type KeptSet } from '../method/streams';
import { TileGraphs, zip } from './tileGraphs';
import { reduce, reductionFor, Tiling, type Strip } from './tiles';
import type { DecodedTokens, TokensToDecode } from '../protocol/engineMessages';
import type {
  AttentionChoice,
  AttentionMap,
  CodeArray,
  DrawnCodes,
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
  /** Patches of the tile, or tokens of its sequence. */
  readonly keep: Uint8Array;
  /** Leading steps that are kept. */
  readonly length: number;
  /** Width·height·3 sRGB bytes of the model image. */
  readonly rgb: Uint8Array;
  /** What was decoded. */
  readonly codes: Codes;
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
    // A graph that does both estimates given the global tokens alone.
    const tokens =
      this.graphs.tokenizesAtOnce && !this.model.givenOthers
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
   * @param picture the same at full size, for PSNR and SSIM; undefined: there is none, and they are null.
   * @param ranking of these tokens under the same β and ranking criterion; undefined: every token is kept, or those that the tokens say.
   * @param edits lie over the tokens and over what the filter keeps. Bits lost are then Σ_D ĥ as the decoder is given it, and may be more
   *   than ε allows.
   * @throws TatokError bad-settings for edits that are of another model or picture.
   */
  async reconstruct(
    tokens: Tokens,
    image: ShownGeometry,
    picture: Picture | undefined,
    given: FilterSettings,
    ranking: Ranking | undefined,
    observer?: StageObserver,
    edits: Edits = noEdits,
  ): Promise<Reconstructed> {
    const clock = new StageClock(observer);
    const settings = resolveSettings(given, this.model);
    requireEdits(edits, this.model, image);
    const tiling = this.tiling(image);
    const { codes, selections, estimates } = await this.select(tokens, tiling, ranking, [settings], edits, clock);
    const decoded = await this.decode(codes, estimates, selections, tiling, image, picture, clock);
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
    const selection = this.selection(undefined, ranking, resolveSettings(given, this.model), tiling);
    const { length: _, ...rate } = this.rate(selection, tiling);
    return { keep: selection.keep, ...rate };
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
    const { width, height, globalCodes, patchCodes, keep } = tokens;
    const ranking = criterionOf(this.model, tokens.ranking);
    const tiling = this.tiling(tokens);
    this.requireTokens(tokens, tiling);
    const codes = { globalCodes, patchCodes, otherCodes: [] };
    const visible = isSequential(ranking) ? keep : new Uint8Array(keep.length);
    const estimate = await this.estimateCodes(codes, visible, tiling, clock);
    const reduction = reductionFor(width, height, patchSide(this.model));
    const [decoded] = await this.decode(
      codes,
      [estimate],
      [{ keep, length: this.model.steps.length }],
      tiling,
      { width, height, reduction },
      undefined,
      clock,
    );
    if (decoded === undefined) throw new RangeError('no picture');
    return { width: Math.ceil(width / reduction), height: Math.ceil(height / reduction), rgb: decoded.rgb };
  }

  /**
   * Tokens out of a file with what the entropy model says of them given G, as {@link tokenize} has those of a picture: they can be decoded,
   * and analysed as far as that takes no picture.
   *
   * @param everyCode false where the codes of dropped patches are not in the file: their surprisal is NaN.
   * @throws TatokError tokens-invalid unless the model can have given the tokens.
   */
  async estimateTokens(
    given: TokensToDecode,
    everyCode: boolean,
    observer?: StageObserver,
  ): Promise<Pick<Tokenized, 'tokens' | 'timings'>> {
    const clock = new StageClock(observer);
    const { globalCodes, patchCodes, keep } = given;
    const tiling = this.tiling(given);
    this.requireTokens(given, tiling);
    const codes = { globalCodes, patchCodes, otherCodes: [] };
    const estimate = await this.estimateCodes(codes, new Uint8Array(keep.length), tiling, clock);
    const surprisalBits = everyCode
      ? estimate.surprisalBits
      : estimate.surprisalBits.map((bits, patch) => (keep[patch] === 1 ? bits : NaN));
    const tokens = { ...codes, ...estimate, surprisalBits, ...(this.model.filters && { keep }) };
    return { tokens, timings: clock.timings };
  }

  /** Nothing for a model without an entropy model. */
  private async estimateCodes(
    codes: Codes,
    visible: Uint8Array,
    tiling: Tiling,
    clock: StageClock,
  ): Promise<EntropyEstimate> {
    const [estimate = nothingEstimated] = this.model.filters
      ? await this.estimate(codes, [visible], tiling, 'entropy', clock)
      : [];
    return estimate;
  }

  /** @throws TatokError tokens-invalid. */
  private requireTokens({ globalCodes, patchCodes, keep }: TokensToDecode, tiling: Tiling): void {
    const { globalTokens, name } = this.model;
    const size = codebookSize(mainStream(this.model).codebook);
    const refuse = (reason: string) => new TatokError('tokens-invalid', `The tokens do not fit ${name}: ${reason}.`);
    for (const [what, values, wanted] of [
      ['global tokens', globalCodes, globalTokens * tiling.count],
      ['patch tokens', patchCodes, tiling.patchTokens],
      ['values of the kept mask', keep, tiling.patchTokens],
    ] as const) {
      if (values.length !== wanted) throw refuse(`there are ${values.length} ${what} instead of ${wanted}`);
    }
    for (const codes of [globalCodes, patchCodes]) {
      const wrong = codes.find((code) => code < 0 || code >= size);
      if (wrong !== undefined) throw refuse(`the code ${wrong} is not in its codebook of ${size}`);
    }
  }

  /**
   * Rate and distortion of the same tokens under several ε, decoded as one batch.
   *
   * @param image of the tokens.
   * @param picture the same at full size; undefined: there is none, and PSNR and SSIM are null.
   * @param settings their ε is not used.
   * @param lossRates at least one ε.
   * @param ranking of these tokens under the same β and ranking criterion; undefined: every token is kept.
   */
  async measure(
    tokens: Tokens,
    image: ShownGeometry,
    picture: Picture | undefined,
    settings: FilterSettings,
    lossRates: readonly number[],
    ranking: Ranking | undefined,
    observer?: StageObserver,
  ): Promise<Measurement[]> {
    const clock = new StageClock(observer);
    const each = lossRates.map((lossRate) => resolveSettings({ ...settings, lossRate }, this.model));
    const tiling = this.tiling(image);
    const { selections, estimates } = await this.select(tokens, tiling, ranking, each, noEdits, clock);
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
    edits: Edits = noEdits,
  ): Promise<Rendered> {
    const clock = new StageClock(observer);
    const checked = resolveSettings(settings, this.model);
    const tiling = this.tiling(geometry);
    requireTile(tiling, tile);
    requireEdits(edits, this.model, tiling);
    const selection = this.selection(tokens, ranking, checked, tiling);
    const codes = this.tileGraphs.codesOf(withReplaced(tokens, edits), tiling, tile);
    const keep = this.tileGraphs.maskOf(withForced(selection.keep, edits), tiling, tile);
    const { length } = selection;
    const visible = isSequential(checked.ranking) ? keep : new Uint8Array(keep.length);
    const [estimate] = await clock.run('filter', () => this.tileGraphs.estimate([{ codes, visible }]));
    if (estimate === undefined) throw new RangeError('no estimate');
    const { expectedCodes } = estimate;
    const [rgb] = await clock.run('decode', () => this.tileGraphs.decode([{ codes, expectedCodes, keep, length }]));
    if (rgb === undefined) throw new RangeError('no picture');
    return { keep, length, rgb, codes };
  }

  /**
   * The influence of one global token on its tile: its replacements are decoded as one batch and compared with `reference`.
   *
   * @throws TatokError bad-settings for a token that the model does not have, or that is no code.
   */
  async influence(
    geometry: PictureGeometry,
    tile: number,
    { ranking: asked }: FilterSettings,
    globalToken: number,
    { keep, length, rgb, codes: unchanged }: Rendered,
    observer?: StageObserver,
  ): Promise<InfluenceMap> {
    const { globalTokens, imageSize } = this.model;
    const globals = streamOf(this.model, 'global');
    const tiling = this.tiling(geometry);
    const own = unchanged.globalCodes[globalToken];
    if (own === undefined || globals === undefined || !hasPart(this.model, 'influence')) {
      const reason =
        own === undefined ? `it has ${globalTokens}` : 'its tokens are vectors, which no other code can replace';
      throw new TatokError('bad-settings', `The model has no code ${globalToken} of a global token; ${reason}.`);
    }
    const clock = new StageClock(observer);
    const visible = isSequential(criterionOf(this.model, asked)) ? keep : new Uint8Array(keep.length);
    const changed = replacementCodes(own, codebookSize(globals.codebook)).map((code) => {
      const globalCodes = unchanged.globalCodes.slice();
      globalCodes[globalToken] = code;
      return { ...unchanged, globalCodes };
    });
    const estimates = await clock.run('entropy', () =>
      this.tileGraphs.estimate(changed.map((codes) => ({ codes, visible }))),
    );
    const pictures = await clock.run('decode', () =>
      this.tileGraphs.decode(
        changed.flatMap((codes, i) => {
          const expectedCodes = estimates[i]?.expectedCodes;
          return expectedCodes === undefined ? [] : [{ codes, expectedCodes, keep, length }];
        }),
      ),
    );
    const change = patchChange(rgb, pictures, imageSize.width, patchSide(this.model), tiling.extent(tile));
    return { tile, region: tiling.region(tile), globalToken, change };
  }

  /**
   * Codes for the patches that are dropped under some settings and edits, drawn from q(· | G, Z_S).
   *
   * @param ranking of these tokens under the same β and ranking criterion.
   * @throws TatokError bad-settings for a model that there is nothing to draw from, or edits of another.
   */
  async draw(
    tokens: Tokens,
    geometry: ShownGeometry,
    given: FilterSettings,
    ranking: Ranking | undefined,
    seed: number,
    edits: Edits,
    observer?: StageObserver,
  ): Promise<DrawnCodes> {
    requireEdits(edits, this.model, geometry);
    const tiling = this.tiling(geometry);
    const selection = this.selection(tokens, ranking, resolveSettings(given, this.model), tiling);
    const drawn = { codes: withReplaced(tokens, edits), keep: withForced(selection.keep, edits), tiling };
    return drawCodes(this.model, this.tileGraphs, drawn, seed, new StageClock(observer));
  }

  /** Width·height·3 sRGB bytes of one tile, as {@link attend} wants them. @throws RangeError when there is no such tile. */
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

  /** The kept tokens of a picture: those that the tokens came with, or those of the filter. */
  private selection(
    tokens: Pick<Tokens, 'keep' | 'entropyBits'> | undefined,
    ranking: Ranking | undefined,
    settings: FilterSettings,
    tiling: Tiling,
  ): KeptSet {
    if (tokens?.keep !== undefined) {
      return { ...givenSelection(tokens.keep, tokens.entropyBits), length: this.model.steps.length };
    }
    if (ranking === undefined) return keepPrefix(this.model, tiling, settings.lossRate);
    const kept = selectKept(ranking, settings.lossRate, budgetOf(settings, this.model, tiling));
    return { ...kept, length: this.model.steps.length };
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
    if (this.model.givenOthers) return { ...codes, ...(await this.estimateGivenOthers(codes, tiling, clock)) };
    const none = this.noEstimate(tiling).entropyBits;
    return { ...codes, ...(await this.estimateCodes(codes, new Uint8Array(none.length), tiling, clock)) };
  }

  /** Every token given the others, in four passes that hide a quarter of them each. */
  private async estimateGivenOthers(codes: Codes, tiling: Tiling, clock: StageClock): Promise<EntropyEstimate> {
    const every = this.noEstimate(tiling);
    const visible = withoutQuarters(new Uint8Array(every.entropyBits.length).fill(1), tiling.estimated);
    const estimates = await this.estimate(codes, visible, tiling, 'entropy', clock);
    const width = expectedWidth(this.model);
    quarters(tiling.estimated).forEach((part, i) => {
      const own = estimates[part];
      if (own === undefined) return;
      every.entropyBits[i] = own.entropyBits[i] ?? 0;
      every.surprisalBits[i] = own.surprisalBits[i] ?? 0;
      every.expectedCodes.set(own.expectedCodes.subarray(i * width, (i + 1) * width), i * width);
    });
    return every;
  }

  private noCodes(tiling: Tiling): Codes {
    const { streams } = this.model;
    const [globals, patches] = [streamOf(this.model, 'global'), streamOf(this.model, 'patch')];
    return {
      globalCodes: globals === undefined ? new Int32Array() : newCodes(globals, tiling.count * tokensOf(globals)),
      patchCodes: patches === undefined ? new Int32Array() : newCodes(patches, tiling.patches * depthOf(patches)),
      otherCodes: streams
        .filter(({ role }) => role === 'other')
        .map((stream) => newCodes(stream, tiling.count * tokensOf(stream))),
    };
  }

  private noEstimate(tiling: Tiling): EntropyEstimate {
    const { rows, columns } = tiling.estimated;
    return {
      entropyBits: new Float32Array(rows * columns),
      surprisalBits: new Float32Array(rows * columns),
      expectedCodes: new Float32Array(rows * columns * expectedWidth(this.model)),
    };
  }

  private putCodes({ globalCodes, patchCodes, otherCodes }: Codes, tiling: Tiling, tile: number, into: Codes): void {
    putTile(globalCodes, tile, into.globalCodes);
    if (streamOf(this.model, 'patch') !== undefined) tiling.scatter(patchCodes, tile, into.patchCodes);
    zip(otherCodes, into.otherCodes, (codes, whole) => putTile(codes, tile, whole));
  }

  /** ĥ, surprisal and E_q[z] over the whole picture, for each set of visible tokens (1), given the others and those. */
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
  private rate(
    { keep, keptTokens, length }: KeptSet,
    { tiles }: Tiling,
  ): Omit<Filtered, 'keep'> & Pick<Reconstruction, 'length'> {
    return {
      keptTokens,
      length,
      ...costOf(this.model, tiles, { keptTokens, length }),
      maskBits: maskBits(keep.length, keptTokens) + Math.log2(this.model.steps.length),
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
    selections: readonly Pick<KeptSet, 'keep' | 'length'>[],
    tiling: Tiling,
    { width, height, reduction }: Pick<ShownGeometry, 'width' | 'height' | 'reduction'>,
    picture: Picture | undefined,
    clock: StageClock,
  ): Promise<Pick<Reconstruction, 'rgb' | 'psnr' | 'ssim'>[]> {
    const shownWidth = Math.ceil(width / reduction);
    const decoded = selections.map(({ keep, length }, i) => ({
      kept: { keep, length },
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
        jobs.map(({ tile, part }) => this.tileGraphs.decoderInput(codes, part, part.kept, tiling, tile)),
      );
      zip(jobs, batch, ({ tile, part }, rgb) => tiling.paste(rgb, tile, part.strip));
      if ((last + 1) % tiling.tiles.columns !== 0) return;
      for (const part of decoded) {
        part.rgb.set(reduce(part.strip, width, strip.height, reduction), (strip.top / reduction) * shownWidth * 3);
      }
      // The last strip's is a stage of its own, so that a picture of one strip has a time for decoding and one for measuring.
      if (last + 1 < tiling.count) measure(strip);
    });
    if (picture !== undefined) await clock.run('metrics', () => measure(tiling.strip(tiling.count - 1)));
    return decoded.map(({ rgb, meter }) => ({ rgb, psnr: meter.psnr, ssim: meter.ssim }));
  }

  /**
   * Dynamic Token Filtering under each ε with edits over it, and the estimates for the decoder given the codes that it decodes: given G, or
   * given G and each Z_S.
   */
  private async select(
    tokens: Tokens,
    tiling: Tiling,
    ranking: Ranking | undefined,
    each: readonly FilterSettings[],
    edits: Edits,
    clock: StageClock,
  ): Promise<{
    readonly codes: Codes;
    readonly selections: readonly KeptSet[];
    readonly estimates: readonly EntropyEstimate[];
  }> {
    const filtered = await clock.run('filter', () =>
      each.map((settings) => this.selection(tokens, ranking, settings, tiling)),
    );
    const codes = withReplaced(tokens, edits);
    const masks = filtered.map(({ keep }) => withForced(keep, edits));
    const sequential = each[0] !== undefined && isSequential(each[0].ranking);
    const otherGlobals = edits.replaced.some(({ token }) => token === 'global');
    const estimates =
      this.model.filters && (sequential || otherGlobals)
        ? await this.estimate(
            codes,
            masks.map((keep) => (sequential ? keep : new Uint8Array(keep.length))),
            tiling,
            'filter',
            clock,
          )
        : masks.map(() => tokens);
    const selections = filtered.map((selection, i): KeptSet => {
      const [keep, entropyBits] = [masks[i], estimates[i]?.entropyBits];
      if (keep === undefined || keep === selection.keep || entropyBits === undefined) return selection;
      return { ...selection, ...forcedSelection(keep, entropyBits) };
    });
    return { codes, selections, estimates };
  }
}

function requireTile({ count }: Tiling, tile: number): void {
  if (!Number.isInteger(tile) || tile < 0 || tile >= count) throw new RangeError(`there is no tile ${tile}`);
}

/** Values of one tile among those of all, tile after tile. */
function putTile(values: CodeArray, tile: number, whole: CodeArray): void {
  // Both are arrays of one type.
  (whole as Int32Array).set(values as Int32Array, tile * values.length);
}

function putEstimate(estimate: EntropyEstimate, tiling: Tiling, tile: number, into: EntropyEstimate): void {
  tiling.scatter(estimate.entropyBits, tile, into.entropyBits);
  tiling.scatter(estimate.surprisalBits, tile, into.surprisalBits);
  tiling.scatter(estimate.expectedCodes, tile, into.expectedCodes);
}
