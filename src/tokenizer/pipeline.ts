/** The TaTok pipeline, as the method note reads: encode → entropy → filter → decode. */
import { attentionMap } from './attention';
import { TatokError } from './errors';
import { decodeImage } from './image';
import { maskBits, payloadBits, rankPatches, selectKept, type Selection } from './filter';
import type { EntropyEstimate, Graphs } from './graphs';
import { patchChange, replacementCodes } from './influence';
import { psnr, ssim } from './metrics';
import { rankSequentially } from './sequential';
import { budgetOf, resolveSettings } from './settings';
import type {
  AttentionChoice,
  AttentionMap,
  FilterSettings,
  InfluenceMap,
  Measurement,
  ModelDescription,
  Ranking,
  Reconstruction,
  Tokenization,
  Tokens,
} from './types';
import { StageClock, type StageObserver } from './stages';

export interface TokenizeOptions {
  /** Absent settings are the model's defaults. */
  readonly settings: Partial<FilterSettings>;
  readonly maxMegapixels?: number | undefined;
}

/** Tokens under some settings, decoded. */
export type Reconstructed = Reconstruction & Pick<Tokenization, 'timings'>;

/** Measurements and the ranking behind all of them. */
export interface Measured {
  readonly ranking: Ranking;
  readonly measurements: readonly Measurement[];
}

/** A kept set and what it decodes to. */
export interface Rendered {
  readonly keep: Uint8Array;
  readonly ranking: Ranking;
  readonly rgb: Uint8Array;
}

/** A loaded model. Calls may be repeated in any order and keep no state between them. */
export class TaTok {
  constructor(
    readonly model: ModelDescription,
    private readonly graphs: Graphs,
  ) {}

  /**
   * The whole path for one encoded image file.
   *
   * @throws TatokError of the image, the settings or the model; whatever `observer` throws, between stages.
   */
  async tokenize(file: Uint8Array, options: TokenizeOptions, observer?: StageObserver): Promise<Tokenization> {
    const settings = resolveSettings(options.settings, this.model);
    const clock = new StageClock(observer);
    const { maxMegapixels } = options;
    const image = await clock.run('read', () => decodeImage(file, this.model.imageSize, { maxMegapixels }));
    const codes = await clock.run('encode', () => this.graphs.encode(image.rgb));
    const estimate = await clock.run('entropy', () => this.graphs.estimateEntropy(codes, this.noPatches()));
    const tokens = { ...codes, ...estimate };
    const reconstruction = await this.filterAndDecode(tokens, image.rgb, settings, clock);
    return { image, tokens, reconstruction, timings: clock.timings };
  }

  /**
   * Filters and decodes tokens again under other settings, without encoding.
   *
   * @param original size·size·3 sRGB bytes, for PSNR and SSIM.
   * @param ranking of these tokens under the same β and conditioning, where it is known already.
   */
  async reconstruct(
    tokens: Tokens,
    original: Uint8Array,
    settings: FilterSettings,
    observer?: StageObserver,
    ranking?: Ranking,
  ): Promise<Reconstructed> {
    const clock = new StageClock(observer);
    const checked = resolveSettings(settings, this.model);
    const reconstruction = await this.filterAndDecode(tokens, original, checked, clock, ranking);
    return { ...reconstruction, timings: clock.timings };
  }

  /**
   * Rate and distortion of the same tokens under several ε, decoded as one batch.
   *
   * @param original size·size·3 sRGB bytes, for PSNR and SSIM.
   * @param settings their ε is not used.
   * @param lossRates at least one ε.
   * @param ranking of these tokens under the same β and conditioning, where it is known already.
   */
  async measure(
    tokens: Tokens,
    original: Uint8Array,
    settings: FilterSettings,
    lossRates: readonly number[],
    observer?: StageObserver,
    ranking?: Ranking,
  ): Promise<Measured> {
    const clock = new StageClock(observer);
    const each = lossRates.map((lossRate) => resolveSettings({ ...settings, lossRate }, this.model));
    const used = ranking ?? (await clock.run('filter', () => this.rank(tokens, settings)));
    const selections = each.map(({ lossRate }) => selectKept(used, lossRate, budgetOf(settings, this.model)));
    const estimates = await clock.run('filter', () => this.estimates(tokens, selections, settings));
    const batch = selections.map(({ keep }, i) => ({
      codes: tokens,
      expectedCodes: estimates[i]?.expectedCodes ?? tokens.expectedCodes,
      keep,
    }));
    const images = await clock.run('decode', () => this.graphs.decodeAll(batch));
    const measurements = await clock.run('metrics', () =>
      images.flatMap((rgb, i) => {
        const [selection, lossRate] = [selections[i], lossRates[i]];
        if (selection === undefined || lossRate === undefined) return [];
        return [{ lossRate, ...this.rate(selection), ...this.distortion(original, rgb) }];
      }),
    );
    return { ranking: used, measurements };
  }

  /** Pixels under some settings, without measuring them: the reference of {@link influence}. */
  async render(tokens: Tokens, settings: FilterSettings, observer?: StageObserver, known?: Ranking): Promise<Rendered> {
    const clock = new StageClock(observer);
    const checked = resolveSettings(settings, this.model);
    const { estimate, keep, ranking } = await clock.run('filter', () => this.filter(tokens, checked, known));
    const rgb = await clock.run('decode', () => this.graphs.decode(tokens, estimate.expectedCodes, keep));
    return { keep, ranking, rgb };
  }

  /**
   * What depends on one global token: its replacements are decoded as one batch and compared with `reference`.
   *
   * @throws TatokError bad-settings for a token that the model does not have.
   */
  async influence(
    tokens: Tokens,
    { conditioning }: FilterSettings,
    globalToken: number,
    { keep, rgb }: Rendered,
    observer?: StageObserver,
  ): Promise<InfluenceMap> {
    const { codebookSize, globalTokens, imageSize, grid } = this.model;
    const own = tokens.globalCodes[globalToken];
    if (own === undefined) {
      throw new TatokError('bad-settings', `The model has no global token ${globalToken}; it has ${globalTokens}.`);
    }
    const clock = new StageClock(observer);
    const visible = conditioning === 'sequential' ? keep : this.noPatches();
    const changed = replacementCodes(own, codebookSize).map((code) => {
      const globalCodes = tokens.globalCodes.slice();
      globalCodes[globalToken] = code;
      return { globalCodes, patchCodes: tokens.patchCodes };
    });
    const estimates = await clock.run('entropy', () =>
      this.graphs.estimateEntropies(changed.map((codes) => ({ codes, visible }))),
    );
    const pictures = await clock.run('decode', () =>
      this.graphs.decodeAll(
        changed.map((codes, i) => ({
          codes,
          expectedCodes: estimates[i]?.expectedCodes ?? tokens.expectedCodes,
          keep,
        })),
      ),
    );
    return { globalToken, change: patchChange(rgb, pictures, imageSize, grid) };
  }

  /** Attention of every layer and head, [L, H, K, N]: the expensive part of {@link attentionOf}, worth keeping. */
  attend(rgb: Uint8Array): Promise<Float32Array> {
    return this.graphs.attend(rgb);
  }

  /** The map of one layer and head (or means) out of what {@link attend} returned. */
  attentionOf(attention: Float32Array, layer: AttentionChoice, head: AttentionChoice): AttentionMap {
    return attentionMap(attention, this.model, layer, head);
  }

  /** Frees the sessions; the model cannot be used afterwards. */
  release(): Promise<void> {
    return this.graphs.release();
  }

  private async filterAndDecode(
    tokens: Tokens,
    original: Uint8Array,
    settings: FilterSettings,
    clock: StageClock,
    known?: Ranking,
  ): Promise<Reconstruction> {
    const { estimate, ...selection } = await clock.run('filter', () => this.filter(tokens, settings, known));
    const rgb = await clock.run('decode', () => this.graphs.decode(tokens, estimate.expectedCodes, selection.keep));
    const distortion = await clock.run('metrics', () => this.distortion(original, rgb));
    return {
      settings,
      ...selection,
      entropyBits: estimate.entropyBits,
      actualLossRate: selection.lostBits === 0 ? 0 : selection.lostBits / selection.budgetBits,
      ...this.rate(selection),
      rgb,
      ...distortion,
    };
  }

  /** What a kept set costs. */
  private rate({
    keep,
    keptTokens,
  }: Selection): Pick<Reconstruction, 'keptTokens' | 'totalTokens' | 'payloadBits' | 'maskBits'> {
    const totalTokens = this.model.globalTokens + keptTokens;
    return {
      keptTokens,
      totalTokens,
      payloadBits: payloadBits(totalTokens, this.model.codebookSize),
      maskBits: maskBits(keep.length, keptTokens),
    };
  }

  private distortion(original: Uint8Array, rgb: Uint8Array): Pick<Reconstruction, 'psnr' | 'ssim'> {
    const size = this.model.imageSize;
    return { psnr: psnr(original, rgb), ssim: ssim(original, rgb, size, size) };
  }

  /** Dynamic Token Filtering, and the estimate for the decoder: given G, or given G and Z_S. */
  private async filter(
    tokens: Tokens,
    settings: FilterSettings,
    known: Ranking | undefined,
  ): Promise<Selection & { readonly ranking: Ranking; readonly estimate: EntropyEstimate }> {
    const ranking = known ?? (await this.rank(tokens, settings));
    const selection = selectKept(ranking, settings.lossRate, budgetOf(settings, this.model));
    const [estimate = tokens] = await this.estimates(tokens, [selection], settings);
    return { ...selection, ranking, estimate };
  }

  /** What the decoder is told of dropped patches: ĥ and E_q[z] given G, or given G and each Z_S. */
  private async estimates(
    tokens: Tokens,
    selections: readonly Selection[],
    { conditioning }: FilterSettings,
  ): Promise<EntropyEstimate[]> {
    if (conditioning === 'global') return selections.map(() => tokens);
    return this.graphs.estimateEntropies(selections.map(({ keep }) => ({ codes: tokens, visible: keep })));
  }

  private async rank(tokens: Tokens, { conditioning, edgePriority }: FilterSettings): Promise<Ranking> {
    const { grid } = this.model;
    if (conditioning === 'global') return rankPatches(tokens.entropyBits, grid, edgePriority);
    const given = async (visible: Uint8Array) => (await this.graphs.estimateEntropy(tokens, visible)).entropyBits;
    return rankSequentially(tokens.entropyBits, given, grid, edgePriority);
  }

  /** S = ∅. */
  private noPatches(): Uint8Array {
    return new Uint8Array(this.model.grid.rows * this.model.grid.columns);
  }
}
