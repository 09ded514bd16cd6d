/**
 * Format 2 of manifest.json. `models/manifest.schema.json`, which is generated from the definitions of `tatok.bundle.format`, describes the
 * same for editors and other programs; tests hold the three to the same verdicts.
 */
import { z } from 'zod';
import { codebookSize } from '../method/codebook';
import { filterRecordSchema } from '../method/settings';
import { resamplings } from '../method/types';

export const count = z.int().positive();

const text = z.string().min(1);

/** What may be absent, or null. */
function optional<Schema extends z.core.SomeType>(schema: Schema) {
  return z.pipe(
    z.nullish(schema),
    z.transform((value) => value ?? undefined),
  );
}

/** A file of the bundle's own folder: no path can lead out of it. */
export const fileName = z.string().regex(/^[^/\\:]+$/, 'must be the name of a file in the bundle’s folder');

/** Without an entropy graph no token can be dropped. */
const graphFiles = z.object({ encoder: fileName, entropy: optional(fileName), decoder: fileName });

/** `tokenizer`: the encoder, and the entropy model with no token visible, in one. */
const variantFiles = graphFiles.extend({ tokenizer: optional(fileName) });

export const fileEntry = z.object({
  path: fileName,
  bytes: count,
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
});

const side = z.int().min(16).max(4096);

const imageSchema = z
  .object({ width: side, height: side, patch: count, resample: z.enum(resamplings).default('lanczos3') })
  .superRefine(({ width, height, patch }, context) => {
    if (width % patch === 0 && height % patch === 0) return;
    context.addIssue({ code: 'custom', message: `patches of ${patch} pixels do not tile ${width}×${height} pixels` });
  });

const streamName = z
  .string()
  .regex(/^[a-z][a-z0-9]*(_[a-z0-9]+)*_codes$/, 'must be words of small letters and end in _codes');

const sequenceStream = z.object({
  name: streamName,
  kind: z.literal('sequence'),
  tokens: count.max(2 ** 16),
  codebook: text,
  prefix: z.boolean().default(false),
});

const gridStream = z.object({
  name: streamName,
  kind: z.literal('grid'),
  rows: count,
  columns: count,
  codebook: text,
  depth: count.max(256).default(1),
  prefix: z.boolean().default(false),
});

/** Codes are numbers of 62 bits at most. */
const mostCodes = 2 ** 62;

const fsqCodebook = z
  .object({ kind: z.literal('fsq'), levels: z.array(z.int().min(2)).min(1) })
  .refine((codebook) => codebookSize(codebook) <= mostCodes, 'its levels make more than 2^62 codes');

const vqCodebook = z
  .object({
    kind: z.literal('vq'),
    size: z
      .int()
      .min(2)
      .max(2 ** 31),
    dimensions: optional(count),
    file: optional(fileName),
  })
  .refine(
    ({ dimensions, file }) => (dimensions === undefined) === (file === undefined),
    'dimensions and file go together: give both or neither',
  );

const bitsCodebook = z.object({ kind: z.literal('bits'), bits: z.int().min(1).max(62) });

const continuousLatents = z.object({ kind: z.literal('continuous'), dimensions: count });

/** The settings of a filter, where rounds may be null as all that may be absent. */
const defaultsSchema = z.preprocess(
  (value) =>
    typeof value === 'object' && value !== null && 'rankingRounds' in value && value.rankingRounds === null
      ? { ...value, rankingRounds: undefined }
      : value,
  filterRecordSchema,
);

export const formatTwoSchema = z
  .object({
    format: z.literal('tatok-bundle'),
    formatVersion: z.literal(2),
    name: text,
    version: text,
    description: z.string().optional(),
    licence: text,
    image: imageSchema,
    streams: z.array(z.discriminatedUnion('kind', [sequenceStream, gridStream])).min(1),
    codebooks: z.record(
      z.string(),
      z.discriminatedUnion('kind', [fsqCodebook, vqCodebook, bitsCodebook, continuousLatents]),
    ),
    expected: optional(
      z.object({
        dimensions: count,
        stream: optional(streamName),
        /** What a token's entropy is given where nothing was dropped: the other streams, or the other tokens of its own. */
        given: z.enum(['streams', 'others']).default('streams'),
      }),
    ),
    attention: optional(z.object({ layers: count, heads: count })),
    graphs: graphFiles,
    /** Graphs that compute the same, made for one execution provider; their encoder may leave attention out. */
    variants: z.record(z.string(), variantFiles).default({}),
    defaults: optional(defaultsSchema),
    referenceBudgetBits: optional(z.number().nonnegative()),
    /** Where imported weights come from. */
    source: optional(z.object({ kind: text, repository: text, commit: text, checkpoint: fileEntry, weights: text })),
    files: z.array(fileEntry),
  })
  .superRefine((manifest, context) => {
    for (const [path, message] of contradictions(manifest)) {
      context.addIssue({ code: 'custom', path: [path], message });
    }
  });

/** A manifest in the terms of format 2, whichever its own is. */
export type Manifest = Omit<z.infer<typeof formatTwoSchema>, 'formatVersion'>;
export type ManifestStream = Manifest['streams'][number];

/** Files of all graphs: the plain ones, and those of providers. */
export function graphFilesOf({ graphs, variants }: Pick<Manifest, 'graphs' | 'variants'>): string[] {
  return [graphs, ...Object.values(variants)].flatMap((each) =>
    Object.values(each).filter((file) => file !== undefined),
  );
}

/** The stream whose tokens the entropy graph estimates and the decoder can do without. */
export function estimatedStream({
  expected,
  streams,
}: Pick<Manifest, 'expected' | 'streams'>): ManifestStream | undefined {
  if (expected === undefined) return undefined;
  return (
    streams.find(({ name }) => name === expected.stream) ??
    streams.findLast(({ kind }) => kind === 'grid') ??
    streams.at(-1)
  );
}

/** Places and reasons; those of Python's `Manifest._contradictions`. */
function* contradictions(manifest: Manifest): Generator<readonly [path: string, message: string]> {
  const { image, streams, codebooks, expected, attention, graphs, variants, files } = manifest;
  const names = streams.map(({ name }) => name);
  if (new Set(names).size < names.length) yield ['streams', 'two have the same name'];
  for (const { name, codebook } of streams) {
    if (!Object.hasOwn(codebooks, codebook)) {
      yield ['streams', `${name} names the codebook ${codebook}, which is not among codebooks`];
    }
  }
  const grids = streams.filter((stream) => stream.kind === 'grid');
  const [rows, columns] = [image.height / image.patch, image.width / image.patch];
  if (grids.length > 0 && !grids.some((grid) => grid.rows === rows && grid.columns === columns)) {
    yield ['streams', `no grid has the ${rows} rows and ${columns} columns of the image’s patches`];
  }
  if (grids.some((grid) => grid.rows > rows || grid.columns > columns)) {
    yield ['streams', `a grid is finer than the image’s ${rows}×${columns} patches`];
  }
  if (expected?.stream !== undefined && !names.includes(expected.stream)) {
    yield ['expected', `there is no stream ${expected.stream}`];
  }
  if (attention !== undefined && grids.length === streams.length) {
    yield ['attention', 'is that of a sequence’s tokens, and no stream is a sequence'];
  }
  if ((graphs.entropy === undefined) !== (expected === undefined)) {
    yield ['expected', 'goes with an entropy graph: give both or neither'];
  }
  if (graphs.entropy !== undefined && (manifest.defaults === undefined || manifest.referenceBudgetBits === undefined)) {
    yield ['defaults', 'and referenceBudgetBits are needed with an entropy graph'];
  }
  const estimated = estimatedStream(manifest);
  if (estimated !== undefined && codebooks[estimated.codebook]?.kind === 'continuous') {
    yield ['expected', `${estimated.name} has no codes whose entropy could be estimated`];
  }
  for (const [provider, variant] of Object.entries(variants)) {
    if ((variant.entropy === undefined) !== (graphs.entropy === undefined)) {
      yield [`variants.${provider}`, 'must have the graphs of the others'];
    }
    if (variant.tokenizer !== undefined && graphs.entropy === undefined) {
      yield [`variants.${provider}`, 'need no tokenizer without an entropy graph'];
    }
  }
  const tables = Object.values(codebooks).flatMap((each) =>
    each.kind === 'vq' && each.file !== undefined ? each.file : [],
  );
  for (const file of new Set([...graphFilesOf(manifest), ...tables])) {
    if (!files.some(({ path }) => path === file)) yield ['files', `must list ${file}`];
  }
}
