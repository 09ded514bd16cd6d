import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codedColours } from '../../../src/engine/av1';
import { Bytes } from '../../../src/engine/imageFormats';

/** Fields of a sequence header as the specification lists them (5.5.1 and 5.5.2): a number and its bits, in their order. */
type Field = readonly [value: number, bits: number];

/** All that a header may hold or leave out. */
interface Header {
  readonly profile: number;
  readonly reduced: boolean;
  readonly timing: boolean;
  readonly equalPictures: boolean;
  readonly decoderModel: boolean;
  readonly delays: boolean;
  readonly points: readonly { readonly level: number; readonly model: boolean; readonly delay: boolean }[];
  readonly sideBits: number;
  readonly frameIds: boolean;
  readonly orderHints: boolean;
  readonly screenContent: 'by frames' | 'always' | 'never';
  readonly wholePixels: boolean;
  readonly highBitDepth: boolean;
  readonly colours?: readonly [number, number] | undefined;
}

const flag = (value: boolean): Field => [value ? 1 : 0, 1];
const when = (condition: boolean, ...fields: Field[]): Field[] => (condition ? fields : []);

function fieldsOf(header: Header): Field[] {
  const { profile, reduced, timing, decoderModel, delays, points, sideBits, orderHints, screenContent } = header;
  const model = timing && decoderModel;
  const point = ({ level, model: own, delay }: Header['points'][number]): Field[] => [
    [0b1010_1010_1010, 12],
    [level, 5],
    ...when(level > 7, flag(true)),
    ...when(model, flag(own), ...when(own, [0x155, 10], [0x2aa, 10], flag(true))),
    ...when(delays, flag(delay), ...when(delay, [9, 4])),
  ];
  return [
    [profile, 3],
    flag(true),
    flag(reduced),
    ...when(reduced, [13, 5]),
    ...when(
      !reduced,
      flag(timing),
      ...when(
        timing,
        [1, 32],
        [30, 32],
        flag(header.equalPictures),
        // uvlc() of 4: two zeros, a one and the two bits of 5 - 4.
        ...when(header.equalPictures, [0b00101, 5]),
        flag(decoderModel),
        // The length of delays is 10 bits.
        ...when(decoderModel, [9, 5], [0xffff_ffff, 32], [31, 5], [31, 5]),
      ),
      flag(delays),
      [points.length - 1, 5],
      ...points.flatMap(point),
    ),
    [sideBits - 1, 4],
    [sideBits - 1, 4],
    [95, sideBits],
    [63, sideBits],
    ...when(!reduced, flag(header.frameIds), ...when(header.frameIds, [14, 4], [7, 3])),
    [0b101, 3],
    ...when(
      !reduced,
      [0b1111, 4],
      flag(orderHints),
      ...when(orderHints, [0b11, 2]),
      flag(screenContent === 'by frames'),
      ...when(screenContent !== 'by frames', flag(screenContent === 'always')),
      ...when(screenContent !== 'never', flag(!header.wholePixels), ...when(header.wholePixels, flag(true))),
      ...when(orderHints, [6, 3]),
    ),
    [0b010, 3],
    flag(header.highBitDepth),
    ...when(profile === 2 && header.highBitDepth, flag(true)),
    ...when(profile !== 1, flag(false)),
    flag(header.colours !== undefined),
    ...(header.colours ?? []).map((code): Field => [code, 8]),
    [0b110, 3],
  ];
}

/** A temporal delimiter and a sequence header, with lengths or without. */
function stream(fields: readonly Field[], lengths: boolean): Uint8Array {
  const digits = fields.map(([value, bits]) => value.toString(2).padStart(bits, '0')).join('');
  const bytes = digits.match(/.{1,8}/g)?.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2)) ?? [];
  return Uint8Array.from([0x12, 0, ...(lengths ? [0x0a, bytes.length] : [0x08]), ...bytes]);
}

const header: fc.Arbitrary<Header> = fc.record({
  profile: fc.constantFrom(0, 1, 2),
  reduced: fc.boolean(),
  timing: fc.boolean(),
  equalPictures: fc.boolean(),
  decoderModel: fc.boolean(),
  delays: fc.boolean(),
  points: fc.array(fc.record({ level: fc.nat(31), model: fc.boolean(), delay: fc.boolean() }), {
    minLength: 1,
    maxLength: 4,
  }),
  sideBits: fc.integer({ min: 7, max: 16 }),
  frameIds: fc.boolean(),
  orderHints: fc.boolean(),
  screenContent: fc.constantFrom('by frames', 'always', 'never'),
  wholePixels: fc.boolean(),
  highBitDepth: fc.boolean(),
  colours: fc.option(fc.tuple(fc.nat(255), fc.nat(255)), { nil: undefined }),
});

describe('the colours of an AV1 stream', () => {
  it('are read whatever else its header holds or leaves out', () => {
    fc.assert(
      fc.property(header, fc.boolean(), (given, lengths) => {
        const bytes = stream(fieldsOf(given), lengths);
        const [primaries, transfer] = given.colours ?? [2, 2];
        expect(codedColours(new Bytes(bytes), 0, bytes.length)).toEqual({ primaries, transfer });
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('are unspecified where there is no header among the first units, however many there are', () => {
    const bytes = new Uint8Array(1e6).fill(0x12).map((byte, i) => (i % 2 === 0 ? byte : 0));
    expect(codedColours(new Bytes(bytes), 0, bytes.length)).toEqual({ primaries: 2, transfer: 2 });
  });

  it('are not looked for beyond the end of the file', () => {
    const bytes = Uint8Array.of(0x0a, 9, 0, 0);
    expect(() => codedColours(new Bytes(bytes), 0, bytes.length)).toThrow(RangeError);
  });
});
