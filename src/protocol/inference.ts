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
  FilterSettings,
  InfluenceMap,
  Measurement,
  ModelDescription,
  ProviderReport,
  Reconstruction,
  Stage,
  StageTimings,
  Tokenization,
  Tokens,
} from '../tokenizer/types';

/** Which bundle runs where. The inference process keeps sessions of the last few choices. */
export interface ModelChoice {
  /** Absolute folder of the bundle. */
  readonly directory: string;
  /** Providers to try, in order. */
  readonly providers: readonly string[];
  /** Index of the GPU that CUDA uses; absent: 0. */
  readonly cudaDevice?: number;
}

export interface LoadedModel {
  readonly model: ModelDescription;
  readonly provider: ProviderReport;
}

export interface TokenizeParams {
  readonly choice: ModelChoice;
  /** The encoded file, as read from its file system. */
  readonly file: Uint8Array;
  /** Absent fields fall back to the manifest's defaults. */
  readonly settings: Partial<FilterSettings>;
  /** Images with more pixels are refused with `image-too-large` before they are decoded; absent means sharp's own limit. */
  readonly maxMegapixels?: number;
  /** Progress notifications carry this id. */
  readonly progressId: number;
}

export interface ReconstructParams {
  readonly choice: ModelChoice;
  readonly tokens: Tokens;
  /** The original, for PSNR and SSIM: size·size·3 sRGB bytes. */
  readonly original: Uint8Array;
  readonly settings: FilterSettings;
}

/** Decodes under several ε at once and measures; no image is sent back. Short lists let other requests in between. */
export interface MeasureParams extends ReconstructParams {
  readonly lossRates: readonly number[];
}

/** One global token at a time, so that other requests get in between. */
export interface InfluenceParams {
  readonly choice: ModelChoice;
  readonly tokens: Tokens;
  readonly settings: FilterSettings;
  readonly globalToken: number;
}

export interface AttentionParams {
  readonly choice: ModelChoice;
  /** size·size·3 sRGB bytes. */
  readonly rgb: Uint8Array;
  readonly layer: AttentionChoice;
  readonly head: AttentionChoice;
}

/** Data of a ResponseError: a stable code for tests and actions, and what the user can do. */
export interface ErrorData {
  readonly code: string;
  readonly advice?: string;
}

export const loadModel = new RequestType<ModelChoice, LoadedModel, ErrorData>('model/load');
export const tokenize = new RequestType<TokenizeParams, Tokenization & LoadedModel, ErrorData>('tokenize');
export const reconstruct = new RequestType<
  ReconstructParams,
  Reconstruction & { readonly timings: StageTimings },
  ErrorData
>('reconstruct');
export const measure = new RequestType<MeasureParams, readonly Measurement[], ErrorData>('measure');
export const influence = new RequestType<InfluenceParams, InfluenceMap, ErrorData>('influence');
export const attention = new RequestType<AttentionParams, AttentionMap, ErrorData>('attention');
export const progress = new NotificationType<{ readonly id: number; readonly stage: Stage }>('progress');
