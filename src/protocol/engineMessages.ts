/**
 * Messages between the extension host (or the command line) and the inference process.
 *
 * The process keeps what it is asked of: a picture is opened once, tokenized, and its analyses are asked for by its number. The client
 * keeps the file and the tokens, so that it can open the picture anew, with the same tokens, in a process that replaces this one.
 * Cancellation is JSON-RPC's own ($/cancelRequest through a CancellationToken).
 */
import { NotificationType, RequestType } from 'vscode-jsonrpc';
import type {
  CropMode,
  FilterSettings,
  ModelDescription,
  PictureGeometry,
  ProviderName,
  ProviderReport,
  RankingCriterion,
  Reconstruction,
  ShownGeometry,
  ShownImage,
  StageTimings,
  Tokens,
} from '../method/types';
import type { AnalysisRequest, Progress } from './analyses';
import type { InferenceErrorData } from './errorTransfer';

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
  /** Threads of a graph on the CPU; absent: ONNX Runtime's choice. */
  readonly threads?: number;
}

export interface LoadedModel {
  readonly model: ModelDescription;
  readonly provider: ProviderReport;
}

/** A model as it was loaded for a choice. */
export interface LoadedChoice extends LoadedModel {
  readonly choice: ModelChoice;
}

export interface OpenParams {
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

/** The picture of a file, as soon as it is decoded: before the model is loaded and run. */
export interface DecodedPicture {
  readonly image: ShownImage;
  readonly model: ModelDescription;
  /** The settings asked for, completed by the model's defaults. */
  readonly settings: FilterSettings;
}

/** Codes and their entropies: the first that can be shown. The image itself was sent as {@link DecodedPicture}. */
export interface OpenedTokens extends LoadedModel {
  readonly tokens: Tokens;
  /** The manifest of the model that made them, as text that is equal for equal manifests. */
  readonly manifest: string;
  readonly timings: StageTimings;
}

/** A picture that was tokenized by a former process. */
export interface KnownPicture {
  readonly choice: ModelChoice;
  readonly file: Uint8Array;
  readonly image: ShownGeometry;
  readonly tokens: Tokens;
  /** As in {@link OpenedTokens}: another model in the same folder would decode the tokens to another picture. */
  readonly manifest: string;
}

/** Names a picture that is open. The client chooses the number. */
export interface PictureHandle {
  readonly picture: number;
}

/** Decodes and tokenizes a picture, and keeps it open. */
export const open = new RequestType<Asked<OpenParams & PictureHandle>, OpenedTokens, InferenceErrorData>('open');
/** Keeps a picture open that is tokenized already; analyses of it may follow at once. */
export const reopen = new NotificationType<KnownPicture & PictureHandle>('reopen');
/** Forgets a picture, and ends the analyses of it that are under way. */
export const close = new NotificationType<PictureHandle>('close');
/** One of the `Analyses` of an open picture. */
export const analysis = new RequestType<Asked<AnalysisRequest & PictureHandle>, unknown, InferenceErrorData>(
  'analysis',
);
/** Loads a model, unless it is loaded. */
export const loadModel = new RequestType<Asked<ModelChoice>, LoadedModel, InferenceErrorData>('model/load');

/** Images that go through a graph at once, and how its numbers are rounded. */
export interface Batching {
  readonly batchSize: number;
  readonly precision: 'float32' | 'float16';
}

/** Pictures, cut to the centre, that go through the graphs together. */
export interface PicturesParams {
  readonly choice: ModelChoice;
  /** Encoded files; as many as a batch has images are the fastest. */
  readonly files: readonly Uint8Array[];
  /** Absent fields fall back to the manifest's defaults. */
  readonly settings: Partial<FilterSettings>;
  /** True: they are decoded again for PSNR and SSIM. */
  readonly quality: boolean;
  /** Images of every run of a graph. */
  readonly batchSize: number;
}

/** A picture of {@link tokenizePictures}, under the settings given. */
export interface TokenizedPicture {
  readonly geometry: PictureGeometry;
  readonly tokens: Omit<Tokens, 'expectedCodes'>;
  readonly filtered: Pick<Reconstruction, 'keep' | 'keptTokens' | 'totalTokens' | 'payloadBits' | 'maskBits'>;
  /** Undefined unless asked for. */
  readonly quality: Pick<Reconstruction, 'psnr' | 'ssim'> | undefined;
}

/** A picture that cannot be read, or tokens that cannot be decoded: in one sentence, with advice. */
export interface FailedPicture {
  readonly failure: string;
}

/** In the order of asking. */
export interface Pictures<Picture> extends LoadedModel {
  readonly pictures: readonly (Picture | FailedPicture)[];
}

/** Tokens whose picture is not at hand. */
export interface TokensToDecode {
  /** Pixels that were tokenized, padding left out. */
  readonly width: number;
  readonly height: number;
  /** T·K codes, tile after tile. */
  readonly globalCodes: Int32Array;
  /** N codes in raster order; those of dropped patches do not count. */
  readonly patchCodes: Int32Array;
  /** N values, 1 = kept. */
  readonly keep: Uint8Array;
  /** Decides what stands in for dropped patches: their expectation given the global tokens, or given the kept patches too. */
  readonly ranking: RankingCriterion;
}

export interface DecodeTokensParams {
  readonly choice: ModelChoice;
  readonly pictures: readonly TokensToDecode[];
  /** Images of every run of a graph, for tokens of {@link tokenizePictures}; undefined: those of one picture. */
  readonly batchSize: number | undefined;
}

/** The picture of tokens, reduced as it is shown. */
export interface DecodedTokens {
  readonly width: number;
  readonly height: number;
  /** width·height·3 sRGB bytes. */
  readonly rgb: Uint8Array;
}

/** Loads a model, unless it is loaded, for pictures in batches. */
export const prepareBatches = new RequestType<Asked<ModelChoice>, LoadedModel & Batching, InferenceErrorData>(
  'batches',
);
/** Tokenizes several pictures together. Their files are decoded as soon as they arrive: asked for ahead, they are ready when it is their turn. */
export const tokenizePictures = new RequestType<Asked<PicturesParams>, Pictures<TokenizedPicture>, InferenceErrorData>(
  'pictures/tokenize',
);
/** Decodes tokens of several pictures together. */
export const decodeTokens = new RequestType<Asked<DecodeTokensParams>, Pictures<DecodedTokens>, InferenceErrorData>(
  'tokens/decode',
);

/** Sent at the start of every step of every request: a stage, or a batch of tiles of one. */
export const progress = new NotificationType<Progress & { readonly id: number }>('progress');
/** The picture of a request to {@link open}, once it is decoded. */
export const pictured = new NotificationType<DecodedPicture & { readonly id: number }>('pictured');

/** A provider that failed after a model was opened on it, and why. */
export interface FailedProvider {
  readonly choice: ModelChoice;
  readonly provider: ProviderName;
  /** One sentence. */
  readonly reason: string;
}

/** Sent to a process before any request: a provider that is not to be tried for a choice. */
export const excludeProvider = new NotificationType<FailedProvider>('provider/exclude');

/** A provider whose native code is about to run. */
export interface ProviderInUse {
  readonly choice: ModelChoice;
  readonly provider: ProviderName;
  /** True if sessions are opened on it; otherwise they run. */
  readonly opening: boolean;
}

/**
 * Asked of the client whenever another provider is about to be used, or none: a process that ends in native code cannot say any more
 * whose it was. A request, because only its answer is proof that the news has arrived.
 */
export const noteProvider = new RequestType<{ readonly inUse: ProviderInUse | undefined }, void, void>('provider/note');

/**
 * A model was loaded for a request, whichever: on another provider than before where that one failed while it ran, or where a
 * process that was started anew finds others.
 */
export const loaded = new NotificationType<LoadedChoice>('model/loaded');
