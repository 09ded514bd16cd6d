/** The tokens of one picture as a file, `.tokens.json` or `.npz`: one schema for both, written and read. */
import { z } from 'zod';
import { codebookSize } from '../method/codebook';
import {
  force,
  noEdits,
  ownCode,
  replaceCodes,
  withForced,
  withReplaced,
  type Edits,
  type OwnCodes,
} from '../method/edits';
import { TatokError } from '../method/errors';
import { hasPart, requirePlainTokens } from '../method/parts';
import { filterRecordSchema, recordOf, resolveSettings, settingsOf } from '../method/settings';
import { mainStream, takesLength } from '../method/streams';
import {
  cropModes,
  type CodeArray,
  type CropMode,
  type FilterSettings,
  type ModelDescription,
  type Ranking,
  type RankingCriterion,
  type Stream,
  type Tokenization,
} from '../method/types';

/** A tokenization and the model that made it: what exports are made of. */
export interface ExportedTokenization extends Tokenization {
  readonly model: ModelDescription;
  /** The order of dropping; undefined where nothing can be dropped. */
  readonly ranking: Ranking | undefined;
  /** Experiments that the reconstruction has in it; tokens and ranking are the model's own. */
  readonly edits?: Edits | undefined;
}

/** The version of the files that are written. */
export const tokenFileVersion = 1;

const index = z.int().nonnegative();
/** Codes are kept in 32 bits with a sign: a larger one would become another. */
const code = index.max(0x7fffffff);
const count = z.int().positive();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');

/** What was changed by hand in codes and kept set, which have the changes already. */
const editsSchema = z.object({
  /** Patches that are kept, or dropped, whatever the filter says. */
  forcedKept: z.array(index),
  forcedDropped: z.array(index),
  /** Codes in place of the model's own, `original`. */
  replaced: z.array(z.object({ token: z.enum(['global', 'patch']), index, original: index })),
});
export type TokenEdits = z.infer<typeof editsSchema>;

const unedited: TokenEdits = { forcedKept: [], forcedDropped: [], replaced: [] };

/**
 * A token file. Codes and kept mask are those that are decoded. Tokens that the model does not have are left out, and so are kept mask and
 * settings where nothing can be dropped.
 */
const tokenFileSchema = z.object({
  format: z.literal('tatok-token-file'),
  version: z.literal(tokenFileVersion),
  /** `hash`: SHA-256 of the bytes of the bundle's manifest. */
  model: z.object({ name: z.string(), version: z.string(), hash: sha256 }),
  cropMode: z.enum(cropModes),
  /** Pixels that were tokenized, padding left out. */
  width: count,
  height: count,
  grid: z.object({ rows: count, columns: count }),
  settings: z.optional(filterRecordSchema),
  /** Codes of 64 bits are text, latents numbers: such files are written, and not read. */
  globalCodes: z.array(code).optional(),
  patchCodes: z.array(code).optional(),
  keep: z.array(z.union([z.literal(0), z.literal(1)])).optional(),
  edits: editsSchema.default(unedited),
});

/** Files before version 1 had no format, no hash and no settings. */
const earlierSchema = tokenFileSchema
  .omit({ format: true, version: true })
  .extend({ model: z.object({ name: z.string(), version: z.string() }) });

/** Files of every kind of tokens are written; those of {@link requirePlainTokens} are read. */
type WrittenFile = Omit<z.input<typeof tokenFileSchema>, 'globalCodes' | 'patchCodes'> & {
  readonly globalCodes?: readonly (number | string)[];
  readonly patchCodes?: readonly (number | string)[];
  readonly otherCodes?: readonly (readonly (number | string)[])[];
  /** The leading steps that are kept, where ε is a length. */
  readonly length?: number;
};

/** The token sequence: enough to decode it again. The command line's `.tokens.json`. */
export function tokensRecord(
  tokenization: Pick<ExportedTokenization, 'image' | 'model' | 'tokens' | 'reconstruction' | 'edits'>,
): WrittenFile {
  const { model, reconstruction, edits = noEdits } = tokenization;
  const tokens = withReplaced(tokenization.tokens, edits);
  return {
    ...tokenFileHeader(tokenization),
    ...(model.globalTokens > 0 && { globalCodes: codeList(tokens.globalCodes) }),
    ...(model.patchTokens > 0 && { patchCodes: codeList(tokens.patchCodes) }),
    ...(tokens.otherCodes.length > 0 && { otherCodes: tokens.otherCodes.map(codeList) }),
    ...(takesLength(model) && { length: reconstruction.length }),
    ...(model.filters && { keep: Array.from(reconstruction.keep, (kept) => (kept === 1 ? 1 : 0)) }),
  };
}

/** All of a token file but its codes and kept mask, which NumPy has as arrays. */
export function tokenFileHeader({
  image,
  model,
  reconstruction,
  tokens,
  edits = noEdits,
}: Pick<ExportedTokenization, 'image' | 'model' | 'reconstruction' | 'tokens' | 'edits'>): Omit<
  WrittenFile,
  'globalCodes' | 'patchCodes' | 'keep'
> {
  const { name, version, hash } = model;
  const { cropMode, width, height, grid } = image;
  return {
    format: 'tatok-token-file',
    version: tokenFileVersion,
    model: { name, version, hash },
    cropMode,
    width,
    height,
    grid,
    ...(hasPart(model, 'rates') && { settings: recordOf(reconstruction.settings) }),
    edits: editsRecord(edits, tokens),
  };
}

/** Edits as a token file has them: beside its codes, which have the changes already, the model's own. */
export function editsRecord({ forcedKept, forcedDropped, replaced }: Edits, own: OwnCodes): TokenEdits {
  return {
    forcedKept: [...forcedKept],
    forcedDropped: [...forcedDropped],
    replaced: replaced.map(({ token, index: at }) => ({ token, index: at, original: ownCode(own, token, at) })),
  };
}

/** Settings that a reader needs to compute an exported file again; without those of a filter that the model does not have. */
export function exportedSettings({ model, image, reconstruction: r }: ExportedTokenization): Record<string, unknown> {
  const { name, version, hash } = model;
  return {
    model: { name, version, hash, ...codebookRecord(model) },
    source: { width: image.sourceWidth, height: image.sourceHeight, crop: image.crop },
    ...(hasPart(model, 'rates') && { settings: recordOf(r.settings), budgetBits: r.budgetBits, lostBits: r.lostBits }),
    psnr: r.psnr,
    ssim: r.ssim,
  };
}

/** Codes for JSON, which has no integers of 64 bits for every reader: those are text. */
export function codeList(codes: CodeArray): (number | string)[] {
  return Array.from<number | bigint, number | string>(codes, (code) =>
    typeof code === 'bigint' ? String(code) : code,
  );
}

/** A stream for JSON. */
export function streamRecord({ name, role, shape, grid, codebook, prefixSteps }: Stream): Record<string, unknown> {
  return { name, role, shape, ...(grid && { grid }), codebook, prefix: prefixSteps > 0 };
}

/** The codebook of the patches, or else of the sequence, for JSON: V, and levels where it has such. */
export function codebookRecord(model: Pick<ModelDescription, 'streams'>): Record<string, unknown> {
  const { codebook } = mainStream(model);
  if (codebook.kind === 'continuous') return { codebook };
  const size = codebookSize(codebook);
  if (codebook.kind === 'fsq') return { codebookSize: size, levels: codebook.levels };
  return { codebookSize: size, codebook };
}

/** Tokens as the decoder takes them. */
export interface DecodableTokens {
  readonly width: number;
  readonly height: number;
  readonly globalCodes: Int32Array;
  readonly patchCodes: Int32Array;
  /** One value per patch token. */
  readonly keep: Uint8Array;
  readonly ranking: RankingCriterion;
}

/** A token file that was held against the model that is asked for. */
export interface TokenFile {
  readonly tokens: DecodableTokens;
  readonly cropMode: CropMode;
  /** Of the filter, with the model's own for what an old file does not say. */
  readonly settings: FilterSettings;
  readonly edits: TokenEdits;
  /** One sentence on what an old file does not say, and what was taken for it. */
  readonly note: string | undefined;
}

/**
 * Checks what a file says against the model that is to decode it.
 *
 * @param name of the file, for messages.
 * @param content as JSON has it.
 * @throws TatokError tokens-invalid; tokens-of-another-model; model-incompatible for a model whose tokens are of other kinds.
 */
export function readTokenFile(name: string, content: unknown, model: ModelDescription): TokenFile {
  requirePlainTokens(model);
  const old = typeof content === 'object' && content !== null && !('format' in content);
  if (!old) requireVersion(name, content);
  const result = (old ? earlierSchema : tokenFileSchema).safeParse(content);
  if (!result.success) throw invalidTokens(name, result.error);
  const file = result.data;
  requireSameModel(name, file.model, model);
  const patchCodes = Int32Array.from(file.patchCodes ?? []);
  const guessed = model.filters && file.settings === undefined;
  const settings = resolveSettings(file.settings === undefined ? {} : settingsOf(file.settings), model);
  return {
    tokens: {
      width: file.width,
      height: file.height,
      globalCodes: Int32Array.from(file.globalCodes ?? []),
      patchCodes,
      keep: Uint8Array.from(file.keep ?? new Uint8Array(patchCodes.length).fill(1)),
      ranking: settings.ranking,
    },
    cropMode: file.cropMode,
    settings,
    edits: file.edits,
    note: old ? earlierNote(name, model, guessed ? settings.ranking : undefined) : undefined,
  };
}

/**
 * A file's tokens as they were before they were changed by hand, and the changes. The file has the kept set after them alone: a patch that
 * was forced is taken to be one that the filter had left the other way.
 *
 * @throws TatokError tokens-invalid for changes of tokens that are not there.
 */
export function withoutEdits(
  name: string,
  { tokens, edits: { forcedKept, forcedDropped, replaced } }: Pick<TokenFile, 'tokens' | 'edits'>,
): { readonly own: DecodableTokens; readonly edits: Edits } {
  const { keep } = tokens;
  const [globalCodes, patchCodes] = [tokens.globalCodes.slice(), tokens.patchCodes.slice()];
  const codes = replaced.map(({ token, index: at, original }) => {
    const [all, own] = token === 'global' ? [tokens.globalCodes, globalCodes] : [tokens.patchCodes, patchCodes];
    const current = all[at];
    if (current === undefined) throw missing(name, `${token} token ${at}`);
    own[at] = original;
    return { token, index: at, code: current };
  });
  const outside = [...forcedKept, ...forcedDropped].find((patch) => patch >= keep.length);
  if (outside !== undefined) throw missing(name, `patch ${outside}`);
  // What the kept set says holds, whatever is said of it.
  const kept = forcedKept.filter((patch) => keep[patch] === 1);
  const dropped = forcedDropped.filter((patch) => keep[patch] === 0);
  const own = {
    ...{ ...tokens, globalCodes, patchCodes },
    keep: withForced(keep, { ...noEdits, forcedKept: dropped, forcedDropped: kept }),
  };
  return { own, edits: replaceCodes(force(force(noEdits, kept, 'keep'), dropped, 'drop'), codes, own) };
}

function missing(name: string, what: string): TatokError {
  return new TatokError(
    'tokens-invalid',
    `${name} is no token file: its edits are of ${what}, which it does not have.`,
  );
}

function earlierNote(name: string, model: ModelDescription, ranking: RankingCriterion | undefined): string {
  const assumed = ranking === undefined ? '' : `, nor the ranking, for which the model’s own is taken (${ranking})`;
  return `${name} is of an earlier version: it does not name the hash of its model${assumed}. It is decoded by ${model.name} ${model.version}.`;
}

function requireVersion(name: string, content: unknown): void {
  const header = z.object({ format: z.literal('tatok-token-file'), version: z.int() }).safeParse(content);
  if (!header.success || header.data.version === tokenFileVersion) return;
  throw new TatokError(
    'tokens-invalid',
    `${name} has version ${header.data.version} of the format; version ${tokenFileVersion} is read.`,
    'Use a later version of TaTok Inspector.',
  );
}

/** @throws TatokError tokens-of-another-model, which names both. */
export function requireSameModel(
  name: string,
  made: { readonly name: string; readonly version?: string | undefined; readonly hash?: string | undefined },
  model: ModelDescription,
): void {
  const same =
    made.hash === undefined ? made.name === model.name && made.version === model.version : made.hash === model.hash;
  if (same) return;
  const label = (of: typeof made): string =>
    [of.name, of.version, of.hash && `(${of.hash.slice(0, 12)}…)`].filter(Boolean).join(' ');
  throw new TatokError(
    'tokens-of-another-model',
    `${name} has tokens of the model ${label(made)}, not of ${label(model)}.`,
    'Choose the model that made them.',
  );
}

/** One sentence out of what a schema says first. */
export function invalidTokens(name: string, { issues: [issue] }: z.ZodError): TatokError {
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  // Some messages of schemas are sentences themselves.
  const fault = (issue?.message ?? 'invalid').replace(/\.$/, '');
  return new TatokError('tokens-invalid', `${name} is no token file: ${where}${fault}.`);
}
