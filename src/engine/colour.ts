/** Colour spaces of decoded samples, and the way from any of them to opaque sRGB. */

/** From an encoded value in [0, 1] to linear light in [0, 1]. */
type Curve = (value: number) => number;

/** A 3×3 matrix, row after row. */
type Matrix = readonly [number, number, number, number, number, number, number, number, number];

/** An RGB space. */
export interface ColourSpace {
  /** Of red, green and blue. */
  readonly curves: readonly [Curve, Curve, Curve];
  /** From linear light to XYZ relative to D50, the white of ICC profiles. */
  readonly toXyz: Matrix;
}

/** x and y of white, red, green and blue. */
export type Chromaticities = readonly [number, number, number, number, number, number, number, number];

/** Samples as a file has them, interleaved; white and opaque are the most that their type holds. */
export interface Samples {
  readonly data: Uint8Array | Uint16Array;
  /** Samples of one pixel; those beyond colour and alpha are ignored. */
  readonly channels: number;
  /** The first samples of a pixel: grey, or red, green and blue. */
  readonly colours: 1 | 3;
  /** Index of a pixel's sample that is alpha. */
  readonly alpha?: number | undefined;
  /** Colours are multiplied by alpha. */
  readonly premultiplied?: boolean | undefined;
}

const d65 = [0.3127, 0.329] as const;
const illuminantC = [0.31, 0.316] as const;
const srgbPrimaries: Chromaticities = [...d65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06];

/** Rec. ITU-T H.273, table 2. */
const codedPrimaries = new Map<number, Chromaticities>([
  [1, srgbPrimaries],
  [4, [...illuminantC, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08]],
  [5, [...d65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06]],
  [6, [...d65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07]],
  [7, [...d65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07]],
  [8, [...illuminantC, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049]],
  [9, [...d65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046]],
  [10, [1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0]],
  [11, [0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06]],
  [12, [...d65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06]],
  [22, [...d65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077]],
]);

const power =
  (exponent: number): Curve =>
  (value) =>
    value ** exponent;

const srgbCurve: Curve = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);

/** Rec. ITU-T H.273, table 3, without the curves of cameras. */
const codedCurves = new Map<number, Curve>([
  [4, power(2.2)],
  [5, power(2.8)],
  [7, (value) => (value < 0.0912863 ? value / 4 : ((value + 0.1115722) / 1.1115722) ** (1 / 0.45))],
  [8, (value) => value],
  [13, srgbCurve],
  [17, (value) => (52.37 / 48) * value ** 2.6],
]);

/** BT.601, BT.709, BT.2020 and their like: how cameras encode, which says little of how the picture is meant to be shown. */
const cameraCurves = new Set([1, 6, 11, 14, 15]);

/** Replaces the curves of cameras: PNG shows them by BT.1886; browsers show those of AVIF as sRGB. */
export const cameraCurve = { png: power(2.4), avif: srgbCurve } as const;

/**
 * The space of two code points of Rec. ITU-T H.273.
 *
 * @param camera stands for the curves of cameras, see {@link cameraCurve}.
 * @returns undefined where a code point is unspecified, reserved, of high dynamic range, or of no RGB display.
 */
export function codedSpace(primaries: number, transfer: number, camera: Curve): ColourSpace | undefined {
  const chromaticities = codedPrimaries.get(primaries);
  const curve = cameraCurves.has(transfer) ? camera : codedCurves.get(transfer);
  return chromaticities && curve && spaceOf(chromaticities, curve);
}

/**
 * The space of PNG's gAMA and cHRM.
 *
 * @param gamma exponent from linear light to sample.
 * @param chromaticities absent: those of sRGB.
 * @returns undefined for numbers that are of no space.
 */
export function gammaSpace(gamma: number, chromaticities: Chromaticities = srgbPrimaries): ColourSpace | undefined {
  const space = spaceOf(chromaticities, power(1 / gamma));
  return gamma > 0 && space.toXyz.every(Number.isFinite) ? space : undefined;
}

/**
 * The space of an ICC profile that consists of curves and primaries, or of one curve for grey.
 *
 * @param icc the profile.
 * @param colours what the profile must be of to say anything about the samples.
 * @returns undefined for a profile of another kind (lookup tables, another colour model), and for a damaged one.
 */
export function profileSpace(icc: Uint8Array, colours: 1 | 3): ColourSpace | undefined {
  if (!isProfileOf(icc, colours)) return undefined;
  try {
    const tags = profileTags(icc);
    if (tags.has('A2B0')) return undefined;
    const curveOf = (name: string) => profileCurve(tags.get(name));
    if (colours === 1) {
      const grey = curveOf('kTRC');
      return grey && { ...srgb, curves: [grey, grey, grey] };
    }
    const [red, green, blue] = [curveOf('rTRC'), curveOf('gTRC'), curveOf('bTRC')];
    const [x, y, z] = ['rXYZ', 'gXYZ', 'bXYZ'].map((name) => profileColumn(tags.get(name)));
    if (!red || !green || !blue || !x || !y || !z) return undefined;
    return { curves: [red, green, blue], toXyz: [x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]] };
  } catch (error) {
    // Something points beyond the end of the profile.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** True if an ICC profile is of grey (1) or of RGB (3), as the samples are. */
export function isProfileOf(icc: Uint8Array, colours: 1 | 3): boolean {
  const text = (from: number) => String.fromCharCode(...icc.subarray(from, from + 4));
  return text(36) === 'acsp' && text(16) === (colours === 1 ? 'GRAY' : 'RGB ');
}

/**
 * Samples as sRGB bytes of three channels, laid on white, the page most viewers and papers show them on.
 *
 * @param space what the samples are encoded in; absent: sRGB.
 */
export function opaqueSrgb(samples: Samples, space?: ColourSpace): Uint8Array {
  const { data, channels, colours, alpha, premultiplied = false } = samples;
  const most = data instanceof Uint8Array ? 255 : 65535;
  const tables = space?.curves.map((curve) => Float32Array.from({ length: most + 1 }, (_, v) => curve(v / most)));
  const [red, green, blue] = tables ?? [];
  const m = space && multiply(inverse(srgb.toXyz), space.toXyz);
  const pixels = Math.floor(data.length / channels);
  // Rounds to the nearest, and clamps.
  const rgb = new Uint8ClampedArray(3 * pixels);
  const second = colours === 1 ? 0 : 1;
  const third = colours === 1 ? 0 : 2;
  for (let pixel = 0, at = 0, to = 0; pixel < pixels; pixel++, at += channels, to += 3) {
    const opacity = alpha === undefined ? 1 : (data[at + alpha] ?? most) / most;
    let r = data[at] ?? 0;
    let g = data[at + second] ?? 0;
    let b = data[at + third] ?? 0;
    const white = 255 * (1 - opacity);
    if (!red || !green || !blue || !m) {
      const scale = (255 / most) * (premultiplied ? 1 : opacity);
      rgb[to] = r * scale + white;
      rgb[to + 1] = g * scale + white;
      rgb[to + 2] = b * scale + white;
      continue;
    }
    if (premultiplied && opacity > 0) {
      r = Math.min(most, Math.round(r / opacity));
      g = Math.min(most, Math.round(g / opacity));
      b = Math.min(most, Math.round(b / opacity));
    }
    const x = red[r] ?? 0;
    const y = green[g] ?? 0;
    const z = blue[b] ?? 0;
    rgb[to] = encoded(m[0] * x + m[1] * y + m[2] * z) * opacity + white;
    rgb[to + 1] = encoded(m[3] * x + m[4] * y + m[5] * z) * opacity + white;
    rgb[to + 2] = encoded(m[6] * x + m[7] * y + m[8] * z) * opacity + white;
  }
  return new Uint8Array(rgb.buffer);
}

/** sRGB of linear light in steps of 1/65535, which are 0.05 levels where it is darkest. */
const encodings = Float32Array.from({ length: 65536 }, (_, i) => {
  const light = i / 65535;
  return 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055);
});

/** Linear light as sRGB in [0, 255]; what lies outside of the gamut is clipped. */
function encoded(light: number): number {
  return encodings[Math.round(65535 * Math.min(1, Math.max(0, light)))] ?? 0;
}

function spaceOf(chromaticities: Chromaticities, curve: Curve): ColourSpace {
  const [wx, wy, rx, ry, gx, gy, bx, by] = chromaticities;
  const column = (x: number, y: number) => [x / y, 1, (1 - x - y) / y] as const;
  const white = column(wx, wy);
  const unscaled: Matrix = [rx, gx, bx, ry, gy, by, 1 - rx - ry, 1 - gx - gy, 1 - bx - by];
  const [r, g, b] = apply(inverse(unscaled), white);
  const relativeToWhite = multiply(unscaled, [r, 0, 0, 0, g, 0, 0, 0, b]);
  // Bradford's adaptation of white to D50, as profiles have it.
  const bradford: Matrix = [0.8951, 0.2664, -0.1614, -0.7502, 1.7135, 0.0367, 0.0389, -0.0685, 1.0296];
  const [from, d50] = [apply(bradford, white), apply(bradford, column(0.3457, 0.3585))];
  const adapted: Matrix = [d50[0] / from[0], 0, 0, 0, d50[1] / from[1], 0, 0, 0, d50[2] / from[2]];
  const adaptation = multiply(inverse(bradford), multiply(adapted, bradford));
  return { curves: [curve, curve, curve], toXyz: multiply(adaptation, relativeToWhite) };
}

const srgb = spaceOf(srgbPrimaries, srgbCurve);

type Triple = readonly [number, number, number];

function apply(m: Matrix, [x, y, z]: Triple): Triple {
  return [m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z];
}

function multiply(a: Matrix, b: Matrix): Matrix {
  const [x, y, z] = [apply(a, [b[0], b[3], b[6]]), apply(a, [b[1], b[4], b[7]]), apply(a, [b[2], b[5], b[8]])];
  return [x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]];
}

function inverse([a, b, c, d, e, f, g, h, i]: Matrix): Matrix {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const cofactors = [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ] as const;
  const [p, q, r, s, t, u, v, w, x] = cofactors.map((value) => value / determinant) as [...Matrix];
  return [p, q, r, s, t, u, v, w, x];
}

/** @throws RangeError where a tag points beyond the end. */
function profileTags(profile: Uint8Array): ReadonlyMap<string, DataView> {
  // A buffer of its own, beyond which nothing can be read.
  const icc = Uint8Array.from(profile);
  const view = new DataView(icc.buffer);
  const tags = new Map<string, DataView>();
  // No profile has more; a damaged count must not keep anyone busy.
  const count = Math.min(view.getUint32(128), 200);
  for (let at = 132; at < 132 + 12 * count; at += 12) {
    const name = String.fromCharCode(...icc.subarray(at, at + 4));
    tags.set(name, new DataView(icc.buffer, view.getUint32(at + 4), view.getUint32(at + 8)));
  }
  return tags;
}

/** Tags are signed numbers of 16.16 bits. */
function fixed(tag: DataView, at: number): number {
  return tag.getInt32(at) / 65536;
}

function profileColumn(tag: DataView | undefined): Triple | undefined {
  return tag && [fixed(tag, 8), fixed(tag, 12), fixed(tag, 16)];
}

/** ICC.1:2022, 10.6 (curveType) and 10.18 (parametricCurveType). */
function profileCurve(tag: DataView | undefined): Curve | undefined {
  if (tag === undefined) return undefined;
  const type = tag.getUint32(0);
  if (type === 0x63757276) {
    const count = tag.getUint32(8);
    if (count === 0) return (value) => value;
    if (count === 1) return power(tag.getUint16(12) / 256);
    // A damaged count must not take memory.
    if (12 + 2 * count > tag.byteLength) return undefined;
    const values = Float64Array.from({ length: count }, (_, i) => tag.getUint16(12 + 2 * i) / 65535);
    return (value) => {
      const below = Math.min(count - 2, Math.floor(value * (count - 1)));
      const share = value * (count - 1) - below;
      return (values[below] ?? 0) * (1 - share) + (values[below + 1] ?? 0) * share;
    };
  }
  if (type !== 0x70617261) return undefined;
  const kind = tag.getUint16(8);
  const length = [1, 3, 4, 5, 7][kind];
  if (length === undefined) return undefined;
  const [g = 1, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from({ length }, (_, i) => fixed(tag, 12 + 4 * i));
  switch (kind) {
    case 0:
      return power(g);
    case 1:
    case 2:
      return (value) => (value >= -b / a ? (a * value + b) ** g + c : c);
    default:
      return (value) => (value >= d ? (a * value + b) ** g + e : c * value + f);
  }
}
