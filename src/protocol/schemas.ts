/**
 * Schemas of every message, for the side that receives it: page to extension host, host (or command line) to inference process, and back from
 * the process, which decodes files of others in native code. The page trusts its host and does not import this file; the types of its
 * requests are derived from it.
 *
 * All are strict: no key more, numbers finite and within bounds, typed arrays of their kind and of the picture's size.
 */
import * as z from 'zod/mini';
import { codecs } from '../method/anchors';
import { editsSchema, type Edits } from '../method/edits';
import { TatokError } from '../method/errors';
import { mostFileBytes } from '../method/imageLimits';
import { filterSchema } from '../method/settings';
import {
  budgets,
  cropModes,
  providerNames,
  resamplings,
  stages,
  type CodeArray,
  type Codebook,
  type Grid,
  type ModelDescription,
  type ProviderReport,
  type ShownGeometry,
  type ShownImage,
  type Stream,
  type StageTimings,
  type TileLayout,
  type Tokens,
} from '../method/types';
import { pageAnalysis, type Analyses, type AnalysisRequest } from './analyses';
import { carries, carriesNothing, carriesValue, problemOf, type Contract } from './contract';
import * as dataset from './dataset';
import * as document from './document';
import * as engine from './engineMessages';
import * as modelTable from './modelTable';
import { tableKinds } from './modelTable';
import { dataKinds, pictureKinds, comparisonKinds, sweepKinds } from './exports';

const count = z.int().check(z.nonnegative());
const positiveCount = z.int().check(z.positive());
const amount = z.number().check(z.nonnegative());

/** Bounded text of a message: names, paths and sentences. */
const text = z.string().check(z.maxLength(1 << 20));
/** As a name or a path: something, and no end of a string in it. */
const name = text.check(z.minLength(1), z.regex(/^[^\0]*$/));

/** An index below a limit. */
const index = (limit: number) =>
  z.int().check(
    z.nonnegative(),
    z.refine((value) => value < limit, `must be below ${limit}`),
  );

/** A list whose length is looked at before its values. */
function list<T extends z.core.SomeType>(
  value: T,
  most: number,
  least = 0,
): z.ZodMiniType<readonly z.core.output<T>[], z.core.input<T>[]> {
  return z.pipe(
    z.custom<z.core.input<T>[]>(
      (values) => Array.isArray(values) && values.length >= least && values.length <= most,
      `must be a list of ${least} to ${most} values`,
    ),
    z.array(value),
  );
}

/** A typed array of one kind: no list, no view of another kind, nothing that looks like one. */
function typedArray<T extends Uint8Array | Int32Array | Uint32Array | BigInt64Array | Float32Array | Float64Array>(
  kind: new () => T,
): z.ZodMiniType<T> {
  return z.custom<T>((value) => value instanceof kind && ArrayBuffer.isView(value), `must be a ${kind.name}`);
}

/** The bytes of a file. */
const file = typedArray<Uint8Array>(Uint8Array).check(
  z.refine((bytes) => bytes.length <= mostFileBytes, `must have at most ${mostFileBytes} bytes`),
);

/** The filter's settings, without any other. */
const filter = z.strictObject(filterSchema.shape);
const cropMode = z.enum(cropModes);

// Analyses

/** Numbers that bound the requests of an analysis. */
export interface PictureLimits {
  readonly patches: number;
  readonly tiles: number;
  readonly globalTokens: number;
  readonly layers: number;
  readonly heads: number;
}

/** @param model the parts of it that are known; without one its attention is not bounded. */
export function limitsOf(
  { tiles, grid }: TileLayout,
  globalTokens: number,
  model?: Pick<ModelDescription, 'attentionLayers' | 'attentionHeads'>,
): PictureLimits {
  return {
    patches: cells(grid),
    tiles: cells(tiles),
    globalTokens,
    layers: model?.attentionLayers ?? Infinity,
    heads: model?.attentionHeads ?? Infinity,
  };
}

const cells = ({ rows, columns }: Grid): number => rows * columns;
const meanOrIndex = (limit: number) => z.union([z.literal('mean'), index(limit)]);

/** Of an animation. */
const mostFrames = 64;
const codec = z.enum(codecs);
/** Of a file: no file that is larger than any that is read. */
const limitBytes = z.int().check(z.nonnegative(), z.maximum(mostFileBytes));
/** Points of an anchor's curve. */
const mostLimits = 32;

/**
 * Experiments on a picture: lists no longer than it has tokens, whose places are its own. Codes are held against the model where they are
 * decoded.
 */
function editsOf({ patches, tiles, globalTokens }: PictureLimits): z.ZodMiniType<Edits> {
  const tokens = { patch: patches, global: tiles * globalTokens };
  const short = z.strictObject({
    forcedKept: list(z.unknown(), patches),
    forcedDropped: list(z.unknown(), patches),
    replaced: list(z.unknown(), tokens.patch + tokens.global),
  });
  return z.pipe(
    z.custom<Edits>((edits) => short.safeParse(edits).success, 'must be lists of the picture’s tokens'),
    editsSchema.check(
      z.refine(
        ({ forcedKept, forcedDropped, replaced }) =>
          [...forcedKept, ...forcedDropped].every((patch) => patch < patches) &&
          replaced.every(({ token, index: at }) => at < tokens[token]),
        'must be of tokens that the picture has',
      ),
    ),
  );
}

/** What each of the `Analyses` is asked with. */
export const analysisRequests = {
  rank: () => filter,
  reconstruct: (limits: PictureLimits) => z.extend(filter, { edits: z.optional(editsOf(limits)) }),
  measure: ({ patches }: PictureLimits) =>
    z.strictObject({
      /** Their ε is not used. */
      settings: filter,
      /** Measured as one batch; there are no more kept sets than that. */
      lossRates: list(filterSchema.shape.lossRate, patches + 1, 1),
    }),
  influence: (limits: PictureLimits) =>
    z.strictObject({
      settings: filter,
      edits: z.optional(editsOf(limits)),
      /** Index of the tile, 0 unless the picture is tiled. */
      tile: index(limits.tiles),
      globalToken: index(limits.globalTokens),
    }),
  attention: ({ tiles, layers, heads }: PictureLimits) =>
    z.strictObject({
      /** Index of the tile, 0 unless the picture is tiled. */
      tile: index(tiles),
      layer: meanOrIndex(layers),
      head: meanOrIndex(heads),
    }),
  sweep: () =>
    z.strictObject({
      /** Their ε is not used. */
      settings: filter,
      /** A frame each, in their order. */
      lossRates: list(filterSchema.shape.lossRate, mostFrames, 1),
      format: z.enum(['webp', 'gif']),
    }),
  nearest: ({ patches }: PictureLimits) => z.strictObject({ patch: index(patches) }),
  anchor: () => z.strictObject({ codec, bytes: limitBytes }),
  anchorCurve: () => z.strictObject({ codec, bytes: list(limitBytes, mostLimits, 1) }),
  draw: (limits: PictureLimits) =>
    z.strictObject({
      settings: filter,
      edits: z.optional(editsOf(limits)),
      /** Decides the codes. */
      seed: index(2 ** 32),
    }),
};

type Bounded = (limits: PictureLimits) => z.ZodMiniType;

/**
 * The request of an analysis, checked.
 *
 * @param limits of the picture that is asked of.
 * @throws TatokError bad-message.
 */
export function checkedAnalysis({ name, params }: AnalysisRequest, limits: PictureLimits): AnalysisRequest {
  const all: Record<keyof Analyses, Bounded> = analysisRequests;
  const [, schema] = Object.entries<Bounded>(all).find(([known]) => known === name) ?? [];
  if (schema === undefined) throw new TatokError('bad-message', 'There is no analysis of that name.');
  const request = schema(limits).safeParse(params);
  if (request.success) return { name, params: request.data };
  throw new TatokError(
    'bad-message',
    `The analysis ${name} was not asked for as it must be: ${problemOf(request.error)}.`,
  );
}

const analysisName = z.string().check(z.minLength(1), z.maxLength(64));

// From the page to the extension host

export const restoredPage = z.strictObject({
  /** Absent: as the settings say. */
  cropMode: z.optional(cropMode),
  /** Of a data set; absent: the first that has tokens. */
  row: z.optional(count),
});

/** As many as a picture of a gigapixel has, with patches of 8 pixels. */
const mostPatches = 1 << 24;
/** Where edits are held against the picture later. */
const anyPicture = { patches: mostPatches, tiles: mostPatches, globalTokens: 1, layers: 0, heads: 0 };

export const exportRequest = z.union([
  z.strictObject({
    kind: z.enum(dataKinds),
    settings: filter,
    /** Held against the picture where it is exported. */
    edits: z.optional(editsOf(anyPicture)),
  }),
  z.strictObject({
    kind: z.enum(pictureKinds),
    bytes: file,
    /** What the picture was made under, for its metadata. */
    settings: filter,
  }),
  z.strictObject({ kind: z.enum(sweepKinds), settings: filter }),
  z.strictObject({ kind: z.enum(comparisonKinds), bytes: file }),
]);

export const modelRequest = z.strictObject({
  /** One of those that the host offered; null: the host asks the user for a folder. */
  model: z.nullable(z.string().check(z.maxLength(64))),
});

/** A page's state as text, which pages alone read. */
const viewText = z.string().check(z.maxLength(1 << 16));

export const rememberedView = z.strictObject({ view: viewText });

export const neighbourRequest = z.strictObject({
  /** Of the images of the folder in the order of their names: the one after this, or the one before. */
  which: z.enum(['next', 'previous']),
  /** How the page there is to begin. */
  view: viewText,
  cropMode: z.optional(cropMode),
});

export const editRequest = z.strictObject({
  /** Held against the picture where they are kept. */
  edits: editsOf(anyPicture),
  label: z.string().check(z.maxLength(200)),
});

export const travelChoice = z.enum(['undo', 'redo']);

export const rowChoice = z.enum(['previous', 'next', 'list']);

export const failureAction = z.enum(['retry', 'showOutput', 'openSettings', 'openAnyway', 'chooseModel', 'setUpCuda']);

const pageAnalysisRequest = z.strictObject({
  name: analysisName,
  /** Checked by {@link checkedAnalysis}, with the limits of the picture. */
  params: z.unknown(),
  progress: z.optional(count),
});

/** Everything that a page may send. */
export const fromPage: Contract = {
  sender: 'The page',
  answers: false,
  messages: new Map([
    carries(document.ready, restoredPage),
    carries(pageAnalysis, pageAnalysisRequest),
    carries(document.filtering, filter),
    carries(document.saveDefaults, filter),
    carries(document.saveExport, exportRequest),
    carriesNothing(document.models),
    carries(document.chooseModel, modelRequest),
    carriesValue(document.chooseCropMode, cropMode),
    carries(document.edit, editRequest),
    carriesValue(document.travel, travelChoice),
    carriesValue(document.chooseRow, rowChoice),
    carriesNothing(document.chooseOther),
    carries(document.openNeighbour, neighbourRequest),
    carries(document.rememberView, rememberedView),
    carriesValue(document.runAction, failureAction),
    carriesNothing(document.cancel),
  ]),
};

// From the page of a token data set to the extension host

/** Charts of the page, and its table. */
export const datasetExportKinds = [
  'table.csv',
  'tokens.svg',
  'tokens.csv',
  'bits.svg',
  'bits.csv',
  'psnr.svg',
  'psnr.csv',
  'rate-distortion.svg',
  'rate-distortion.csv',
] as const;

export const datasetExport = z.strictObject({ kind: z.enum(datasetExportKinds), bytes: file });

/** One of the budgets that were found. */
export const offeredBudget = z.enum(budgets);

/** Everything that the page of a token data set may send. Places of images are checked against the data set. */
export const fromDatasetPage: Contract = {
  sender: 'The page',
  answers: false,
  messages: new Map([
    carriesNothing(dataset.ready),
    carriesNothing(dataset.cancel),
    carriesNothing(dataset.resume),
    carriesValue(dataset.openImage, count),
    carriesValue(dataset.thumbnail, count),
    carries(dataset.saveDatasetExport, datasetExport),
    carriesNothing(dataset.measureCurves),
    carriesValue(dataset.findBudgets, z.number().check(z.positive())),
    carriesValue(dataset.saveBudget, offeredBudget),
    carriesValue(document.runAction, failureAction),
  ]),
};

/** More rows than anybody compares. */
const mostRows = 10_000;

export const tableExport = z.strictObject({
  kind: z.enum(tableKinds),
  /** Places of all rows, in the order in which they are shown. */
  order: list(count, mostRows),
});

/** Everything that the page of a table of models may send. Places of rows are checked against the table. */
export const fromModelTablePage: Contract = {
  sender: 'The page',
  answers: false,
  messages: new Map([
    carriesNothing(modelTable.ready),
    carriesNothing(modelTable.cancel),
    carriesNothing(modelTable.resume),
    carriesValue(modelTable.chooseReference, count),
    carries(modelTable.saveTable, tableExport),
  ]),
};

// From the extension host or the command line to the inference process

export const modelChoice = z.strictObject({
  /** Absolute folder of the bundle. */
  directory: name,
  /** Providers to try, in order. */
  providers: list(z.string().check(z.minLength(1), z.maxLength(64)), 16),
  /** Index of the GPU that CUDA uses; absent: 0. */
  cudaDevice: z.exactOptional(count),
  /** MiB that batches may take on the GPU; absent: no limit. */
  cudaMemoryLimit: z.exactOptional(z.number().check(z.positive())),
  /** Threads of a graph on the CPU; absent: ONNX Runtime's choice. */
  threads: z.exactOptional(positiveCount),
});

export const pictureHandle = z.strictObject({ picture: count });

export const openParams = z.strictObject({
  choice: modelChoice,
  /** The encoded image, as read from its file system. */
  file,
  /** Absent fields fall back to the manifest's defaults. */
  settings: z.partial(filter),
  /** Absent: the centre crop. */
  cropMode: z.exactOptional(cropMode),
  /** Images with more pixels are refused with `image-too-large` before they are decoded; absent means sharp's own limit. */
  maxMegapixels: z.exactOptional(z.number().check(z.positive())),
});

/** More images than any batch of a graph has. */
const mostPictures = 1024;

/** Pictures, cut to the centre, that go through the graphs together. */
export const picturesParams = z.strictObject({
  choice: modelChoice,
  /** Encoded files; as many as a batch has images are the fastest. */
  files: list(file, mostPictures),
  /** Absent fields fall back to the manifest's defaults. */
  settings: z.partial(filter),
  /** True: they are decoded again for PSNR and SSIM. */
  quality: z.boolean(),
  /** Images of every run of a graph. */
  batchSize: index(mostPictures + 1).check(z.positive()),
  /** Images with more pixels are answered with a failure; absent means sharp's own limit. */
  maxMegapixels: z.exactOptional(z.number().check(z.positive())),
});

/** Tokens whose picture is not at hand. Their contents are checked against the model. */
export const tokensToDecode = z.strictObject({
  /** Pixels that were tokenized, padding left out. */
  width: positiveCount,
  height: positiveCount,
  /** T·K codes, tile after tile. */
  globalCodes: typedArray<Int32Array>(Int32Array),
  /** N codes in raster order; those of dropped patches do not count. */
  patchCodes: typedArray<Int32Array>(Int32Array),
  /** N values, 1 = kept. */
  keep: typedArray<Uint8Array>(Uint8Array),
  /** Decides what stands in for dropped patches: their expectation given the global tokens, or given the kept patches too. */
  ranking: filterSchema.shape.ranking,
});

/** Tokens out of a file, to be looked at as those of a picture. */
export const openTokensParams = z.strictObject({
  choice: modelChoice,
  tokens: tokensToDecode,
  /** How their picture was cut. */
  cropMode,
  /** False where the codes of dropped patches are not in the file. */
  everyCode: z.boolean(),
  /** Those that they were filtered with. Absent fields fall back to the manifest's defaults. */
  settings: z.partial(filter),
  /** The encoded image that they were made of, where it is found. */
  original: z.exactOptional(file),
  /** A larger original is not decoded; absent means sharp's own limit. */
  maxMegapixels: z.exactOptional(z.number().check(z.positive())),
});

export const decodeTokensParams = z.strictObject({
  choice: modelChoice,
  pictures: list(tokensToDecode, mostPictures),
  /** Images of every run of a graph, for tokens of `tokenizePictures`; absent: those of one picture. */
  batchSize: z.exactOptional(index(mostPictures + 1).check(z.positive())),
});

/** Pixels along a side of a thumbnail. */
const mostThumbnailSide = 256;
const thumbnailSide = positiveCount.check(z.maximum(mostThumbnailSide));

export const thumbnailParams = z.strictObject({
  file,
  /** Of the picture to make; the centre of the image is cut to its shape. */
  width: thumbnailSide,
  height: thumbnailSide,
  maxMegapixels: z.exactOptional(z.number().check(z.positive())),
});

const grid = z.strictObject({ rows: positiveCount, columns: positiveCount });

const pictureShape = {
  sourceWidth: positiveCount,
  sourceHeight: positiveCount,
  format: text,
  page: z.optional(z.strictObject({ unit: z.enum(['page', 'frame']), number: positiveCount, count: positiveCount })),
  cropMode,
  crop: z.strictObject({ left: count, top: count, width: positiveCount, height: positiveCount }),
  width: positiveCount,
  height: positiveCount,
};
const geometryShape = { ...pictureShape, tiles: grid, grid, reduction: positiveCount };
const geometry: z.ZodMiniType<ShownGeometry> = z.strictObject(geometryShape);

const codes: z.ZodMiniType<CodeArray> = z.union([
  typedArray<Int32Array>(Int32Array),
  typedArray<BigInt64Array>(BigInt64Array),
  typedArray<Float32Array>(Float32Array),
]);

/** As many streams as a tokenizer of many scales has. */
const mostStreams = 1024;

const tokens: z.ZodMiniType<Tokens> = z.strictObject({
  globalCodes: codes,
  patchCodes: codes,
  otherCodes: list(codes, mostStreams),
  entropyBits: typedArray<Float32Array>(Float32Array),
  surprisalBits: typedArray<Float32Array>(Float32Array),
  expectedCodes: typedArray<Float32Array>(Float32Array),
  keep: z.optional(typedArray<Uint8Array>(Uint8Array)),
});

/**
 * Tokens of a picture: a value or a list of values for each of its patches or tiles, or none of a part that the model lacks. Estimates are
 * those of patches, or of as many tokens in each tile.
 */
function fits(
  image: TileLayout,
  { globalCodes, patchCodes, otherCodes, entropyBits, surprisalBits, expectedCodes, keep }: Tokens,
): boolean {
  const [patches, tiles] = [cells(image.grid), cells(image.tiles)];
  const estimated = entropyBits.length;
  return (
    patchCodes.length % patches === 0 &&
    [globalCodes, ...otherCodes].every(({ length }) => length % tiles === 0) &&
    (estimated === patches || estimated % tiles === 0) &&
    surprisalBits.length === estimated &&
    (keep === undefined || keep.length === estimated) &&
    expectedCodes.length % Math.max(1, estimated) === 0
  );
}
const misfit = 'the tokens are not those of the picture';

/** The text of a manifest. */
const manifest = z.string().check(z.maxLength(1 << 22));

export const knownPicture = z
  .strictObject({
    choice: modelChoice,
    /** Absent where the tokens were opened without the picture that they were made of. */
    file: z.exactOptional(file),
    image: geometry,
    tokens,
    /** Another model in the same folder would decode the tokens to another picture. */
    manifest,
    picture: count,
  })
  .check(z.refine(({ image, tokens }) => fits(image, tokens), misfit));

const provider = z.enum(providerNames);

export const failedProvider = z.strictObject({
  choice: modelChoice,
  provider,
  /** One sentence. */
  reason: text,
});

/** Data of an error after which another provider may answer. */
export const failureWithProvider = z.object({ failed: failedProvider });

/** A request as it is sent. */
const asked = <Params extends z.core.SomeType>(params: Params) =>
  z.strictObject({
    /** Of this request among all of its client's: notifications about it carry the same. */
    id: count,
    params,
  });

/** Everything that a client of the inference process may send. */
export const fromClient: Contract = {
  sender: 'The client',
  answers: true,
  messages: new Map([
    carries(engine.open, asked(z.extend(openParams, pictureHandle.shape))),
    carries(engine.openTokens, asked(z.extend(openTokensParams, pictureHandle.shape))),
    carries(engine.reopen, knownPicture),
    carries(engine.close, pictureHandle),
    // Checked by checkedAnalysis, with the limits of the picture.
    carries(engine.analysis, asked(z.extend(pictureHandle, { name: analysisName, params: z.unknown() }))),
    carries(engine.loadModel, asked(modelChoice)),
    carries(engine.prepareBatches, asked(modelChoice)),
    carries(engine.tokenizePictures, asked(picturesParams)),
    carries(engine.decodeTokens, asked(decodeTokensParams)),
    carries(engine.thumbnail, asked(thumbnailParams)),
    carries(engine.excludeProvider, failedProvider),
  ]),
};

// From the inference process to its client

const codebook: z.ZodMiniType<Codebook> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('fsq'), levels: list(positiveCount, 64, 1) }),
  z.strictObject({ kind: z.literal('vq'), size: positiveCount, table: z.optional(z.literal(true)) }),
  z.strictObject({ kind: z.literal('bits'), bits: positiveCount }),
  z.strictObject({ kind: z.literal('continuous'), dimensions: positiveCount }),
]);

const stream: z.ZodMiniType<Stream> = z.strictObject({
  name: text,
  role: z.enum(['global', 'patch', 'other']),
  shape: list(positiveCount, 2, 1),
  grid: z.nullable(grid),
  codebook,
  prefixSteps: count,
});

/** A step for every token of the longest sequence, and a few more. */
const mostSteps = 1 << 18;

const model: z.ZodMiniType<ModelDescription> = z.strictObject({
  name: text,
  version: text,
  hash: text,
  directory: name,
  imageSize: z.strictObject({ width: positiveCount, height: positiveCount }),
  resample: z.enum(resamplings),
  grid,
  globalTokens: count,
  patchTokens: count,
  filters: z.boolean(),
  streams: list(stream, mostStreams, 1),
  steps: list(z.strictObject({ tokens: count, bits: amount }), mostSteps, 1),
  expectedDimensions: count,
  givenOthers: z.boolean(),
  attentionLayers: count,
  attentionHeads: count,
  defaults: filter,
  referenceBudgetBits: amount,
});

const providerReport: z.ZodMiniType<ProviderReport> = z.strictObject({
  provider,
  failures: list(z.strictObject({ provider: text, reason: text }), 16),
});

const stage = z.enum(stages);
const timings: z.ZodMiniType<StageTimings> = z.partialRecord(stage, amount);
const progressShape = { stage, tiles: z.optional(z.strictObject({ done: count, total: count })) };

const loadedShape = { model, provider: providerReport };

/** The picture that is shown, with as many bytes as its size says. */
const shownImage: z.ZodMiniType<ShownImage> = z
  .strictObject({ ...geometryShape, rgb: typedArray<Uint8Array>(Uint8Array) })
  .check(
    z.refine(
      ({ width, height, reduction, rgb }) =>
        rgb.length === Math.ceil(width / reduction) * Math.ceil(height / reduction) * 3,
      'the pixels are not those of the picture',
    ),
  );

export const providerInUse = z.strictObject({
  choice: modelChoice,
  provider,
  /** True if sessions are opened on it; otherwise they run. */
  opening: z.boolean(),
});

/** Everything that the inference process may send by itself. */
export const fromProcess: Contract = {
  sender: 'The inference process',
  answers: true,
  messages: new Map([
    carries(engine.progress, z.strictObject({ ...progressShape, id: count })),
    carries(engine.pictured, z.strictObject({ image: shownImage, model, settings: filter, id: count })),
    carries(engine.loaded, z.strictObject({ ...loadedShape, choice: modelChoice })),
    carries(engine.noteProvider, z.strictObject({ inUse: z.optional(providerInUse) })),
  ]),
};

/** A picture of a batch, or why it has no answer. */
const orFailure = <Picture extends z.core.SomeType>(picture: Picture) =>
  list(z.union([picture, z.strictObject({ failure: text })]), mostPictures);

const tokenizedPicture: z.ZodMiniType<engine.TokenizedPicture> = z.strictObject({
  geometry: z.strictObject(pictureShape),
  tokens: z.strictObject({
    globalCodes: typedArray<Int32Array>(Int32Array),
    patchCodes: typedArray<Int32Array>(Int32Array),
    entropyBits: typedArray<Float32Array>(Float32Array),
    surprisalBits: typedArray<Float32Array>(Float32Array),
  }),
  lostBits: typedArray<Float32Array>(Float32Array),
  filtered: z.strictObject({
    keep: typedArray<Uint8Array>(Uint8Array),
    keptTokens: count,
    totalTokens: count,
    payloadBits: amount,
    maskBits: amount,
  }),
  quality: z.optional(z.strictObject({ psnr: z.nullable(z.number()), ssim: z.nullable(z.number()) })),
});

const decodedTokens: z.ZodMiniType<engine.DecodedTokens> = z
  .strictObject({ width: positiveCount, height: positiveCount, rgb: typedArray<Uint8Array>(Uint8Array) })
  .check(
    z.refine(({ width, height, rgb }) => rgb.length === width * height * 3, 'the pixels are not those of the picture'),
  );

const batchingShape = { batchSize: positiveCount, precision: z.enum(['float32', 'float16']) };

const openedTokens = z.strictObject({ ...loadedShape, tokens, manifest, timings });

const quality = { psnr: z.nullable(z.number()), ssim: z.nullable(z.number()) };
const measurementShape = {
  ...{ keptTokens: count, length: count, totalTokens: count, payloadBits: amount, maskBits: amount },
  ...quality,
};
const region = z.strictObject({ row: count, column: count, rows: positiveCount, columns: positiveCount });
const valuesOfRegion = 'the values are not those of the region';
const fileSize = { bytes: count, containerBytes: count };
const anchorShape = {
  codec,
  limitBytes: count,
  file: z.nullable(
    z.strictObject({
      ...{ ...fileSize, ...quality, quality: count },
      encoded: z.strictObject({ width: positiveCount, height: positiveCount }),
    }),
  ),
  smallest: z.strictObject(fileSize),
};

/** Entries of a table that are told of one code. */
const mostNearest = 64;

/**
 * Answers of the analyses, which the host relays to a page that trusts it. Large arrays are looked at by type and length alone. One that is
 * not named here is relayed as it is.
 */
const analysisAnswers = {
  rank: z
    .strictObject({
      order: typedArray<Uint32Array>(Uint32Array),
      cumulativeBits: typedArray<Float64Array>(Float64Array),
      totalBits: amount,
      priorities: z.optional(
        z.strictObject({
          priority: typedArray<Float64Array>(Float64Array),
          givenBits: typedArray<Float64Array>(Float64Array),
          round: typedArray<Uint8Array>(Uint8Array),
          savedDecibels: z.optional(typedArray<Float64Array>(Float64Array)),
        }),
      ),
    })
    .check(
      z.refine(
        ({ order, cumulativeBits }) => cumulativeBits.length === order.length + 1,
        'the bits are not those of the order',
      ),
      z.refine(
        ({ order, priorities = {} }) =>
          Object.values(priorities).every((values) => values === undefined || values.length === order.length),
        'the priorities are not those of the order',
      ),
    ),
  reconstruct: z.strictObject({
    ...measurementShape,
    settings: filter,
    keep: typedArray<Uint8Array>(Uint8Array),
    entropyBits: typedArray<Float32Array>(Float32Array),
    budgetBits: amount,
    lostBits: amount,
    actualLossRate: amount,
    rgb: typedArray<Uint8Array>(Uint8Array),
    timings,
  }),
  measure: list(z.strictObject({ ...measurementShape, lossRate: amount }), mostSteps),
  influence: z
    .strictObject({ tile: count, region, globalToken: count, change: typedArray<Float32Array>(Float32Array) })
    .check(z.refine(({ region, change }) => change.length === cells(region), valuesOfRegion)),
  attention: z
    .strictObject({
      ...{ tile: count, region, layer: z.union([z.literal('mean'), count]), head: z.union([z.literal('mean'), count]) },
      weights: typedArray<Float32Array>(Float32Array),
    })
    .check(z.refine(({ region, weights }) => weights.length % cells(region) === 0, valuesOfRegion)),
  nearest: list(list(z.strictObject({ code: count, distance: amount }), mostNearest), mostSteps),
  anchor: z.strictObject({ ...anchorShape, rgb: z.nullable(typedArray<Uint8Array>(Uint8Array)) }),
  sweep: file,
  anchorCurve: list(z.strictObject(anchorShape), mostLimits),
  draw: z
    .strictObject({ patches: typedArray<Uint32Array>(Uint32Array), codes: typedArray<Int32Array>(Int32Array) })
    .check(z.refine(({ patches, codes }) => patches.length === codes.length, 'the codes are not those of the patches')),
} satisfies Record<keyof Analyses, z.ZodMiniType>;

/** @throws TatokError bad-message for an answer of another shape than its analysis has. */
export function checkAnalysisAnswer(name: string, answer: unknown): void {
  const answers: Readonly<Record<string, z.ZodMiniType>> = analysisAnswers;
  const parsed = Object.hasOwn(answers, name) ? answers[name]?.safeParse(answer) : undefined;
  requireAnswer(name, parsed);
}

/** Answers of the process that its client itself reads, by method. */
const processAnswers = new Map<string, z.ZodMiniType>([
  [engine.loadModel.method, z.strictObject(loadedShape)],
  [engine.prepareBatches.method, z.strictObject({ ...loadedShape, ...batchingShape })],
  [engine.tokenizePictures.method, z.strictObject({ ...loadedShape, pictures: orFailure(tokenizedPicture) })],
  [engine.decodeTokens.method, z.strictObject({ ...loadedShape, pictures: orFailure(decodedTokens) })],
  [engine.thumbnail.method, z.strictObject({ jpeg: file })],
  [engine.open.method, openedTokens],
  [engine.openTokens.method, openedTokens],
]);

/** @throws TatokError bad-message for an answer of another shape. */
export function checkAnswer(method: string, answer: unknown): void {
  requireAnswer(method, processAnswers.get(method)?.safeParse(answer));
}

function requireAnswer(method: string, parsed: z.core.util.SafeParseResult<unknown> | undefined): void {
  if (parsed === undefined || parsed.success) return;
  throw new TatokError(
    'bad-message',
    `The inference process gave a wrong answer to ${method}: ${problemOf(parsed.error)}.`,
  );
}
