/** manifest.json of a model bundle: the contract between training and inspector. */
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { codebookSize } from '../method/codebook';
import { TatokError } from '../method/errors';
import { FileTooLarge, NotAFile, readRegular } from './regularFile';
import { filterRecordSchema, settingsOf } from '../method/settings';
import type { ModelDescription } from '../method/types';

/** The version of the bundle contract that this inspector reads. */
export const formatVersion = 1;

const count = z.int().positive();

/** A file of the bundle's own folder: no path can lead out of it. */
const fileName = z.string().regex(/^[^/\\:]+$/, 'must be the name of a file in the bundle’s folder');

/** Without an entropy graph no token can be dropped. */
const graphFiles = z.object({ encoder: fileName, entropy: fileName.optional(), decoder: fileName });

/** `tokenizer`: the encoder, and the entropy model with no patch visible, in one. */
const variantFiles = graphFiles.extend({ tokenizer: fileName.optional() });

const manifestSchema = z
  .object({
    format: z.literal('tatok-bundle'),
    formatVersion: z.literal(formatVersion),
    name: z.string().min(1),
    version: z.string().min(1),
    image: z.object({ size: count.min(16).max(4096), patch: count }),
    grid: z.object({ rows: count, columns: count }),
    /** K; 0 for a tokenizer of patch tokens alone. */
    globalTokens: z.int().nonnegative(),
    /** Absent: the cells of the grid; 0 for a tokenizer of global tokens alone. */
    patchTokens: z.int().nonnegative().optional(),
    codebook: z.object({ size: count.max(2 ** 24), levels: z.array(count.min(2)).min(1) }),
    attention: z.object({ layers: count, heads: count }),
    defaults: filterRecordSchema,
    referenceBudgetBits: z.number().nonnegative(),
    graphs: graphFiles,
    /** Graphs that compute the same, made for one execution provider; their encoder may leave attention out. */
    variants: z.record(z.string(), variantFiles).default({}),
    files: z.array(
      z.object({
        path: fileName,
        bytes: count,
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
      }),
    ),
  })
  .superRefine((manifest, context) => {
    const { image, grid, globalTokens, codebook, graphs, variants, files } = manifest;
    const patchTokens = patchTokensOf(manifest);
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (grid.rows * image.patch !== image.size || grid.columns * image.patch !== image.size) {
      refuse(
        'grid',
        `must be ${image.size / image.patch} rows and columns of ${image.patch}-pixel patches in ${image.size} pixels`,
      );
    }
    if (codebookSize(codebook.levels) !== codebook.size) refuse('codebook', 'size must be the product of its levels');
    if (patchTokens !== 0 && patchTokens !== grid.rows * grid.columns) {
      refuse('patchTokens', `must be 0 or the ${grid.rows * grid.columns} cells of the grid`);
    }
    if (globalTokens + patchTokens === 0) refuse('globalTokens', 'must not be 0 without patch tokens');
    if (patchTokens === 0 && graphs.entropy !== undefined) refuse('graphs', 'need no entropy without patch tokens');
    for (const [provider, variant] of Object.entries(variants)) {
      if ((variant.entropy === undefined) !== (graphs.entropy === undefined)) {
        refuse(`variants.${provider}`, 'must have the graphs of the others');
      }
      if (variant.tokenizer !== undefined && graphs.entropy === undefined) {
        refuse(`variants.${provider}`, 'need no tokenizer without an entropy graph');
      }
    }
    for (const graph of graphFilesOf(manifest)) {
      if (!files.some(({ path }) => path === graph)) refuse('files', `must list ${graph}`);
    }
  });

export type Manifest = z.infer<typeof manifestSchema>;

/** Files of all graphs: the plain ones, and those of providers. */
export function graphFilesOf({ graphs, variants }: Pick<Manifest, 'graphs' | 'variants'>): string[] {
  return [graphs, ...Object.values(variants)].flatMap((each) =>
    Object.values(each).filter((file) => file !== undefined),
  );
}

function patchTokensOf({ patchTokens, grid }: Pick<Manifest, 'patchTokens' | 'grid'>): number {
  return patchTokens ?? grid.rows * grid.columns;
}

/** A bundle whose manifest is valid; its files are checked by `verifyFiles`. */
export interface Bundle {
  readonly model: ModelDescription;
  readonly manifest: Manifest;
}

/**
 * Reads and validates a bundle's manifest. Keys that the contract does not name are ignored.
 *
 * @throws TatokError model-missing, model-invalid or model-incompatible (another format version).
 */
export async function readBundle(directory: string): Promise<Bundle> {
  const manifest = parseManifest(await readManifest(directory), manifestPath(directory));
  const { grid, globalTokens, codebook, attention, defaults, referenceBudgetBits, name, version } = manifest;
  return {
    manifest,
    model: {
      name,
      version,
      directory: resolve(directory),
      imageSize: manifest.image.size,
      grid,
      globalTokens,
      patchTokens: patchTokensOf(manifest),
      filters: manifest.graphs.entropy !== undefined,
      codebookSize: codebook.size,
      levels: codebook.levels,
      attentionLayers: attention.layers,
      attentionHeads: attention.heads,
      defaults: settingsOf(defaults),
      referenceBudgetBits,
    },
  };
}

/**
 * Validates the text of a manifest; `path` is for messages only.
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
  if (header.success && header.data.formatVersion !== formatVersion) {
    throw new TatokError(
      'model-incompatible',
      `${path} has format version ${header.data.formatVersion}, this inspector reads version ${formatVersion}.`,
      'Use a matching version of TaTok Inspector, or export the model again.',
    );
  }
  const result = manifestSchema.safeParse(json);
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
 * The text of a bundle's manifest, without the byte order mark that some editors begin it with.
 *
 * @throws TatokError model-missing, or model-invalid for what cannot be one.
 */
export async function readManifest(directory: string): Promise<string> {
  const path = manifestPath(directory);
  try {
    return new TextDecoder().decode(await readRegular(path, mostManifestBytes));
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
