import { colourIndex, colourTable, type ColormapName } from './colormaps';

/** Interval of values that a colour map spans. */
export type Domain = readonly [low: number, high: number];

/** Pixels of a bitmap. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** sRGB bytes, width·height·3, as a canvas that can be drawn at any scale. */
export function colourBitmap(rgb: Uint8Array, { width, height }: Size): HTMLCanvasElement {
  return bitmap(width, height, (data) => {
    for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
      data[to] = rgb[from] ?? 0;
      data[to + 1] = rgb[from + 1] ?? 0;
      data[to + 2] = rgb[from + 2] ?? 0;
    }
  });
}

/** Rec. 709 luma of sRGB bytes: the photograph under a heat map, so that only the map speaks in colour. */
export function greyBitmap(rgb: Uint8Array, { width, height }: Size): HTMLCanvasElement {
  return bitmap(width, height, (data) => {
    for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
      const luma = 0.2126 * (rgb[from] ?? 0) + 0.7152 * (rgb[from + 1] ?? 0) + 0.0722 * (rgb[from + 2] ?? 0);
      data[to] = data[to + 1] = data[to + 2] = luma;
    }
  });
}

/** Values as colours, one canvas pixel each, none for NaN: scaled up without smoothing it is the heat map of a grid. */
export function mapBitmap(
  values: ArrayLike<number>,
  columns: number,
  [low, high]: Domain,
  colormap: ColormapName,
): HTMLCanvasElement {
  const table = colourTable(colormap);
  const scale = high > low ? 1 / (high - low) : 0;
  return bitmap(columns, Math.ceil(values.length / columns), (data) => {
    for (let i = 0, to = 0; i < values.length; i++, to += 4) {
      const value = values[i] ?? NaN;
      if (Number.isNaN(value)) {
        data[to + 3] = 0;
        continue;
      }
      const from = 3 * colourIndex((value - low) * scale);
      data[to] = table[from] ?? 0;
      data[to + 1] = table[from + 1] ?? 0;
      data[to + 2] = table[from + 2] ?? 0;
    }
  });
}

/** One colour where `shown` says so, one canvas pixel for each of `count` patches. */
export function maskBitmap(
  count: number,
  columns: number,
  colour: string,
  shown: (patch: number) => boolean,
): HTMLCanvasElement {
  const mask = bitmap(columns, Math.ceil(count / columns), (data) => {
    for (let i = 0; i < count; i++) data[4 * i + 3] = shown(i) ? 255 : 0;
  });
  const context = contextOf(mask);
  context.globalCompositeOperation = 'source-in';
  context.fillStyle = colour;
  context.fillRect(0, 0, mask.width, mask.height);
  return mask;
}

/** |a − b| averaged over the three channels, one value in [0, 255] per pixel. */
export function differenceValues(a: Uint8Array, b: Uint8Array): Float32Array {
  const values = new Float32Array(a.length / 3);
  for (let i = 0, from = 0; i < values.length; i++, from += 3) {
    const sum =
      Math.abs((a[from] ?? 0) - (b[from] ?? 0)) +
      Math.abs((a[from + 1] ?? 0) - (b[from + 1] ?? 0)) +
      Math.abs((a[from + 2] ?? 0) - (b[from + 2] ?? 0));
    values[i] = sum / 3;
  }
  return values;
}

function bitmap(width: number, height: number, fill: (data: Uint8ClampedArray) => void): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = contextOf(canvas);
  const image = context.createImageData(width, height);
  image.data.fill(255);
  fill(image.data);
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The drawing context of a canvas. @throws Error where the browser has no memory for it. */
export function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no 2D canvas');
  return context;
}
