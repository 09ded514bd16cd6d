import { join } from 'node:path';
import { packageExtension } from '../../scripts/package.mjs';

let packed: Promise<string> | undefined;

/** The packed extension: the one `npm test` has made for all tests, otherwise made now. */
export function packedExtension(): Promise<string> {
  const given = process.env['TATOK_VSIX'];
  packed ??= given ? Promise.resolve(given) : packageExtension({ out: join('.cache', 'test', 'tatok-inspector.vsix') });
  return packed;
}
