/** Token files that are changed by hand: taken apart into the model's own tokens and the changes, and written again. */
import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { withEdits } from '../../../src/export/editedTokens';
import { readNpy } from '../../../src/method/npy';
import { readTokens, tokenizationNpz } from '../../../src/export/npz';
import { tokensRecord, withoutEdits } from '../../../src/export/tokens';
import { noEdits, type Edits } from '../../../src/method/edits';
import { refusalOf } from '../refusal';
import { fixedPatchesTokenization, tinyTokenization } from './tokenization';

const { model } = tinyTokenization;
const text = (content: unknown) => new TextEncoder().encode(JSON.stringify(content));
const json = text({ ...tokensRecord(tinyTokenization), note: 'of another program' });
const npz = tokenizationNpz('cat.png', tinyTokenization);

/** The file has codes 1 5 and 0 1 2 3 4 5, of which the last two are kept. */
const edits: Edits = {
  forcedKept: [0],
  forcedDropped: [5],
  replaced: [
    { token: 'global', index: 1, code: 2 },
    { token: 'patch', index: 4, code: 0 },
  ],
};
const own = {
  globalCodes: Int32Array.of(1, 5),
  patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
  keep: Uint8Array.of(0, 0, 0, 0, 1, 1),
};

describe.each([
  ['JSON', json],
  ['NPZ', npz],
])('a token file in %s', (_kind, bytes) => {
  it('holds edits in codes and kept set, and the own codes beside them', () => {
    const { tokens, edits: kept, note } = readTokens('a', withEdits('a', bytes, model, edits), model);
    expect(tokens).toMatchObject({
      globalCodes: Int32Array.of(1, 2),
      patchCodes: Int32Array.of(0, 1, 2, 3, 0, 5),
      keep: Uint8Array.of(1, 0, 0, 0, 1, 0),
    });
    expect(kept).toEqual({
      forcedKept: [0],
      forcedDropped: [5],
      replaced: [
        { token: 'global', index: 1, original: 5 },
        { token: 'patch', index: 4, original: 4 },
      ],
    });
    expect(note).toBeUndefined();
  });

  it('is taken apart into the own tokens and the edits again, however often it is written', () => {
    let written = bytes;
    for (const each of [edits, { ...edits, replaced: [] }, edits]) written = withEdits('a', written, model, each);
    const { own: unedited, edits: found } = withoutEdits('a', readTokens('a', written, model));
    expect(found).toEqual(edits);
    expect(unedited).toMatchObject(own);
    const back = readTokens('a', withEdits('a', written, model, noEdits), model);
    expect(back).toEqual(readTokens('a', bytes, model));
  });
});

describe('writing edits', () => {
  it('leaves what else is in JSON', () => {
    const before = JSON.parse(new TextDecoder().decode(json)) as object;
    expect(JSON.parse(new TextDecoder().decode(withEdits('a', json, model, noEdits)))).toEqual(before);
  });

  it('leaves the other arrays and shapes of NPZ, and what its settings say but quality', () => {
    const [before, after] = [unzipSync(npz), unzipSync(withEdits('a', npz, model, edits))];
    expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
    for (const name of ['entropy_bits.npy', 'expected_codes.npy', 'levels.npy'])
      expect(after[name]).toEqual(before[name]);
    expect(readNpy(after['patch_codes.npy'] ?? new Uint8Array()).shape).toEqual([2, 3]);
    const settings = JSON.parse(String(readNpy(after['settings.npy'] ?? new Uint8Array()).values)) as object;
    expect(settings).toMatchObject({ image: 'cat.png', source: { width: 64, height: 48 }, psnr: null, ssim: null });
  });

  it('makes a file of an earlier version one of this', () => {
    const { format: _, version: __, settings: ___, edits: ____, ...rest } = tokensRecord(tinyTokenization);
    const earlier = text({ ...rest, model: { name: 'tiny', version: '0' } });
    const { note, settings } = readTokens('a', withEdits('a', earlier, model, edits), model);
    expect([note, settings]).toEqual([undefined, model.defaults]);
  });

  it('adds no kept set for a model that can drop nothing', () => {
    const patches = fixedPatchesTokenization;
    const bytes = text(tokensRecord(patches));
    const replaced = [{ token: 'patch', index: 0, code: 3 }] as const;
    const written = JSON.parse(
      new TextDecoder().decode(withEdits('a', bytes, patches.model, { ...noEdits, replaced })),
    ) as object;
    expect(Object.keys(written)).not.toContain('keep');
    expect(written).toMatchObject({ patchCodes: [3, 1, 2, 3, 4, 5] });
  });
});

describe('edits of a file', () => {
  const file = (changed: object) =>
    readTokens('a', text({ ...tokensRecord(tinyTokenization), edits: { ...noEdits, ...changed } }), model);

  it.each([
    ['patch 6', { forcedKept: [6] }],
    ['global token 2', { replaced: [{ token: 'global', index: 2, original: 0 }] }],
  ])('are refused where they are of %s, which it does not have', async (what, changed) => {
    expect(await refusalOf(() => withoutEdits('a', file(changed)))).toMatchObject({
      code: 'tokens-invalid',
      message: `a is no token file: its edits are of ${what}, which it does not have.`,
    });
  });

  it('hold as far as the kept set says the same', () => {
    const { own: unedited, edits: found } = withoutEdits('a', file({ forcedKept: [5, 0, 5], forcedDropped: [1, 4] }));
    expect(found).toEqual({ ...noEdits, forcedKept: [5], forcedDropped: [1] });
    expect(unedited.keep).toEqual(Uint8Array.of(0, 1, 0, 0, 1, 0));
  });
});
