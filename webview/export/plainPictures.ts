/** Pictures without marks, as data for figures and scripts: one pixel of the file for one of the picture that is shown. */
import { colourBitmap, contextOf, differenceValues } from '../canvas/bitmaps';
import type { Inspector } from '../state/inspector';
import type { PlainKind } from '../../src/protocol/exports';
import { patchSide, shownSize } from '../../src/method/patch';

/** @throws Error with the reason where the picture cannot be made yet. */
export function plainPicture(kind: PlainKind, inspector: Inspector): HTMLCanvasElement {
  const reason = missingFor(kind, inspector);
  const [picture, reconstruction] = [inspector.picture.peek(), inspector.reconstruction.peek()];
  if (reason !== undefined || picture === undefined) throw new Error(reason ?? 'there is no picture yet.');
  const { image } = picture;
  const size = shownSize(image);
  const { columns } = image.grid;
  switch (kind) {
    case 'input.png':
      return colourBitmap(image.rgb, size);
    case 'reconstruction.png':
      return colourBitmap(reconstruction?.rgb ?? image.rgb, size);
    case 'difference.png':
      // Every level is its own: the mean of the three channels' absolute differences, 0 to 255.
      return levelsBitmap(differenceValues(image.rgb, reconstruction?.rgb ?? image.rgb), size.width, 255);
    case 'mask.png':
      return ofPatches(levelsBitmap(inspector.selected.peek()?.keep ?? [], columns, 1), inspector);
    case 'attention.png':
      return ofPatches(attentionBitmap(inspector), inspector);
  }
}

/** Why a picture cannot be made yet, in a sentence; undefined where it can. Follows the signals that it reads. */
export function missingFor(kind: PlainKind, inspector: Inspector): string | undefined {
  if (inspector.tokenization.value === undefined) return 'The picture is not tokenized yet.';
  if (kind === 'input.png') return undefined;
  if (kind === 'mask.png')
    return inspector.selected.value === undefined ? 'The patches are not ranked yet.' : undefined;
  if (kind === 'attention.png') {
    return inspector.shownAttention.value === undefined ? 'The attention of this tile is not read yet.' : undefined;
  }
  return inspector.reconstruction.value === undefined ? 'There is no reconstruction yet.' : undefined;
}

/** Values from 0, black, to `most`, white, in proportion; the page’s map of greys is made for the eye. */
function levelsBitmap(values: ArrayLike<number>, width: number, most: number): HTMLCanvasElement {
  const rgb = new Uint8Array(3 * values.length);
  for (let i = 0; i < values.length; i++) {
    const level = most > 0 ? Math.round((255 * (values[i] ?? 0)) / most) : 0;
    rgb.fill(level, 3 * i, 3 * i + 3);
  }
  return colourBitmap(rgb, { width, height: Math.ceil(values.length / width) });
}

/** Mean attention of the global tokens that are chosen; the largest weight is white. Patches of other tiles are black. */
function attentionBitmap(inspector: Inspector): HTMLCanvasElement {
  const map = inspector.shownAttention.peek();
  const grid = inspector.picture.peek()?.image.grid;
  if (map === undefined || grid === undefined) throw new Error('there is no attention yet.');
  const { region, weights } = map;
  const cells = region.rows * region.columns;
  const chosen = inspector.isolatedTokens.peek();
  const rows = chosen.length > 0 ? chosen : Array.from({ length: weights.length / cells }, (_, row) => row);
  const values = new Float32Array(grid.rows * grid.columns);
  let most = 0;
  for (let cell = 0; cell < cells; cell++) {
    const sum = rows.reduce((all, row) => all + (weights[row * cells + cell] ?? 0), 0);
    const row = region.row + Math.floor(cell / region.columns);
    values[row * grid.columns + region.column + (cell % region.columns)] = sum;
    most = Math.max(most, sum);
  }
  return levelsBitmap(values, grid.columns, most);
}

/** A bitmap of one pixel per patch, each as large as its patch; the last are cut where the picture ends. */
function ofPatches(bitmap: HTMLCanvasElement, inspector: Inspector): HTMLCanvasElement {
  const picture = inspector.picture.peek();
  if (picture === undefined) return bitmap;
  const { width, height } = shownSize(picture.image);
  const side = patchSide(picture.model) / picture.image.reduction;
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = contextOf(canvas);
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, bitmap.width * side, bitmap.height * side);
  return canvas;
}
