/**
 * Messages between the extension host (or the command line) and the inference process.
 *
 * The process keeps what it is asked of: a picture is opened once, tokenized, and its analyses are asked for by its number. The client
 * keeps the file and the tokens, so that it can open the picture anew, with the same tokens, in a process that replaces this one.
 * Cancellation is JSON-RPC's own ($/cancelRequest through a CancellationToken).
 */
import { NotificationType, RequestType } from 'vscode-jsonrpc';
import type * as z from 'zod/mini';
import type {
  FilterSettings,
  ModelDescription,
  ProviderReport,
  Reconstruction,
  PictureGeometry,
  ShownImage,
  StageTimings,
  Tokens,
} from '../method/types';
import type { AnalysisRequest, Progress } from './analyses';
import type { InferenceErrorData } from './errorTransfer';
import type {
  decodeTokensParams,
  failedProvider,
  knownPicture,
  modelChoice,
  openParams,
  openTokensParams,
  pictureHandle,
  picturesParams,
  providerInUse,
  thumbnailParams,
  tokensToDecode,
} from './schemas';

/** A request as it is sent. */
export interface Asked<Params> {
  /** Of this request among all of its client's: notifications about it carry the same. */
  readonly id: number;
  readonly params: Params;
}

/** Which bundle runs where. The inference process keeps sessions of the last few choices. */
export type ModelChoice = Readonly<z.infer<typeof modelChoice>>;

export interface LoadedModel {
  readonly model: ModelDescription;
  readonly provider: ProviderReport;
}

/** A model as it was loaded for a choice. */
export interface LoadedChoice extends LoadedModel {
  readonly choice: ModelChoice;
}

export type OpenParams = Readonly<z.infer<typeof openParams>>;

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

/** Names a picture that is open. The client chooses the number. */
export type PictureHandle = Readonly<z.infer<typeof pictureHandle>>;

/** A picture that was tokenized by a former process. */
export type KnownPicture = Readonly<Omit<z.infer<typeof knownPicture>, keyof PictureHandle>>;

/** Decodes and tokenizes a picture, and keeps it open. */
export const open = new RequestType<Asked<OpenParams & PictureHandle>, OpenedTokens, InferenceErrorData>('open');
export type OpenTokensParams = Readonly<z.infer<typeof openTokensParams>>;

/** Opens tokens that are known already, with their picture where that is given, and keeps it open. */
export const openTokens = new RequestType<Asked<OpenTokensParams & PictureHandle>, OpenedTokens, InferenceErrorData>(
  'tokens/open',
);
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

export type PicturesParams = Readonly<z.infer<typeof picturesParams>>;

/** A picture of {@link tokenizePictures}, under the settings given. */
export interface TokenizedPicture {
  readonly geometry: PictureGeometry;
  readonly tokens: Pick<Tokens, 'entropyBits' | 'surprisalBits'> & {
    readonly globalCodes: Int32Array;
    readonly patchCodes: Int32Array;
  };
  /** N values in bits, as `lostWith` has them of the ranking; none where nothing can be dropped. */
  readonly lostBits: Float32Array;
  readonly filtered: Pick<Reconstruction, 'keep' | 'keptTokens' | 'totalTokens' | 'payloadBits' | 'maskBits'>;
  /** Undefined unless asked for. */
  readonly quality?: Pick<Reconstruction, 'psnr' | 'ssim'> | undefined;
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
export type TokensToDecode = Readonly<z.infer<typeof tokensToDecode>>;

export type DecodeTokensParams = Readonly<z.infer<typeof decodeTokensParams>>;

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

export type ThumbnailParams = Readonly<z.infer<typeof thumbnailParams>>;

/** Makes a small picture of an image file, for which no model is needed. */
export const thumbnail = new RequestType<Asked<ThumbnailParams>, { readonly jpeg: Uint8Array }, InferenceErrorData>(
  'thumbnail',
);

/** Sent at the start of every step of every request: a stage, or a batch of tiles of one. */
export const progress = new NotificationType<Progress & { readonly id: number }>('progress');
/** The picture of a request to {@link open}, once it is decoded. */
export const pictured = new NotificationType<DecodedPicture & { readonly id: number }>('pictured');

/** A provider that failed after a model was opened on it, and why. */
export type FailedProvider = Readonly<z.infer<typeof failedProvider>>;

/** Sent to a process before any request: a provider that is not to be tried for a choice. */
export const excludeProvider = new NotificationType<FailedProvider>('provider/exclude');

/** A provider whose native code is about to run. */
export type ProviderInUse = Readonly<z.infer<typeof providerInUse>>;

/**
 * Asked of the client whenever another provider is about to be used, or none: a process that ends in native code cannot say any more
 * whose it was. A request, because only its answer is proof that the news has arrived.
 */
export const noteProvider = new RequestType<{ readonly inUse?: ProviderInUse | undefined }, void, void>(
  'provider/note',
);

/**
 * A model was loaded for a request, whichever: on another provider than before where that one failed while it ran, or where a
 * process that was started anew finds others.
 */
export const loaded = new NotificationType<LoadedChoice>('model/loaded');
