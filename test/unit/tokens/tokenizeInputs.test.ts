/** Images that bring the model down, among others: who is at fault is found, and the others have their tokens. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { InferenceClient } from '../../../src/client/client';
import { TatokError, type TatokErrorCode } from '../../../src/method/errors';
import type { TokenizedPicture } from '../../../src/protocol/engineMessages';
import type { ImageInput } from '../../../src/tokens/inputs';
import { rowsOf, type RowMaker } from '../../../src/tokens/tokenizeInputs';
import { tinyModel as model } from '../model';
import { refusalOf } from '../refusal';

const maker: RowMaker = {
  model,
  choice: { directory: '/models/tiny', providers: ['cpu'] },
  settings: model.defaults,
  provider: 'cpu',
  batchSize: 2,
  entropies: true,
  quality: true,
};

const file = (text: string) => new TextEncoder().encode(text);
const image = (text: string): ImageInput => ({
  path: `${text}.png`,
  label: null,
  read: async () => {
    if (text === 'missing') throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    return file(text);
  },
});

const picture: TokenizedPicture = {
  geometry: {
    sourceWidth: 64,
    sourceHeight: 48,
    format: 'png',
    cropMode: 'centre',
    crop: { left: 8, top: 0, width: 48, height: 48 },
    width: 32,
    height: 32,
  },
  tokens: {
    globalCodes: Int32Array.of(1, 5),
    patchCodes: Int32Array.of(0, 1, 2, 3, 4, 5),
    entropyBits: Float32Array.of(0, 0.1, 0, 0, 0, 2),
    surprisalBits: Float32Array.of(1, 2, 3, 4, 5, 6),
  },
  lostBits: Float32Array.of(0, 2.1, 0, 0, 0, 4.1),
  filtered: {
    keep: Uint8Array.of(0, 1, 0, 0, 0, 1),
    keptTokens: 2,
    totalTokens: 4,
    payloadBits: 10.5,
    maskBits: 3.9,
  },
  quality: { psnr: null, ssim: 0.5 },
};

/** A process that fails on a request with the file `bad`, and cannot read `broken`. */
function fakeClient(code: TatokErrorCode, provider: 'cpu' | 'cuda' = 'cpu') {
  const requests: string[][] = [];
  const client: Pick<InferenceClient, 'tokenizePictures'> = {
    tokenizePictures: async ({ files }) => {
      const names = files.map((each) => new TextDecoder().decode(each));
      requests.push(names);
      if (names.includes('bad')) throw new TatokError(code, 'It failed.', 'Try another.');
      const pictures = names.map((name) => (name === 'broken' ? { failure: 'It is damaged.' } : picture));
      return { model, provider: { provider, failures: [] }, pictures };
    },
  };
  return { requests, client };
}

const errorsOf = async (names: readonly string[], client: ReturnType<typeof fakeClient>['client']) =>
  (await rowsOf(names.map(image), [client], maker)).map(({ path, error }) => [path.replace('.png', ''), error]);

describe('rows of images', () => {
  it('have what was asked for', async () => {
    const [row] = await rowsOf([image('good')], [fakeClient('cancelled').client], maker);
    expect(row).toEqual({
      id: createHash('sha256').update('good').digest('hex'),
      path: 'good.png',
      label: null,
      width: 64,
      height: 48,
      crop_x: 8,
      crop_y: 0,
      crop_width: 48,
      crop_height: 48,
      global_codes: [1, 5],
      patch_codes: [1, 5],
      keep: Uint8Array.of(0b01000100),
      entropy: [0, 0.0999755859375, 0, 0, 0, 2],
      surprisal: [1, 2, 3, 4, 5, 6],
      lost: [...picture.lostBits],
      kept: 2,
      tokens: 4,
      payload_bits: 10.5,
      mask_bits: 3.9,
      coded_bits: 2 * Math.log2(6) + 2 + 6,
      psnr: null,
      ssim: 0.5,
      error: null,
    });
    const plain = { ...maker, entropies: false, model: { ...model, filters: false } };
    expect((await rowsOf([image('good')], [fakeClient('cancelled').client], plain))[0]).toMatchObject({
      keep: null,
      entropy: null,
      surprisal: null,
      lost: null,
      coded_bits: null,
    });
  });

  it('keep their order whatever is wrong with some', async () => {
    const { requests, client } = fakeClient('cancelled');
    expect(await errorsOf(['a', 'missing', 'broken', 'b', 'missing', 'missing', 'c'], client)).toEqual([
      ['a', null],
      ['missing', 'There is no such file.'],
      ['broken', 'It is damaged.'],
      ['b', null],
      ['missing', 'There is no such file.'],
      ['missing', 'There is no such file.'],
      ['c', null],
    ]);
    expect(requests).toEqual([['a'], ['broken', 'b'], ['c']]);
  });

  it.each(['inference-crashed', 'inference-failed', 'time-limit', 'memory-limit'] as const)(
    'name the image at fault after %s, which is tried alone when nothing else is under way',
    async (code) => {
      const { requests, client } = fakeClient(code);
      expect(await errorsOf(['a', 'bad', 'b', 'c'], client)).toEqual([
        ['a', null],
        ['bad', 'It failed. Try another.'],
        ['b', null],
        ['c', null],
      ]);
      expect(requests).toEqual([['a', 'bad'], ['b', 'c'], ['a'], ['bad']]);
    },
  );

  it('are none where the model is at fault, or fails on every image', async () => {
    expect((await refusalOf(() => errorsOf(['a', 'bad'], fakeClient('model-file-corrupt').client))).code).toBe(
      'model-file-corrupt',
    );
    expect(
      (await refusalOf(() => errorsOf(['bad', 'bad', 'broken'], fakeClient('inference-failed').client))).code,
    ).toBe('inference-failed');
  });

  it('come from one provider', async () => {
    const { code, message } = await refusalOf(() => errorsOf(['a'], fakeClient('cancelled', 'cuda').client));
    expect([code, message]).toEqual([
      'provider-unavailable',
      'The provider cpu failed, and cuda would give some codes another value.',
    ]);
  });

  it('are shared among processes', async () => {
    const workers = [fakeClient('cancelled'), fakeClient('cancelled')];
    const names = Array.from({ length: 9 }, (_, i) => String(i));
    const rows = await rowsOf(
      names.map(image),
      workers.map(({ client }) => client),
      maker,
    );
    expect(rows.map(({ path }) => path)).toEqual(names.map((name) => `${name}.png`));
    expect(workers.map(({ requests }) => requests.flat().sort())).toEqual([
      ['0', '1', '4', '5', '8'],
      ['2', '3', '6', '7'],
    ]);
  });
});
