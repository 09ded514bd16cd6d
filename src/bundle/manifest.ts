/** A bundle's manifest.json, of any format version, and the model that it describes. */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { TatokError } from '../method/errors';
import { nothingDropped, settingsOf } from '../method/settings';
import { prefixSteps } from '../method/streams';
import type { Codebook, ModelDescription, Stream } from '../method/types';
import { formatOneSchema, fromFormatOne } from './formatOne';
import { estimatedStream, formatTwoSchema, type Manifest, type ManifestStream } from './formatTwo';
import { FileTooLarge, NotAFile, readRegular } from './regularFile';

/** A bundle whose manifest is valid; its files are checked by `verifyFiles`. */
export interface Bundle {
  readonly model: ModelDescription;
  readonly manifest: Manifest;
}

/**
 * Reads and validates a bundle's manifest. Keys that the contract does not name are ignored.
 *
 * @throws TatokError model-missing, model-invalid or model-incompatible (another format version, or a tokenizer of a kind that cannot be
 *   shown).
 */
export async function readBundle(directory: string): Promise<Bundle> {
  const bytes = await readManifest(directory);
  // Editors may begin it with a byte order mark, which the decoder leaves out.
  const manifest = parseManifest(new TextDecoder().decode(bytes), manifestPath(directory));
  const hash = createHash('sha256').update(bytes).digest('hex');
  return { manifest, model: { ...describeModel(manifest, directory), hash } };
}

/**
 * The model of a manifest. One stream has a token for every patch and one sequence is that of global tokens; those whose tokens can be
 * dropped come first. All others are passed from encoder to decoder.
 *
 * @throws TatokError model-incompatible where tokens are dropped that are neither.
 */
function describeModel(manifest: Manifest, directory: string): Omit<ModelDescription, 'hash'> {
  const { name, version, image, attention, defaults, referenceBudgetBits, expected, streams } = manifest;
  const grid = { rows: image.height / image.patch, columns: image.width / image.patch };
  const isWhole = (stream: ManifestStream) =>
    stream.kind === 'grid' && stream.rows === grid.rows && stream.columns === grid.columns;
  const estimated = estimatedStream(manifest);
  const patches = estimated !== undefined && isWhole(estimated) ? estimated : streams.findLast(isWhole);
  const firstSequence = streams.find(({ kind }) => kind === 'sequence');
  const globals = estimated?.kind === 'sequence' ? estimated : firstSequence;
  if (estimated !== undefined && estimated !== (patches ?? globals)) {
    throw new TatokError(
      'model-incompatible',
      `${manifestPath(directory)} has an entropy model of ${estimated.name}, and only tokens of the finest grid can be dropped.`,
      'Name the stream of that grid under “expected”.',
    );
  }
  const described = streams.map((stream): Stream => {
    const role = stream === patches ? 'patch' : stream === globals ? 'global' : 'other';
    return describeStream(stream, role, codebookNamed(stream.codebook, manifest));
  });
  const attends = attention !== undefined && globals === firstSequence;
  return {
    name,
    version,
    directory: resolve(directory),
    imageSize: { width: image.width, height: image.height },
    resample: image.resample,
    grid,
    streams: described,
    globalTokens: globals?.kind === 'sequence' ? globals.tokens : 0,
    patchTokens: patches === undefined ? 0 : grid.rows * grid.columns,
    filters: estimated !== undefined,
    givenOthers: expected?.given === 'others',
    steps: prefixSteps(described, estimated !== undefined),
    expectedDimensions: expected?.dimensions ?? 0,
    attentionLayers: attends ? attention.layers : 0,
    attentionHeads: attends ? attention.heads : 0,
    defaults: defaults === undefined ? nothingDropped : settingsOf(defaults),
    referenceBudgetBits: referenceBudgetBits ?? 0,
  };
}

function describeStream(stream: ManifestStream, role: Stream['role'], codebook: Codebook): Stream {
  const { name, prefix } = stream;
  if (stream.kind === 'sequence') {
    const { tokens } = stream;
    return { name, role, shape: [tokens], grid: null, codebook, prefixSteps: prefix ? tokens : 0 };
  }
  const { rows, columns, depth } = stream;
  const cells = rows * columns;
  const shape = depth === 1 ? [cells] : [cells, depth];
  return { name, role, shape, grid: { rows, columns }, codebook, prefixSteps: prefix ? depth : 0 };
}

function codebookNamed(name: string, { codebooks }: Manifest): Codebook {
  const codebook = codebooks[name];
  if (codebook === undefined) throw new RangeError(`there is no codebook ${name}`);
  // The table of the vectors stays in the bundle.
  if (codebook.kind !== 'vq') return codebook;
  return { kind: 'vq', size: codebook.size, ...(codebook.file !== undefined && { table: true }) };
}

const readableVersions = [1, 2];

/**
 * Validates the text of a manifest, in the terms of format 2; `path` is for messages only.
 *
 * @throws TatokError model-invalid or model-incompatible.
 */
export function parseManifest(text: string, path: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TatokError('model-invalid', `${path} is not valid JSON.`, chooseModel, { cause: error });
  }
  const header = z.object({ format: z.literal('tatok-bundle'), formatVersion: z.int() }).safeParse(json);
  const formatVersion = header.data?.formatVersion ?? 2;
  if (!readableVersions.includes(formatVersion)) {
    throw new TatokError(
      'model-incompatible',
      `${path} has format version ${formatVersion}, this inspector reads versions 1 and 2.`,
      'Use a matching version of TaTok Inspector, or export the model again.',
    );
  }
  const manifest = formatVersion === 1 ? fromFormatOne(valid(formatOneSchema.safeParse(json), path)) : json;
  return valid(formatTwoSchema.safeParse(manifest), path);
}

/** @throws TatokError model-invalid, of the first fault. */
function valid<Data>(result: z.ZodSafeParseResult<Data>, path: string): Data {
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? 'it' : issue.path.join('.');
  // Some reasons are sentences already, some quote names of any length.
  const reason = short(issue?.message ?? 'invalid').replace(/\.$/, '');
  throw new TatokError('model-invalid', `${path} is not a TaTok manifest: ${short(where)}: ${reason}.`, chooseModel);
}

function short(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

const chooseModel = 'Choose the folder of a TaTok bundle, with manifest.json and its ONNX graphs.';

function manifestPath(directory: string): string {
  return join(directory, 'manifest.json');
}

/** Those of this project have some kilobytes, most of it measured figures. */
const mostManifestBytes = 1 << 20;

/**
 * The bytes of a bundle's manifest.
 *
 * @throws TatokError model-missing, or model-invalid for what cannot be one.
 */
export async function readManifest(directory: string): Promise<Uint8Array> {
  const path = manifestPath(directory);
  try {
    return await readRegular(path, mostManifestBytes);
  } catch (error) {
    if (error instanceof NotAFile) {
      throw new TatokError('model-invalid', `${path} is a pipe or a device instead of a file.`, chooseModel);
    }
    if (error instanceof FileTooLarge) {
      throw new TatokError('model-invalid', `${path} is no manifest: it has ${error.bytes} bytes.`, chooseModel);
    }
    throw new TatokError('model-missing', `There is no model: ${path} cannot be read.`, chooseModel, { cause: error });
  }
}
