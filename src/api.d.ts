/**
 * The interface that TaTok Inspector offers to other extensions:
 *
 *     const tatok = await vscode.extensions.getExtension<TatokApi>('tatok.tatok-inspector')?.activate();
 *
 * API.md describes it with examples. Methods reject with an Error of one sentence, whose `code` names the kind of failure.
 */
import type { CancellationToken, Event, Uri, ViewColumn } from 'vscode';

export interface TatokApi {
  /** Grows when something here changes its meaning; what is added leaves it as it is. */
  readonly version: 1;

  /** Tokenizes an image of any file system, and decodes what is kept. The user's settings hold for what is not given. */
  tokenize(uri: Uri, options?: TokenizeOptions, token?: CancellationToken): Promise<TokenizedImage>;

  /** Opens the inspector on an image. Resolves when its editor is there; the tokens follow. */
  openInspector(
    uri: Uri,
    options?: { readonly viewColumn?: ViewColumn; readonly preserveFocus?: boolean },
  ): Promise<void>;

  /** Fires when an inspector has new tokens: after it was opened, and after its file or its model changed. */
  readonly onDidTokenize: Event<InspectedTokens>;
}

export interface FilterSettings {
  /** ε, 0 to 1. */
  readonly lossRate: number;
  /** β ≥ 0, bits added to the priority of patches on the outer ring of the grid. */
  readonly edgePriority: number;
  readonly budget: 'image' | 'reference';
  readonly ranking: 'entropy' | 'sequential' | 'distortion';
  /** Of a ranking in rounds; absent: its default. */
  readonly rankingRounds?: number | undefined;
}

export interface TokenizeOptions {
  /** Absolute folder of a model bundle. */
  readonly model?: string;
  readonly settings?: Partial<FilterSettings>;
  readonly cropMode?: 'centre' | 'fit' | 'tiles';
}

/** Numbers of codes: of 64 bits where a codebook is that large, vectors of a tokenizer without codes. */
export type Codes = Int32Array | BigInt64Array | Float32Array;

export interface InspectedTokens {
  readonly uri: Uri;
  /** `hash`: SHA-256 of the bundle's manifest. */
  readonly model: { readonly name: string; readonly version: string; readonly hash: string };
  /** The execution provider that ran it: `cpu`, `cuda`, … */
  readonly provider: string;
  /** Pixels that were tokenized. */
  readonly width: number;
  readonly height: number;
  readonly cropMode: 'centre' | 'fit' | 'tiles';
  /** Patches of the picture, in raster order. */
  readonly grid: { readonly rows: number; readonly columns: number };
  /** Empty for a model without. */
  readonly globalCodes: Codes;
  readonly patchCodes: Codes;
  /** Conditional entropy given the global tokens, bits; empty without an entropy model, as are surprisals. */
  readonly entropyBits: Float32Array;
  readonly surprisalBits: Float32Array;
}

export interface TokenizedImage extends InspectedTokens {
  readonly settings: FilterSettings;
  /** One value a patch, 1 = kept. */
  readonly keep: Uint8Array;
  readonly totalTokens: number;
  /** Bits of the kept tokens, and of the mask. */
  readonly payloadBits: number;
  readonly maskBits: number;
  /** dB; null of identical pictures. */
  readonly psnr: number | null;
  /** null of pictures smaller than its window. */
  readonly ssim: number | null;
  /** The decoded picture, sRGB bytes: of a large picture means of `reduction`×`reduction` pixels. */
  readonly reconstruction: {
    readonly width: number;
    readonly height: number;
    readonly reduction: number;
    readonly rgb: Uint8Array;
  };
}
