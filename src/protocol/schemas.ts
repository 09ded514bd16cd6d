/**
 * Schemas of every message, for the side that receives it: page to extension host, host (or command line) to inference process, and back from
 * the process, which decodes files of others in native code. The page trusts its host and does not import this file; the types of its
 * requests are derived from it.
 *
 * All are strict: no key more, numbers finite and within bounds, typed arrays of their kind and of the picture's size.
 */
import * as z from 'zod/mini';
import { TatokError } from '../method/errors';
import { mostFileBytes } from '../method/imageLimits';
import { filterSchema } from '../method/settings';
import {
  cropModes,
  providerNames,
  stages,
  type Grid,
  type ModelDescription,
  type ProviderReport,
  type ShownGeometry,
  type ShownImage,
  type StageTimings,
  type TileLayout,
  type Tokens,
} from '../method/types';
import { pageAnalysis, type Analyses, type AnalysisRequest } from './analyses';
import { carries, carriesNothing, carriesValue, problemOf, type Contract } from './contract';
import * as document from './document';
import * as engine from './engineMessages';
import { dataKinds, pictureKinds, comparisonKind } from './exports';

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
function typedArray<T extends Uint8Array | Int32Array | Float32Array>(kind: new () => T): z.ZodMiniType<T> {
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

/** What each of the `Analyses` is asked with. */
export const analysisRequests = {
  rank: () => filter,
  reconstruct: () => filter,
  measure: ({ patches }: PictureLimits) =>
    z.strictObject({
      /** Their ε is not used. */
      settings: filter,
      /** Measured as one batch; there are no more kept sets than that. */
      lossRates: list(filterSchema.shape.lossRate, patches + 1, 1),
    }),
  influence: ({ tiles, globalTokens }: PictureLimits) =>
    z.strictObject({
      settings: filter,
      /** Index of the tile, 0 unless the picture is tiled. */
      tile: index(tiles),
      globalToken: index(globalTokens),
    }),
  attention: ({ tiles, layers, heads }: PictureLimits) =>
    z.strictObject({
      /** Index of the tile, 0 unless the picture is tiled. */
      tile: index(tiles),
      layer: meanOrIndex(layers),
      head: meanOrIndex(heads),
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
});

export const exportRequest = z.union([
  z.strictObject({ kind: z.enum(dataKinds), settings: filter }),
  z.strictObject({ kind: z.enum(pictureKinds), bytes: file }),
  z.strictObject({ kind: z.literal(comparisonKind), bytes: file }),
]);

export const modelRequest = z.strictObject({
  /** One of those that the host offered; null: the host asks the user for a folder. */
  model: z.nullable(z.string().check(z.maxLength(64))),
});

export const failureAction = z.enum(['retry', 'showOutput', 'openSettings', 'openAnyway']);

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
    carriesValue(document.runAction, failureAction),
    carriesNothing(document.cancel),
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

const grid = z.strictObject({ rows: positiveCount, columns: positiveCount });

const geometryShape = {
  sourceWidth: positiveCount,
  sourceHeight: positiveCount,
  format: text,
  page: z.optional(z.strictObject({ unit: z.enum(['page', 'frame']), number: positiveCount, count: positiveCount })),
  cropMode,
  crop: z.strictObject({ left: count, top: count, width: positiveCount, height: positiveCount }),
  width: positiveCount,
  height: positiveCount,
  tiles: grid,
  grid,
  reduction: positiveCount,
};
const geometry: z.ZodMiniType<ShownGeometry> = z.strictObject(geometryShape);

const tokens: z.ZodMiniType<Tokens> = z.strictObject({
  globalCodes: typedArray<Int32Array>(Int32Array),
  patchCodes: typedArray<Int32Array>(Int32Array),
  entropyBits: typedArray<Float32Array>(Float32Array),
  surprisalBits: typedArray<Float32Array>(Float32Array),
  expectedCodes: typedArray<Float32Array>(Float32Array),
});

/** Tokens of a picture: a value or a list of values for each of its patches, or none of a part that the model lacks. */
function fits(
  image: TileLayout,
  { globalCodes, patchCodes, entropyBits, surprisalBits, expectedCodes }: Tokens,
): boolean {
  const patches = cells(image.grid);
  const one = [patchCodes, entropyBits, surprisalBits].every(({ length }) => length === 0 || length === patches);
  return one && expectedCodes.length % patches === 0 && globalCodes.length % cells(image.tiles) === 0;
}
const misfit = 'the tokens are not those of the picture';

/** The text of a manifest. */
const manifest = z.string().check(z.maxLength(1 << 22));

export const knownPicture = z
  .strictObject({
    choice: modelChoice,
    file,
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
    carries(engine.reopen, knownPicture),
    carries(engine.close, pictureHandle),
    // Checked by checkedAnalysis, with the limits of the picture.
    carries(engine.analysis, asked(z.extend(pictureHandle, { name: analysisName, params: z.unknown() }))),
    carries(engine.loadModel, asked(modelChoice)),
    carries(engine.excludeProvider, failedProvider),
  ]),
};

// From the inference process to its client

const model: z.ZodMiniType<ModelDescription> = z.strictObject({
  name: text,
  version: text,
  directory: name,
  imageSize: positiveCount,
  grid,
  globalTokens: count,
  patchTokens: count,
  filters: z.boolean(),
  codebookSize: positiveCount,
  levels: list(positiveCount, 64, 1),
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

/** Answers of the process that its client itself reads, by method; those of analyses are relayed. */
const processAnswers = new Map<string, z.ZodMiniType>([
  [engine.loadModel.method, z.strictObject(loadedShape)],
  [engine.open.method, z.strictObject({ ...loadedShape, tokens, manifest, timings })],
]);

/** @throws TatokError bad-message for an answer of another shape. */
export function checkAnswer(method: string, answer: unknown): void {
  const parsed = processAnswers.get(method)?.safeParse(answer);
  if (parsed === undefined || parsed.success) return;
  throw new TatokError(
    'bad-message',
    `The inference process gave a wrong answer to ${method}: ${problemOf(parsed.error)}.`,
  );
}
