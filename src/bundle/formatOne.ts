/** Format 1 of manifest.json: a square picture, FSQ, at most one sequence and one grid. It is read as format 2. */
import { z } from 'zod';
import { codebookSize } from '../method/codebook';
import { filterRecordSchema } from '../method/settings';
import { count } from './formatTwo';

export const formatOneSchema = z
  .looseObject({
    format: z.literal('tatok-bundle'),
    formatVersion: z.literal(1),
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
    /** Of these as of all other keys, format 2 says the same. */
    graphs: z.looseObject({ entropy: z.unknown() }).partial(),
    licence: z.unknown().optional(),
  })
  .superRefine((manifest, context) => {
    const { image, grid, globalTokens, codebook, graphs } = manifest;
    const patchTokens = patchTokensOf(manifest);
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (grid.rows * image.patch !== image.size || grid.columns * image.patch !== image.size) {
      refuse(
        'grid',
        `must be ${image.size / image.patch} rows and columns of ${image.patch}-pixel patches in ${image.size} pixels`,
      );
    }
    if (codebookSize({ kind: 'fsq', levels: codebook.levels }) !== codebook.size) {
      refuse('codebook', 'size must be the product of its levels');
    }
    if (patchTokens !== 0 && patchTokens !== grid.rows * grid.columns) {
      refuse('patchTokens', `must be 0 or the ${grid.rows * grid.columns} cells of the grid`);
    }
    if (globalTokens + patchTokens === 0) refuse('globalTokens', 'must not be 0 without patch tokens');
    if (patchTokens === 0 && graphs.entropy !== undefined) refuse('graphs', 'need no entropy without patch tokens');
  });

type FormatOne = z.infer<typeof formatOneSchema>;

function patchTokensOf({ patchTokens, grid }: Pick<FormatOne, 'patchTokens' | 'grid'>): number {
  return patchTokens ?? grid.rows * grid.columns;
}

/** The same bundle in the terms of format 2, whose schema checks what both have. */
export function fromFormatOne(manifest: FormatOne): unknown {
  const { image, grid, globalTokens, codebook, attention, licence = 'unknown', ...same } = manifest;
  const globals = { name: 'global_codes', kind: 'sequence', tokens: globalTokens, codebook: 'codes' };
  const patches = { name: 'patch_codes', kind: 'grid', ...grid, codebook: 'codes' };
  return {
    ...same,
    formatVersion: 2,
    licence,
    image: { width: image.size, height: image.size, patch: image.patch },
    streams: [...(globalTokens > 0 ? [globals] : []), ...(patchTokensOf(manifest) > 0 ? [patches] : [])],
    codebooks: { codes: { kind: 'fsq', levels: codebook.levels } },
    expected: same.graphs.entropy === undefined ? undefined : { dimensions: codebook.levels.length, given: 'streams' },
    attention: globalTokens > 0 ? attention : undefined,
  };
}
