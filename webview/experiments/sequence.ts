import type { InspectedDocument } from '../../src/protocol/document';
import type { ModelDescription, ShownImage, Tokens } from '../../src/method/types';

/** A token in the order in which a generator gives them. */
export type SequenceToken =
  | { readonly kind: 'global'; readonly tile: number; readonly index: number; readonly code: string }
  | {
      readonly kind: 'patch';
      readonly row: number;
      readonly column: number;
      readonly index: number;
      readonly code: string;
    };

/** What the sequence is made of. */
export interface SequenceSource {
  readonly image: Pick<ShownImage, 'grid' | 'tiles'>;
  readonly model: Pick<ModelDescription, 'name' | 'version' | 'globalTokens' | 'patchTokens'>;
  /** With the codes that are decoded. */
  readonly tokens: Pick<Tokens, 'globalCodes' | 'patchCodes'>;
  /** N values, 1 = kept. */
  readonly keep: Uint8Array;
}

/** Global tokens, tile after tile, then the kept patches in raster order with their positions. */
export function sequenceOf({ image, model, tokens, keep }: SequenceSource): SequenceToken[] {
  const { globalTokens, patchTokens } = model;
  const each =
    globalTokens === 0 ? [] : group(tokens.globalCodes, image.tiles.rows * image.tiles.columns * globalTokens);
  const globals = each.map((code, i): SequenceToken => ({
    kind: 'global',
    tile: Math.floor(i / globalTokens),
    index: i % globalTokens,
    code,
  }));
  const { rows, columns } = image.grid;
  const patches = patchTokens === 0 ? [] : group(tokens.patchCodes, rows * columns);
  const kept = patches.flatMap((code, index): SequenceToken[] =>
    keep[index] === 1
      ? [{ kind: 'patch', row: Math.floor(index / columns), column: index % columns, index, code }]
      : [],
  );
  return [...globals, ...kept];
}

/** Values of so many tokens as JSON has them: a number, text where it has more than 53 bits, or a list where a token has several. */
function group(values: Tokens['patchCodes'], tokens: number): string[] {
  const width = values.length / tokens;
  const literal = (value: number | bigint | undefined): string => String(value ?? 0);
  return Array.from({ length: tokens }, (_, token) => {
    const own = Array.from({ length: width }, (_, i) => literal(values[token * width + i]));
    return width === 1 ? (own[0] ?? '0') : `[${own.join(', ')}]`;
  });
}

/** The sequence as Python: lists of numbers, with positions as `(row, column)`. */
export function sequencePython(source: SequenceSource, document: Pick<InspectedDocument, 'name'>): string {
  const { globals, patches, model, image } = parts(source);
  const positions = patches.map(({ row, column }) => `(${row}, ${column})`);
  return [
    `# ${comment(document.name)}: tokens of ${comment(model.name)} ${comment(model.version)}`,
    `grid = (${image.grid.rows}, ${image.grid.columns})`,
    `global_codes = [${globals.map(({ code }) => code).join(', ')}]`,
    `patch_positions = [${positions.join(', ')}]`,
    `patch_codes = [${patches.map(({ code }) => code).join(', ')}]`,
    '',
  ].join('\n');
}

/** The same as JSON. */
export function sequenceJson(source: SequenceSource, document: Pick<InspectedDocument, 'name'>): string {
  const { globals, patches, model, image } = parts(source);
  const codes = (all: readonly SequenceToken[]): string => `[${all.map(({ code }) => code).join(',')}]`;
  const head = JSON.stringify({
    image: document.name,
    model: { name: model.name, version: model.version },
    grid: image.grid,
  }).slice(0, -1);
  const positions = JSON.stringify(patches.map(({ row, column }) => [row, column]));
  return `${head},"globalCodes":${codes(globals)},"patchPositions":${positions},"patchCodes":${codes(patches)}}\n`;
}

function parts(source: SequenceSource) {
  const all = sequenceOf(source);
  return {
    ...source,
    globals: all.filter((token) => token.kind === 'global'),
    patches: all.filter((token) => token.kind === 'patch'),
  };
}

/** A name of others in a comment of one line. */
function comment(text: string): string {
  return text.replace(/[\p{Control}\p{Bidi_Control}\u2028\u2029]/gu, '\ufffd');
}
