import { describe, expect, it, vi } from 'vitest';
import { LargePicture, OpenPicture } from '../../../src/engine/openPicture';
import type { Requests } from '../../../src/engine/requests';
import type { Picture, ShownGeometry, Tokens } from '../../../src/method/types';

function open(largePicture: LargePicture): OpenPicture {
  const known = {
    choice: { directory: '/models/tiny', providers: ['cpu'] },
    file: new Uint8Array(1),
    image: { reduction: 4, tiles: { rows: 9, columns: 9 } } as ShownGeometry,
    tokens: {} as Tokens,
    manifest: '{}',
  };
  const models = { bundle: vi.fn(), use: vi.fn() };
  return new OpenPicture(known, { models, requests: {} as Requests, largePicture });
}

describe('the pixels of a large picture', () => {
  it('are kept until it is closed, or another large one is looked at', () => {
    const large = new LargePicture();
    const [first, second] = [open(large), open(large)];
    const pixels = {} as Picture;
    first.keepPixels(pixels);
    expect(large.get(first)).toBe(pixels);
    second.keepPixels(pixels);
    expect([large.get(first), large.get(second)]).toEqual([undefined, pixels]);
    second.close();
    expect(large.get(second)).toBeUndefined();
  });

  it('are not kept of a picture that was closed while it was decoded', () => {
    const large = new LargePicture();
    const picture = open(large);
    picture.close();
    picture.keepPixels({} as Picture);
    expect(large.get(picture)).toBeUndefined();
  });
});
