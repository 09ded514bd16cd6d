/** The TaTok pipeline, as the method note reads: encode → entropy → filter → decode. */
import { attentionMap } from './attention';
import { decodeImage } from './image';
import { maskBits, payloadBits, rankPatches, selectKept, type Selection } from './filter';
import type { EntropyEstimate, Graphs } from './graphs';
import { psnr, ssim } from './metrics';
import { rankSequentially } from './sequential';
import { budgetOf, resolveSettings } from './settings';
import type {
  AttentionChoice,
  AttentionMap,
  FilterSettings,
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

/** A loaded model. Batch is 1; calls may be repeated in any order and keep no state between them. */
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
    const size = this.model.imageSize;
    const quality = await clock.run('metrics', () => ({
      psnr: psnr(original, rgb),
      ssim: ssim(original, rgb, size, size),
    }));
    const totalTokens = this.model.globalTokens + selection.keptTokens;
    return {
      settings,
      ...selection,
      entropyBits: estimate.entropyBits,
      actualLossRate: selection.lostBits === 0 ? 0 : selection.lostBits / selection.budgetBits,
      totalTokens,
      payloadBits: payloadBits(totalTokens, this.model.codebookSize),
      maskBits: maskBits(selection.keep.length, selection.keptTokens),
      rgb,
      ...quality,
    };
  }

  /** Dynamic Token Filtering, and the estimate for the decoder: given G, or given G and Z_S. */
  private async filter(
    tokens: Tokens,
    settings: FilterSettings,
    known: Ranking | undefined,
  ): Promise<Selection & { readonly ranking: Ranking; readonly estimate: EntropyEstimate }> {
    const ranking = known ?? (await this.rank(tokens, settings));
    const selection = selectKept(ranking, settings.lossRate, budgetOf(settings, this.model));
    const sequential = settings.conditioning === 'sequential';
    const estimate = sequential ? await this.graphs.estimateEntropy(tokens, selection.keep) : tokens;
    return { ...selection, ranking, estimate };
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
