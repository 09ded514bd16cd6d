/** A token file that is written again with other edits. */
import { unzipSync, zipSync } from 'fflate';
import { withForced, withReplaced, type Edits } from '../method/edits';
import { recordOf } from '../method/settings';
import { patchSide } from '../method/patch';
import type { ModelDescription } from '../method/types';
import { npy, readNpy } from '../method/npy';
import { isNpz, noTime, readTokens, settingsOfNpz } from './npz';
import { editsRecord, tokenFileVersion, withoutEdits } from './tokens';

/**
 * A file with edits in place of those that it has. What it says otherwise stays, but for PSNR and SSIM, which are no longer known; a file
 * of an earlier version becomes one of this.
 *
 * @param bytes of a `.tokens.json` or `.npz` file.
 * @throws TatokError of what is no token file of the model.
 */
export function withEdits(name: string, bytes: Uint8Array, model: ModelDescription, edits: Edits): Uint8Array {
  const file = readTokens(name, bytes, model);
  const { own } = withoutEdits(name, file);
  const decoded = withReplaced(own, edits);
  const keep = withForced(own.keep, edits);
  const { name: modelName, version, hash } = model;
  const header = {
    ...{ format: 'tatok-token-file', version: tokenFileVersion, model: { name: modelName, version, hash } },
    ...{ cropMode: file.cropMode, width: own.width, height: own.height },
    ...(model.filters && { settings: recordOf(file.settings) }),
    edits: editsRecord(edits, own),
  };
  if (isNpz(bytes)) {
    const side = patchSide(model);
    // Earlier files leave the grid to the shapes of their arrays.
    const grid = { rows: Math.ceil(own.height / side), columns: Math.ceil(own.width / side) };
    return npzWith(
      bytes,
      { grid, ...settingsOfNpz(name, bytes), ...header, psnr: null, ssim: null },
      {
        global_codes: decoded.globalCodes,
        patch_codes: decoded.patchCodes,
        ...(model.filters && { keep }),
      },
    );
  }
  const content = {
    ...(JSON.parse(new TextDecoder().decode(bytes)) as object),
    ...header,
    ...(model.globalTokens > 0 && { globalCodes: [...decoded.globalCodes] }),
    ...(model.patchTokens > 0 && { patchCodes: [...decoded.patchCodes] }),
    ...(model.filters && { keep: [...keep] }),
  };
  return new TextEncoder().encode(`${JSON.stringify(content)}\n`);
}

/** Arrays keep their shapes; those that are not named stay as they are. */
function npzWith(
  bytes: Uint8Array,
  settings: object,
  arrays: Readonly<Record<string, Int32Array | Uint8Array>>,
): Uint8Array {
  const files: Record<string, Uint8Array> = { ...unzipSync(bytes) };
  for (const [array, values] of Object.entries(arrays)) {
    const old = files[`${array}.npy`];
    if (old === undefined) continue;
    const { shape } = readNpy(old);
    files[`${array}.npy`] = npy({ kind: values instanceof Int32Array ? 'int32' : 'bool', shape, values });
  }
  files['settings.npy'] = npy({ kind: 'text', text: JSON.stringify(settings) });
  return zipSync(files, { mtime: noTime });
}
