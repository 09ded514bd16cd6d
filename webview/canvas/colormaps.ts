import { rgb } from 'd3-color';
import { interpolateCividis, interpolateGreys, interpolateMagma, interpolateViridis } from 'd3-scale-chromatic';

export const colormapNames = ['viridis', 'cividis', 'magma', 'grey'] as const;
export type ColormapName = (typeof colormapNames)[number];

const interpolators: Record<ColormapName, (t: number) => string> = {
  viridis: interpolateViridis,
  cividis: interpolateCividis,
  magma: interpolateMagma,
  // The library's greys run from white to black; like the other maps, more should be brighter.
  grey: (t) => interpolateGreys(1 - t),
};

const entries = 256;
const tables = new Map<ColormapName, Uint8ClampedArray>();

/** 256 RGB triples of a colour map, low to high. */
export function colourTable(name: ColormapName): Uint8ClampedArray {
  let table = tables.get(name);
  if (table === undefined) {
    table = new Uint8ClampedArray(3 * entries);
    for (let i = 0; i < entries; i++) {
      const { r, g, b } = rgb(interpolators[name](i / (entries - 1)));
      table.set([r, g, b], 3 * i);
    }
    tables.set(name, table);
  }
  return table;
}

/** Entry of the table for a share in [0, 1]; what lies outside is clamped. */
export function colourIndex(share: number): number {
  return Math.min(entries - 1, Math.max(0, Math.round(share * (entries - 1))));
}

/** CSS colour for a share in [0, 1]. */
export function cssColour(name: ColormapName, share: number): string {
  const table = colourTable(name);
  const offset = 3 * colourIndex(share);
  return `rgb(${table[offset] ?? 0} ${table[offset + 1] ?? 0} ${table[offset + 2] ?? 0})`;
}
