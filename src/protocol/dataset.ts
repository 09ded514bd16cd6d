/**
 * Messages between the page of a token data set and the extension host.
 *
 * The host reads and writes the data set, and tells the page of its rows as they are made. The page sorts, filters and draws them. It names
 * images by their place among the inputs, never by a path; what it may send is in `schemas.ts`.
 */
import { NotificationType, NotificationType0, RequestType, RequestType0 } from 'vscode-jsonrpc';
import type * as z from 'zod/mini';
import type { FoundBudget } from '../method/collectionBudget';
import type { FilterRecord } from '../method/settings';
import type { Failure } from './document';
import type { ErrorData } from './errorTransfer';
import type { datasetExport, offeredBudget } from './schemas';

/** Columns of a row that hold a number each, in their order: those that conditions compare. */
export const datasetNumbers = [
  'width',
  'height',
  'crop_x',
  'crop_y',
  'crop_width',
  'crop_height',
  'kept',
  'tokens',
  'payload_bits',
  'mask_bits',
  'coded_bits',
  'psnr',
  'ssim',
] as const;
export type DatasetNumber = (typeof datasetNumbers)[number];

/** A row without its codes and its values of patches. */
export interface DatasetRow extends Readonly<Record<DatasetNumber, number | null>> {
  /** Place of the image among the inputs, from 0. */
  readonly index: number;
  /** SHA-256 of the file: equal for files that are. */
  readonly id: string | null;
  readonly path: string;
  readonly label: string | null;
  /** Mean of ĥ over all patches, bits; null where the data set has none. */
  readonly mean_entropy: number | null;
  /** Why there are no tokens, in a sentence. */
  readonly error: string | null;
}

/** How a data set came about, as `dataset.json` says it. */
export interface DatasetFacts {
  readonly model: string;
  readonly provider: string;
  readonly settings: FilterRecord | undefined;
  /** K and N. */
  readonly globalTokens: number;
  readonly patchTokens: number;
  /** Width by height of a model image, for thumbnails. */
  readonly aspect: number;
}

export interface DatasetState {
  /** `opening` reads what is there, `preparing` lists images and loads the model, `stopped` may be gone on with. */
  readonly phase: 'opening' | 'preparing' | 'running' | 'stopped' | 'complete';
  /** Images in all; undefined while they are not listed. */
  readonly total: number | undefined;
  /** Those whose rows are in shards that are whole: they are not lost whatever happens. */
  readonly written: number;
  readonly facts: DatasetFacts | undefined;
  /** Why it stopped, unless it was asked to. */
  readonly failure: Failure | undefined;
  /** Rows beyond those that the page is sent. */
  readonly unsent: number;
}

/** Before anything is known. */
export const openingDataset: DatasetState = {
  phase: 'opening',
  total: undefined,
  written: 0,
  facts: undefined,
  failure: undefined,
  unsent: 0,
};

/** A page that is ready is sent the state and all rows. */
export interface OpenedDataset {
  /** Of the folder, without the places above it. */
  readonly name: string;
  readonly uri: string;
}

export const ready = new RequestType0<OpenedDataset, ErrorData>('ready');
export const cancel = new NotificationType0('cancel');
export const resume = new NotificationType0('dataset/resume');
/** Opens the inspector on the image. */
export const openImage = new NotificationType<number>('dataset/open');
/** A JPEG file of the part that the model saw; null where there is no picture. */
export const thumbnail = new RequestType<number, Uint8Array | null, ErrorData>('dataset/thumbnail');
export type DatasetExport = z.infer<typeof datasetExport>;
/** Asks where to save a file and saves it. Answers its name, or null when the user chose none. */
export const saveDatasetExport = new RequestType<DatasetExport, string | null, ErrorData>('dataset/export');

/** Rate and distortion of one image over ε. */
export interface ImageCurve {
  readonly index: number;
  readonly points: readonly CurvePoint[];
}

export interface CurvePoint {
  readonly lossRate: number;
  readonly tokens: number;
  /** Of the tokens at fixed length and of the mask. */
  readonly bits: number;
  /** dB; null for identical pictures. */
  readonly psnr: number | null;
}

/** Curves of a random sample of the images, as far as they are measured. */
export interface SampledCurves {
  /** Images of the sample. */
  readonly wanted: number;
  readonly curves: readonly ImageCurve[];
}

/** Measures the curves of the sample: images are decoded again. They are told of one by one. */
export const measureCurves = new RequestType0<SampledCurves, ErrorData>('dataset/curves');

/** Settings that give a mean number of tokens over the images. */
export interface CollectionBudgets {
  /** Mean number of tokens asked for. */
  readonly wanted: number;
  readonly images: number;
  /** True if the kept sets are computed of entropies of half precision, not of the ranking's own bits. */
  readonly approximate: boolean;
  readonly found: readonly FoundBudget[];
}
/** Finds settings for a mean number of tokens. */
export const findBudgets = new RequestType<number, CollectionBudgets, ErrorData>('dataset/budgets');
/** Writes one of those that were found last to the settings, once the user confirms it. Answers false when they did not. */
export const saveBudget = new RequestType<z.infer<typeof offeredBudget>, boolean, ErrorData>('dataset/saveBudget');

export const stateChanged = new NotificationType<DatasetState>('dataset/state');
export const rowsMade = new NotificationType<{ readonly rows: readonly DatasetRow[] }>('dataset/rows');
/** Rows from the first place to before the last are no more: their shard was not finished. */
export const rowsLost = new NotificationType<{ readonly first: number; readonly end: number }>('dataset/lost');
export const curveMeasured = new NotificationType<SampledCurves>('dataset/curve');
