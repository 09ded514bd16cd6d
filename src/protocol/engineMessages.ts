/**
 * The whole contract between the extension host (or the command line) and the inference process.
 *
 * Requests carry everything they need, so that a request can be repeated against a fresh process after a crash.
 * Cancellation is JSON-RPC's own ($/cancelRequest through a CancellationToken).
 */
import { NotificationType, RequestType } from 'vscode-jsonrpc';
import type {
  AttentionChoice,
  AttentionMap,
  CropMode,
  FilterSettings,
  InfluenceMap,
  Measurement,
  ModelDescription,
  ShownImage,
  ProviderName,
  ProviderReport,
  Ranking,
  Reconstruction,
  Stage,
  StageTimings,
  TileProgress,
  Tokenized,
  Tokens,
} from '../method/types';

/** A request as it is sent. */
export interface Asked<Params> {
  /** Of this request among all of its client's: notifications about it carry the same. */
  readonly id: number;
  readonly params: Params;
}

/** Which bundle runs where. The inference process keeps sessions of the last few choices. */
export interface ModelChoice {
  /** Absolute folder of the bundle. */
  readonly directory: string;
  /** Providers to try, in order. */
  readonly providers: readonly string[];
  /** Index of the GPU that CUDA uses; absent: 0. */
  readonly cudaDevice?: number;
  /** MiB that batches may take on the GPU; absent: no limit. */
  readonly cudaMemoryLimit?: number;
}

export interface LoadedModel {
  readonly model: ModelDescription;
  readonly provider: ProviderReport;
}

/** A model as it was loaded for a choice. */
export interface LoadedChoice extends LoadedModel {
  readonly choice: ModelChoice;
}

export interface TokenizeParams {
  readonly choice: ModelChoice;
  /** The encoded file, as read from its file system. */
  readonly file: Uint8Array;
  /** Absent fields fall back to the manifest's defaults. */
  readonly settings: Partial<FilterSettings>;
  /** Absent: the centre crop. */
  readonly cropMode?: CropMode;
  /** Images with more pixels are refused with `image-too-large` before they are decoded; absent means sharp's own limit. */
  readonly maxMegapixels?: number;
}

/** What was tokenized before. */
export interface TokenizedPicture {
  readonly image: ShownImage;
  /** The encoded file, needed where the image is reduced: PSNR, SSIM and attention are of all pixels. */
  readonly file?: Uint8Array;
}

/** What the order of dropping depends on. ε and budget are not used. */
export interface RankParams extends TokenizedPicture {
  readonly choice: ModelChoice;
  readonly tokens: Tokens;
  readonly settings: FilterSettings;
}

export interface ReconstructParams extends TokenizedPicture {
  readonly choice: ModelChoice;
  readonly tokens: Tokens;
  readonly settings: FilterSettings;
}

/** Decodes under several ε at once and measures; no image is sent back. Short lists let other requests in between. */
export interface MeasureParams extends ReconstructParams {
  readonly lossRates: readonly number[];
}

/** One global token at a time, so that other requests get in between. */
export interface InfluenceParams extends TokenizedPicture {
  readonly choice: ModelChoice;
  readonly tokens: Tokens;
  readonly settings: FilterSettings;
  /** Index of the tile, 0 unless the picture is tiled. */
  readonly tile: number;
  readonly globalToken: number;
}

export interface AttentionParams extends TokenizedPicture {
  readonly choice: ModelChoice;
  /** Index of the tile, 0 unless the picture is tiled. */
  readonly tile: number;
  readonly layer: AttentionChoice;
  readonly head: AttentionChoice;
}

/** Data of a ResponseError: a stable code for tests and actions, and what the user can do. */
export interface ErrorData {
  readonly code: string;
  readonly advice?: string;
}

/** A provider that failed after a model was opened on it, and why. */
export interface FailedProvider {
  readonly choice: ModelChoice;
  readonly provider: ProviderName;
  /** One sentence. */
  readonly reason: string;
}

/** Of a request that another provider may answer: the process is to be replaced, and the next one told to {@link excludeProvider} this one. */
export interface InferenceErrorData extends ErrorData {
  readonly failed?: FailedProvider;
}

/** Told to a process before any request: a provider that is not to be tried for a choice. */
export const excludeProvider = new NotificationType<FailedProvider>('provider/exclude');

/** A provider whose native code is about to run. */
export interface ProviderInUse {
  readonly choice: ModelChoice;
  readonly provider: ProviderName;
  /** Whether sessions are opened on it; otherwise they run. */
  readonly opening: boolean;
}

/**
 * Asked of the client whenever another provider is about to be used, or none: a process that ends in native code cannot say any more
 * whose it was. A request, because only its answer is proof that the news has arrived.
 */
export const noteProvider = new RequestType<{ readonly inUse: ProviderInUse | undefined }, void, void>('provider/note');

export const loadModel = new RequestType<Asked<ModelChoice>, LoadedModel, InferenceErrorData>('model/load');
/** Codes and their entropies: the first that can be shown. What is kept of them is asked for with `rank` and `reconstruct`. */
export const tokenize = new RequestType<Asked<TokenizeParams>, Tokenized & LoadedModel, InferenceErrorData>('tokenize');
/** The order of dropping, kept by the process for the reconstructions that follow. */
export const rank = new RequestType<Asked<RankParams>, Ranking, InferenceErrorData>('rank');
export const reconstruct = new RequestType<
  Asked<ReconstructParams>,
  Reconstruction & { readonly timings: StageTimings },
  InferenceErrorData
>('reconstruct');
export const measure = new RequestType<Asked<MeasureParams>, readonly Measurement[], InferenceErrorData>('measure');
export const influence = new RequestType<Asked<InfluenceParams>, InfluenceMap, InferenceErrorData>('influence');
export const attention = new RequestType<Asked<AttentionParams>, AttentionMap, InferenceErrorData>('attention');

/** Where the pipeline is. */
export interface Progress {
  readonly stage: Stage;
  /** Absent unless the picture has several tiles. */
  readonly tiles?: TileProgress | undefined;
}

/** Told at the start of every step of every request: a stage, or a batch of tiles of one. */
export const progress = new NotificationType<Progress & { readonly id: number }>('progress');

/** The picture of a `tokenize` request, as soon as it is decoded: before the model is loaded and run. */
export interface DecodedPicture {
  readonly image: ShownImage;
  readonly model: ModelDescription;
  /** The request's settings, completed by the model's defaults. */
  readonly settings: FilterSettings;
}

export const pictured = new NotificationType<DecodedPicture & { readonly id: number }>('pictured');

/**
 * A model was loaded for a request, whichever: on another provider than before where that one failed while it ran, or where a
 * process that was started anew finds others.
 */
export const loaded = new NotificationType<LoadedChoice>('model/loaded');
