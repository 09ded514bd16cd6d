/** Rows of a token data set as Parquet: one schema, written and read. */
import {
  parquetMetadataAsync,
  parquetReadObjects,
  type AsyncBuffer,
  type ColumnMetaData,
  type FileMetaData,
  type RowGroup,
  type SchemaElement,
} from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { compressors } from 'hyparquet-compressors';
import { z } from 'zod';
import { TatokError } from '../method/errors';
import type { ModelDescription, RankingCriterion } from '../method/types';
import type { FailedPicture, TokensToDecode } from '../protocol/engineMessages';

/** Columns in their order, and the type of each. Bits are −log2 of probabilities, sizes are in pixels. */
const columnTypes = {
  /** SHA-256 of the file's bytes, hexadecimal. */
  id: 'text',
  /** Relative to the folder that was given, or the name in an archive. */
  path: 'text',
  label: 'text',
  /** Of the upright picture, pixels. */
  width: 'integer',
  height: 'integer',
  /** The part of it that the model saw, pixels. */
  crop_x: 'integer',
  crop_y: 'integer',
  crop_width: 'integer',
  crop_height: 'integer',
  /** K codes. */
  global_codes: 'codes',
  /** Those of kept patches, in raster order. */
  patch_codes: 'codes',
  /** N bits, 1 = kept, in raster order, the most significant bit of a byte first; the last byte is filled with 0. */
  keep: 'bytes',
  /** ĥ given the global tokens, N values in bits, with the precision of float16. */
  entropy: 'numbers',
  /** −log2 q of the patch's own code, the same way. */
  surprisal: 'numbers',
  /** Bits that are lost when the patch and all that are dropped before it are dropped: it is dropped where they are at most ε·B. N values. */
  lost: 'numbers',
  /** |S|. */
  kept: 'integer',
  /** K + |S|. */
  tokens: 'integer',
  payload_bits: 'number',
  mask_bits: 'number',
  coded_bits: 'number',
  /** dB; null for identical pictures too. */
  psnr: 'number',
  ssim: 'number',
  /** One sentence: the other columns but id, path and label are null. */
  error: 'text',
} as const;

type ColumnType = (typeof columnTypes)[Column];
export type Column = keyof typeof columnTypes;

/** In 32 bits, where a larger one would become another. */
const codes = z.array(z.int().nonnegative().max(0xffffffff));
/** Absent values come as undefined or null. */
const orNull = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? null);
const text = orNull(z.string());
const integer = orNull(z.int());
const number = orNull(z.number());

const rowSchema = z.object({
  id: text,
  path: z.string(),
  label: text,
  width: integer,
  height: integer,
  crop_x: integer,
  crop_y: integer,
  crop_width: integer,
  crop_height: integer,
  global_codes: orNull(codes),
  patch_codes: orNull(codes),
  keep: orNull(z.instanceof(Uint8Array)),
  entropy: orNull(z.array(z.number())),
  surprisal: orNull(z.array(z.number())),
  lost: orNull(z.array(z.number())),
  kept: integer,
  tokens: integer,
  payload_bits: number,
  mask_bits: number,
  coded_bits: number,
  psnr: number,
  ssim: number,
  error: text,
} satisfies Record<Column, z.ZodType>);

/** A row, with the names of its columns. */
export type TokenRow = Readonly<z.output<typeof rowSchema>>;

export const columns = Object.keys(columnTypes) as Column[];

/** Columns that hold one number a row. */
export const numberColumns = columns.filter((column) => ['integer', 'number'].includes(columnTypes[column]));

/** A row of an input that has no tokens. */
export function failedRow(id: string | null, path: string, label: string | null, error: string): TokenRow {
  const nothing = Object.fromEntries(columns.map((column) => [column, null])) as Record<Column, null>;
  return { ...nothing, id, path, label, error };
}

/** A shard as a Parquet file with one group of rows, compressed by Snappy. */
export function rowsToParquet(rows: readonly TokenRow[]): Uint8Array {
  const schema: SchemaElement[] = [{ name: 'schema', num_children: columns.length }, ...columns.flatMap(schemaOf)];
  const columnData = columns.map((name) => ({ name, data: rows.map((row) => row[name]) }));
  return new Uint8Array(parquetWriteBuffer({ schema, columnData, rowGroupSize: Math.max(1, rows.length) }));
}

/**
 * Rows of a shard, whichever implementation wrote it.
 *
 * @param name of the file, for messages.
 * @param wanted columns, `path` among them; the others are null. Absent: all.
 * @throws TatokError tokens-invalid for what is no shard.
 */
export async function rowsFromParquet(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  wanted?: readonly Column[],
): Promise<TokenRow[]> {
  const file: AsyncBuffer = {
    byteLength: bytes.byteLength,
    slice: (start, end) => bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + (end ?? bytes.byteLength)),
  };
  try {
    // Byte arrays are text only where the schema says so.
    const metadata = await parquetMetadataAsync(file);
    requireFewValues(metadata, bytes.byteLength);
    for (const group of metadata.row_groups) await requireSoundPages(file, group, wanted);
    const rows = await parquetReadObjects({
      ...{ file, metadata, compressors, utf8: false },
      ...(wanted && { columns: [...wanted] }),
    });
    return rows.map((row) => rowSchema.parse(row));
  } catch (error) {
    const reason =
      error instanceof z.ZodError
        ? `its column ${String(error.issues[0]?.path[0])} is not as it must be`
        : error instanceof Error
          ? error.message
          : String(error);
    throw new TatokError('tokens-invalid', `${name} is no shard of tokens that can be read: ${reason}.`, undefined, {
      cause: error,
    });
  }
}

/** Of a column of one group of rows: more do not fit into memory. */
const mostValues = 2 ** 27;
/** Of a page that is unpacked. */
const mostPageBytes = 2 ** 30;
/** A page's header has some dozens, and its least and greatest value. */
const headerBytes = 2 ** 16;

/**
 * Equal values take next to nothing in Parquet, so a small file may unpack to any size. Rows that are of use differ in more than a byte.
 *
 * @throws RangeError for more rows than the file has bytes, and for more values than fit into memory.
 */
export function requireFewValues({ num_rows, row_groups }: FileMetaData, bytes: number): void {
  const rows = row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (Math.max(rows, Number(num_rows)) > bytes) throw new RangeError('it claims more rows than it has bytes');
  const values = row_groups.flatMap(({ columns }) =>
    columns.map(({ meta_data }) => Number(meta_data?.num_values ?? 0)),
  );
  if (values.some((count) => count > mostValues)) throw new RangeError('a column of it has too many values');
}

/**
 * Reads the header of every page of a group of rows: the reader makes room for what these claim.
 *
 * @param columns that are to be read; absent: all.
 * @throws RangeError for pages that claim more than their column, or that are too large; an Error for a damaged header.
 */
export async function requireSoundPages(
  file: AsyncBuffer,
  group: RowGroup,
  columns?: readonly string[],
): Promise<void> {
  for (const { meta_data: chunk } of group.columns) {
    const [name = ''] = chunk?.path_in_schema ?? [];
    if (chunk !== undefined && columns?.includes(name) !== false) await requirePagesOf(file, chunk);
  }
}

async function requirePagesOf(file: AsyncBuffer, chunk: ColumnMetaData): Promise<void> {
  const most = Number(chunk.num_values);
  let at = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset);
  const end = Math.min(file.byteLength, at + Number(chunk.total_compressed_size));
  let values = 0;
  while (at < end - 1) {
    const bytes = await file.slice(at, Math.min(end, at + headerBytes));
    const reader = { view: new DataView(bytes), offset: 0 };
    const page = parquetHeader(reader);
    const { dictionary_page_header: dictionary, data_page_header: first, data_page_header_v2: second } = page;
    values += (first ?? second)?.num_values ?? 0;
    const sizes = [page.compressed_page_size, page.uncompressed_page_size, dictionary?.num_values ?? 0, values];
    if (sizes.some((size) => !(size >= 0)) || Math.max(dictionary?.num_values ?? 0, values) > most) {
      throw new RangeError('a page of it claims more values than its column');
    }
    if (page.uncompressed_page_size > mostPageBytes) throw new RangeError('a page of it is too large');
    at += reader.offset + page.compressed_page_size;
  }
}

function schemaOf(name: Column): SchemaElement[] {
  const repetition_type = name === 'path' ? 'REQUIRED' : 'OPTIONAL';
  const list = (element: Omit<SchemaElement, 'name'>): SchemaElement[] => [
    { name, repetition_type, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'REQUIRED', ...element },
  ];
  const type: ColumnType = columnTypes[name];
  switch (type) {
    case 'text':
      return [{ name, repetition_type, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }];
    case 'bytes':
      return [{ name, repetition_type, type: 'BYTE_ARRAY' }];
    case 'integer':
      return [{ name, repetition_type, type: 'INT32' }];
    case 'number':
      return [{ name, repetition_type, type: 'DOUBLE' }];
    case 'codes':
      return list({ type: 'INT32', converted_type: 'UINT_32' });
    case 'numbers':
      return list({ type: 'FLOAT' });
  }
}

/** N values of 0 and 1 as bits, the most significant of a byte first, as `numpy.packbits`. */
export function packBits(values: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((value, i) => {
    if (value === 1) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (0x80 >> (i & 7));
  });
  return bytes;
}

/** The first `count` bits as values of 0 and 1. @throws RangeError where there are not as many bytes as they take. */
export function unpackBits(bytes: Uint8Array, count: number): Uint8Array {
  if (bytes.length !== Math.ceil(count / 8)) throw new RangeError(`${bytes.length} bytes do not hold ${count} bits`);
  return Uint8Array.from({ length: count }, (_, i) => ((bytes[i >> 3] ?? 0) >> (7 - (i & 7))) & 1);
}

/** The tokens of a row as the decoder wants them, or why they are not of the model. */
export function tokensOfRow(
  row: TokenRow,
  model: ModelDescription,
  ranking: RankingCriterion,
): TokensToDecode | FailedPicture {
  const { imageSize, patchTokens } = model;
  const codes = row.patch_codes ?? [];
  if (row.keep !== null && row.keep.length !== Math.ceil(patchTokens / 8)) {
    return { failure: `Its kept mask has ${row.keep.length} bytes, which do not hold ${patchTokens} patches.` };
  }
  const keep = row.keep === null ? new Uint8Array(patchTokens).fill(1) : unpackBits(row.keep, patchTokens);
  const kept = keep.reduce((sum, each) => sum + each, 0);
  if (codes.length !== kept) return { failure: `It has ${codes.length} patch codes for ${kept} kept patches.` };
  const next = codes.values();
  const patchCodes = Int32Array.from(keep, (each) => (each === 1 ? (next.next().value ?? 0) : 0));
  const globalCodes = Int32Array.from(row.global_codes ?? []);
  return { ...imageSize, globalCodes, patchCodes, keep, ranking };
}

/** Nearest values of IEEE 754's binary16, ties to even; beyond its greatest value it is infinite. */
export function toFloat16(values: Float32Array): number[] {
  return Array.from(values, (value) => {
    if (value === 0 || !Number.isFinite(value)) return value;
    const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10);
    const steps = value / step;
    const rounded = Math.abs(steps % 1) === 0.5 ? 2 * Math.round(steps / 2) : Math.round(steps);
    return Math.abs(rounded * step) > 65504 ? Math.sign(value) * Infinity : rounded * step;
  });
}
