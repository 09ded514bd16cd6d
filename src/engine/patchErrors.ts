/** Where two pictures of the model's size differ, patch by patch. */

interface Extent {
  readonly width: number;
  readonly height: number;
}

/**
 * Sum of squared differences per patch, over the patch's own pixels of the picture and all channels. Patches at the picture's right and
 * lower edges may hold padding as well, which is nobody's to see.
 *
 * @param reference size·size·3 sRGB bytes.
 * @param changed another picture of the same size.
 * @param size pixels along a side of the model image.
 * @param side pixels along a side of a patch.
 * @param extent pixels of the picture, from the upper left corner of the model image; the rest is padding.
 * @returns ⌈height / side⌉·⌈width / side⌉ values in squared 8-bit units, in raster order.
 */
export function squaredErrors(
  reference: Uint8Array,
  changed: Uint8Array,
  size: number,
  side: number,
  { width, height }: Extent,
): Float64Array {
  const columns = Math.ceil(width / side);
  const squares = new Float64Array(Math.ceil(height / side) * columns);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / side) * columns;
    for (let x = 0, offset = 3 * size * y; x < width; x++, offset += 3) {
      const red = (changed[offset] ?? 0) - (reference[offset] ?? 0);
      const green = (changed[offset + 1] ?? 0) - (reference[offset + 1] ?? 0);
      const blue = (changed[offset + 2] ?? 0) - (reference[offset + 2] ?? 0);
      const patch = row + Math.floor(x / side);
      squares[patch] = (squares[patch] ?? 0) + red * red + green * green + blue * blue;
    }
  }
  return squares;
}

/** How many pixels of the picture a patch holds; `patch` is its place in raster order. */
export function ownPixels(patch: number, side: number, { width, height }: Extent): number {
  const columns = Math.ceil(width / side);
  const across = Math.min(side, width - side * (patch % columns));
  const down = Math.min(side, height - side * Math.floor(patch / columns));
  return across * down;
}
