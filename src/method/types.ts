/**
 * The vocabulary of the TaTok pipeline, shared by the inference process, the extension host and the webview.
 *
 * Symbols follow the method note: N patch tokens on a grid, K global tokens, codes in [0, V), ĥ conditional entropy,
 * ε information loss rate, β edge priority, S kept and D dropped patches. Typed arrays cross every process border as they are.
 */

import type * as z from 'zod/mini';
import type { filterSchema } from './settings';

/** Grid of patch tokens, N = rows · columns, in raster order. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** Pixels of an image. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export const budgets = ['image', 'reference'] as const;

/** The total that ε is a share of: this image's own Σĥ, or the reference of the manifest, the same for every image of a size. */
export type Budget = (typeof budgets)[number];

export const rankingCriteria = ['entropy', 'sequential', 'distortion'] as const;

/**
 * The quantity that patches are ranked by:
 * - `entropy`: ĥ, estimated once from G alone;
 * - `sequential`: ĥ, re-estimated as patches are revealed (given G and Z_S);
 * - `distortion`: the same, each patch's bits weighed by the squared error that keeping it saves.
 */
export type RankingCriterion = (typeof rankingCriteria)[number];

/** Everything that decides which patch tokens are kept. */
export type FilterSettings = Readonly<z.infer<typeof filterSchema>>;

/** Pixel rectangle of the oriented source image that was tokenized. */
export interface CropRectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export const cropModes = ['centre', 'fit', 'tiles'] as const;

/**
 * How a picture of any size becomes model images of one size:
 * - `centre`: the short side is scaled to the model's, the centre is cropped (the ImageNet protocol);
 * - `fit`: the long side is scaled to the model's, the rest of the model image is grey;
 * - `tiles`: cut at its own resolution; the last tiles of rows and columns are completed by mirroring.
 */
export type CropMode = (typeof cropModes)[number];

export const resamplings = ['lanczos3', 'bicubic', 'bilinear', 'adm'] as const;

/**
 * How a photograph is scaled to a model image, by the protocol that its tokenizer was trained and measured with. `adm`, of Dhariwal and
 * Nichol (2021), halves by averaging while the photograph is at least twice as large, and goes on with `bicubic`.
 */
export type Resampling = (typeof resamplings)[number];

/** The format of a picture that has no source: it was decoded from tokens. */
export const decodedFormat = 'tokens';

/** Which page or frame of a file with several was taken. */
export interface PageChoice {
  readonly unit: 'page' | 'frame';
  /** From 1. */
  readonly number: number;
  readonly count: number;
}

/** A picture without its pixels: what was tokenized of which source. */
export interface PictureGeometry {
  /** Width and height of the source after EXIF orientation, in pixels. */
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  /** sharp's name of the container: 'png', 'jpeg', …; {@link decodedFormat} where there is none. */
  readonly format: string;
  /** Absent where the file has one picture. */
  readonly page?: PageChoice | undefined;
  readonly cropMode: CropMode;
  /** The part of the source that was tokenized. */
  readonly crop: CropRectangle;
  /** Pixels that were tokenized, padding left out. */
  readonly width: number;
  readonly height: number;
}

/** A decoded picture. */
export interface Picture extends PictureGeometry {
  /** sRGB bytes, interleaved, width·height·3. */
  readonly rgb: Uint8Array;
}

/** Model images and patches that a picture takes, in raster order. */
export interface TileLayout {
  /** Model images side by side: 1×1 unless the picture is tiled. */
  readonly tiles: Grid;
  /**
   * Patches that hold any of the picture. Those wholly in padding do not count: a decoder knows the picture's size
   * and needs no tokens for them, so that they are neither ranked nor kept nor counted. A decoder that cannot do without any
   * patch token has them all on its grid.
   */
  readonly grid: Grid;
}

/** A tokenized picture as it is shown, without its pixels. */
export interface ShownGeometry extends PictureGeometry, TileLayout {
  /** Pixels are means of `reduction`×`reduction` pixels of the picture: 1 unless it is large, a divisor of a patch's side. */
  readonly reduction: number;
}

/** A tokenized picture as it is shown: the whole of it, in a bounded number of pixels. */
export interface ShownImage extends ShownGeometry {
  /** ⌈width / reduction⌉·⌈height / reduction⌉·3 sRGB bytes. */
  readonly rgb: Uint8Array;
}

/** A code in [0, V): a number, or one of 64 bits where V is over 2^31. */
export type Code = number | bigint;

/** Codes, one after another; of continuous latents their numbers. */
export type CodeArray = Int32Array | BigInt64Array | Float32Array;

/**
 * Codes and code statistics of one image: all that is needed to filter and decode it again. T is the number of tiles, N that
 * of the picture's patches. Arrays of a part that the model lacks are empty: codes of tokens, estimates of an entropy model.
 *
 * Estimates are those of patches, or of the T·K tokens of a sequence where the model has no patch tokens; N stands for either. Of a patch
 * with residual codes they are the sum over these.
 */
export interface Tokens {
  /** T·K codes in [0, V), tile after tile. */
  readonly globalCodes: CodeArray;
  /** N codes in [0, V), in raster order of the whole grid; residual codes of a patch lie side by side. */
  readonly patchCodes: CodeArray;
  /** Codes of every other stream of the model, such as coarser scales: those of a model image, tile after tile. */
  readonly otherCodes: readonly CodeArray[];
  /** ĥ_i = H[q(· | G)], or H[q(· | the other tokens)] where the model has that; N values in bits. */
  readonly entropyBits: Float32Array;
  /** s_i = −log2 q(z_i), given the same, N values in bits. */
  readonly surprisalBits: Float32Array;
  /** E_q[z_i], N×D code coordinates; what the decoder puts where a token was dropped. */
  readonly expectedCodes: Float32Array;
  /** N values, 1 = kept: the kept set that the tokens came with, out of a file, in place of the filter's. */
  readonly keep?: Uint8Array | undefined;
}

/** The order in which patches are dropped and what that loses. It does not depend on ε: any ε costs one binary search. */
export interface Ranking {
  /** π: patch indices by ascending priority, the first to be dropped first. N values. */
  readonly order: Uint32Array;
  /**
   * Bits lost when the first m patches of π are dropped, for m = 0…N: N + 1 values, non-decreasing, starting with 0. With
   * entropy alone Σ_{j≤m} ĥ_π(j); in a sequential ranking each ĥ is given what is kept.
   */
  readonly cumulativeBits: Float64Array;
  /** The last of them: Σ_i ĥ_i given G. */
  readonly totalBits: number;
  /** What the patches were sorted by; absent where none were, as of the steps of a prefix. */
  readonly priorities?: Priorities;
}

/** What patches were sorted by, each in the round that gave it its place: N values each, in raster order. */
export interface Priorities {
  /** p_i, bits: ĥ_i, weighed where distortion decides, + β·e_i. */
  readonly priority: Float64Array;
  /** ĥ_i given G and the patches that were kept before that round, bits; of backward elimination that given all tokens left then. */
  readonly givenBits: Float64Array;
  /**
   * The round, from 0: patches of an earlier one are kept longer, whatever their priority. Backward elimination counts its rounds from the
   * last; within one, neighbours of what goes wait, whatever their priority.
   */
  readonly round: Uint8Array;
  /** Where distortion decides: by how many dB the patch's own error falls when it is kept, as it is decoded in that round. */
  readonly savedDecibels?: Float64Array;
}

/** Result of Dynamic Token Filtering and decoding under some settings; a model without an entropy model keeps every token. */
export interface Reconstruction {
  readonly settings: FilterSettings;
  /** One value per patch token, 1 = kept (S), 0 = dropped (D). */
  readonly keep: Uint8Array;
  /** ĥ given G, or given G and Z_S (0 for patches in S) in a sequential ranking; empty without an entropy model. */
  readonly entropyBits: Float32Array;
  /** B in bits. */
  readonly budgetBits: number;
  /** Σ_{i∈D} ĥ_i in bits as the ranking reckons it; never above ε·B. */
  readonly lostBits: number;
  /** lostBits / B. */
  readonly actualLossRate: number;
  /** |S|. */
  readonly keptTokens: number;
  /** The leading steps of every model image that are kept, of `model.steps`: all of them, unless ε is a length. */
  readonly length: number;
  /** All tokens that are kept: T·K + |S| of a model of global and patch tokens. */
  readonly totalTokens: number;
  /** What they cost: log2 V bits each. */
  readonly payloadBits: number;
  /** log2 C(N, |S|): what transmitting the mask costs. */
  readonly maskBits: number;
  /** Decoded picture, reduced as the image it is of. */
  readonly rgb: Uint8Array;
  /**
   * Peak signal-to-noise ratio over all three channels of the picture at full size, dB; null when identical. (Pages are sent JSON, which
   * has no infinity.)
   */
  readonly psnr: number | null;
  /** Mean structural similarity (Wang et al. 2004) on 8-bit luma at full size; null below 11 pixels of width or height. */
  readonly ssim: number | null;
}

/** Codes that were drawn for dropped patches, one each. */
export interface DrawnCodes {
  /** In ascending order. */
  readonly patches: Uint32Array;
  readonly codes: Int32Array;
}

/** One point of the rate–distortion curve: what some ε costs and what its reconstruction is worth, without the pixels. */
export type Measurement = Pick<
  Reconstruction,
  'keptTokens' | 'length' | 'totalTokens' | 'payloadBits' | 'maskBits' | 'psnr' | 'ssim'
> & {
  /** ε. */
  readonly lossRate: number;
};

/** Milliseconds per stage; a stage that did not run is absent. */
export type StageTimings = Partial<Record<Stage, number>>;

export const stages = ['read', 'load', 'encode', 'entropy', 'rank', 'filter', 'decode', 'metrics'] as const;

/**
 * Stages of the pipeline in order: image decoding, session creation, codes and their entropies (which are the codes’ where one
 * graph gives both), the order of dropping, the kept set with what its dropped patches are expected to be, pixels, PSNR/SSIM.
 */
export type Stage = (typeof stages)[number];

/** Model images that a stage has done, of how many; ranking counts them anew in every round. */
export interface TileProgress {
  readonly done: number;
  readonly total: number;
}

/** One tokenized image: all that is known before anything is dropped. */
export interface Tokenized {
  readonly image: ShownImage;
  readonly tokens: Tokens;
  /** Settings of the filter: those given, completed by the model's defaults. */
  readonly settings: FilterSettings;
  readonly timings: StageTimings;
}

/** One tokenized image with what is kept of it under some settings, and what that decodes to. */
export interface Tokenization extends Omit<Tokenized, 'settings'> {
  readonly reconstruction: Reconstruction;
}

/** Patches of one tile on the whole grid. */
export interface PatchRegion extends Grid {
  readonly row: number;
  readonly column: number;
}

/**
 * Attention of one tile's K global queries over its patches for one layer and head, or their mean.
 * `weights` is K × (rows·columns of the region); every row sums to 1, less what goes to padding.
 */
export interface AttentionMap {
  readonly tile: number;
  readonly region: PatchRegion;
  readonly layer: AttentionChoice;
  readonly head: AttentionChoice;
  readonly weights: Float32Array;
}

/** An entry of a codebook, and its Euclidean distance from another as vectors are compared. */
export interface NearEntry {
  readonly code: number;
  readonly distance: number;
}

/** The effect of one global token under one kept set; see `influence.ts` for the definition. */
export interface InfluenceMap {
  readonly tile: number;
  readonly region: PatchRegion;
  readonly globalToken: number;
  /** Root-mean-square change of pixels when the token is replaced, N values in 8-bit units. */
  readonly change: Float32Array;
}

/** Index of a layer or head, or the mean over all of them. */
export type AttentionChoice = number | 'mean';

/** What codes stand for. */
export type Codebook =
  /** Finite scalar quantisation: levels per code dimension. */
  | { readonly kind: 'fsq'; readonly levels: readonly number[] }
  /** A table of vectors; `table` where the bundle has them. */
  | { readonly kind: 'vq'; readonly size: number; readonly table?: true | undefined }
  /** Lookup-free binary quantisation: a sign per dimension. */
  | { readonly kind: 'bits'; readonly bits: number }
  /** No codes: vectors, as those of a variational autoencoder. */
  | { readonly kind: 'continuous'; readonly dimensions: number };

/** One kind of tokens that the encoder gives and the decoder takes. */
export interface Stream {
  /** In the graphs, such as `patch_codes`. */
  readonly name: string;
  /** Which codes of {@link Tokens} are its own: `patch` has a token for every patch, `global` is a sequence. */
  readonly role: 'global' | 'patch' | 'other';
  /** Tokens of a model image: [K], [cells], or [cells, residual codes]. */
  readonly shape: readonly number[];
  /** Cells that the tokens stand for; null for a sequence. (Messages are JSON, which has nothing undefined.) */
  readonly grid: Grid | null;
  readonly codebook: Codebook;
  /** How many leading parts decode by themselves, tokens of a sequence or residual codes; 0 where all are needed. */
  readonly prefixSteps: number;
}

/** What a prefix is longer by. */
export interface Step {
  /** Of a model image. */
  readonly tokens: number;
  readonly bits: number;
}

/** The part of a bundle's manifest that the inspector shows and reckons with. */
export interface ModelDescription {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the manifest's bytes, hexadecimal: it lists the hashes of all graphs, so that it names what computes the tokens. */
  readonly hash: string;
  /** Absolute folder of the bundle. */
  readonly directory: string;
  /** Of the model image. */
  readonly imageSize: Size;
  readonly resample: Resampling;
  /** Square patches of one model image, whether or not they have tokens. */
  readonly grid: Grid;
  /** In the order of the graphs. */
  readonly streams: readonly Stream[];
  /** K; 0 for a tokenizer without a sequence of tokens. */
  readonly globalTokens: number;
  /** N of one model image: the cells of the grid, or 0 for a tokenizer without a token for every patch. */
  readonly patchTokens: number;
  /** True if tokens can be dropped one by one, patches or those of a sequence: an entropy model estimates the loss. */
  readonly filters: boolean;
  /**
   * True if a token's entropy is that given the other tokens: with no token visible it tells nothing of a picture. Tokens are then
   * dropped by backward elimination, see `elimination.ts`.
   */
  readonly givenOthers: boolean;
  /**
   * The parts that a prefix grows by, the first of which stays: tokens of a sequence, residual codes, scales. One alone where the decoder
   * needs them all, or where an entropy model drops tokens one by one.
   */
  readonly steps: readonly Step[];
  /** D: numbers of the expectation that stands in for a dropped token; 0 without an entropy model. */
  readonly expectedDimensions: number;
  /** Of the global queries; 0 where the encoder gives no attention. */
  readonly attentionLayers: number;
  readonly attentionHeads: number;
  readonly defaults: FilterSettings;
  /** B of the reference budget for one model image, bits. */
  readonly referenceBudgetBits: number;
}

export const providerNames = ['cuda', 'cpu', 'dml', 'coreml', 'webgpu'] as const;

/** An execution provider by ONNX Runtime's short name. */
export type ProviderName = (typeof providerNames)[number];

/** Why CUDA is not used on a machine that has no GPU for it: nothing is wrong there. */
export const noDriver = 'No NVIDIA driver was found.';

/** The provider in use, and why each earlier one of the configured order could not be. */
export interface ProviderReport {
  readonly provider: ProviderName;
  readonly failures: readonly { readonly provider: string; readonly reason: string }[];
}
