/** Text in PNG files: what made a picture stays with it. */
import { crc32 } from 'node:zlib';

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Signature and the header's chunk, which is the first of every file: length, name, 13 bytes, checksum. */
const headerEnd = signature.length + 4 + 4 + 13 + 4;

/**
 * Adds text to a PNG file, as iTXt chunks right after its header (PNG specification, 11.3.3.4): UTF-8, not compressed.
 *
 * @param texts by keyword: 1 to 79 letters of ASCII.
 * @returns bytes that are no PNG as they are.
 */
export function withPngText(png: Uint8Array, texts: Readonly<Record<string, string>>): Uint8Array {
  if (png.length < headerEnd || signature.some((byte, i) => png[i] !== byte)) return png;
  const chunks = Object.entries(texts).map(([keyword, text]) => chunkOf(keyword, text));
  return Buffer.concat([png.subarray(0, headerEnd), ...chunks, png.subarray(headerEnd)]);
}

function chunkOf(keyword: string, text: string): Buffer {
  // After the keyword: not compressed, by no method, in no language, with no translated keyword.
  const named = Buffer.from(`iTXt${keyword}\0\0\0\0\0${text.replaceAll('\0', '')}`, 'utf8');
  const chunk = Buffer.alloc(4 + named.length + 4);
  chunk.writeUInt32BE(named.length - 4);
  named.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(named), 4 + named.length);
  return chunk;
}
