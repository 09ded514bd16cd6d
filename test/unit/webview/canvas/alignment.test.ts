import { describe, expect, it } from 'vitest';
import {
  alignedCamera,
  alignedPatch,
  alignedPlacement,
  type PatchedPicture,
} from '../../../../webview/canvas/alignment';
import { cameraTransform } from '../../../../webview/canvas/viewport';
import { tinyModel } from '../../model';

/** Pictures of a photograph of 768×512 pixels: its middle square at 256 pixels, and all of it at 384×256. */
const middle = { crop: { left: 128, top: 0, width: 512, height: 512 }, width: 256, height: 256 };
const whole = { crop: { left: 0, top: 0, width: 768, height: 512 }, width: 384, height: 256 };

function pictureOf(placed: typeof middle, side: number): PatchedPicture {
  const grid = { rows: placed.height / side, columns: placed.width / side };
  const model = { ...tinyModel, imageSize: { width: placed.width, height: placed.height }, grid };
  return {
    model: { ...model, patchTokens: grid.rows * grid.columns },
    image: {
      ...placed,
      ...{ sourceWidth: 768, sourceHeight: 512, format: 'png', cropMode: 'centre', reduction: 1, grid },
      tiles: { rows: 1, columns: 1 },
    },
  };
}

/** Where a point of the photograph lies on the canvas. */
function onCanvas([x, y]: readonly [number, number], placed: typeof middle, at: { x: number; y: number; k: number }) {
  return [
    at.x + (at.k * placed.width * (x - placed.crop.left)) / placed.crop.width,
    at.y + (at.k * placed.height * (y - placed.crop.top)) / placed.crop.height,
  ];
}

describe('two pictures of one photograph', () => {
  it('lie on each other, point for point', () => {
    const first = { x: 40, y: -10, k: 3 };
    const second = alignedPlacement(first, middle, whole);
    for (const point of [
      [128, 0],
      [300, 77],
      [640, 512],
    ] as const) {
      const [x = 0, y = 0] = onCanvas(point, middle, first);
      const [a, b] = onCanvas(point, whole, second);
      expect([a, b]).toEqual([expect.closeTo(x, 9), expect.closeTo(y, 9)]);
    }
  });

  it('are shown alike by two cameras, where both canvases have room', () => {
    const camera = { extent: 2000, x: 0.4, y: 0.5 };
    const canvas = { width: 600, height: 600 };
    const place = (seen: typeof camera | 'fit', { width, height }: typeof middle) =>
      cameraTransform(seen, { ...canvas, imageWidth: width, imageHeight: height });
    const other = alignedCamera(camera, middle, whole);
    if (other === 'fit') throw new Error('a camera');
    const [first, second] = [place(camera, middle), place(other, whole)];
    const point = [330, 250] as const;
    const [x = 0, y = 0] = onCanvas(point, middle, first);
    expect(onCanvas(point, whole, second)).toEqual([expect.closeTo(x, 6), expect.closeTo(y, 6)]);
    const back = alignedCamera(other, whole, middle);
    if (back === 'fit') throw new Error('a camera');
    expect(back.extent).toBeCloseTo(2000, 9);
    expect([back.x, back.y].map((share) => Number(share.toFixed(9)))).toEqual([0.4, 0.5]);
    expect(alignedCamera('fit', middle, whole)).toBe('fit');
  });

  it('have the patch under the middle of the other’s, or none outside', () => {
    const [square, all] = [pictureOf(middle, 16), pictureOf(whole, 32)];
    // Pixel (24, 8) of the square is (176, 16) of the photograph, pixel (88, 8) of the whole.
    expect(alignedPatch(1, square, all)).toBe(2);
    expect(alignedPatch(16 * 15, square, all)).toBe(12 * 7 + 2);
    expect(alignedPatch(0, all, square)).toBeUndefined();
    expect(alignedPatch(2, all, square)).toBe(16 + 1);
  });
});
