/** The colours that an AV1 stream states of itself (AV1 Bitstream & Decoding Process Specification, 5.3 to 5.5). */
import { unspecified, type Bytes } from './imageFormats';

/** Code points of Rec. ITU-T H.273. */
export interface CodedColours {
  readonly primaries: number;
  readonly transfer: number;
}

const nothingSaid: CodedColours = { primaries: unspecified, transfer: unspecified };

const sequenceHeader = 1;

/** Before the header there is a temporal delimiter at most, and what someone may have put there besides. */
const mostUnits = 16;

/**
 * Reads the first sequence header among the units of a stream from `start` to `end`.
 *
 * @returns unspecified colours where it states none, or there is no such header.
 * @throws RangeError where it goes on beyond the end of the file.
 */
export function codedColours(bytes: Bytes, start: number, end: number): CodedColours {
  for (let at = start, unit = 0; at < end && unit < mostUnits; unit++) {
    const header = bytes.u8(at);
    at += (header & 4) === 0 ? 1 : 2;
    let length = end - at;
    if ((header & 2) !== 0) {
      length = 0;
      // leb128() of 4.10.5
      for (let i = 0, more = true; more && i < 8; i++) {
        const byte = bytes.u8(at++);
        length += (byte & 0x7f) * 2 ** (7 * i);
        more = byte >= 0x80;
      }
    }
    if (((header >> 3) & 15) === sequenceHeader) return coloursIn(new Bits(bytes, at));
    at += length;
  }
  return nothingSaid;
}

/** sequence_header_obu() of 5.5.1 up to color_config() of 5.5.2. */
function coloursIn(bits: Bits): CodedColours {
  const profile = bits.read(3);
  bits.skip(1);
  const reduced = bits.flag();
  if (reduced) bits.skip(5);
  else skipOperatingPoints(bits);
  const [widthBits, heightBits] = [bits.read(4) + 1, bits.read(4) + 1];
  bits.skip(widthBits + heightBits);
  if (!reduced && bits.flag()) bits.skip(7);
  bits.skip(3);
  if (!reduced) skipTools(bits);
  bits.skip(3);

  const highBitDepth = bits.flag();
  if (profile === 2 && highBitDepth) bits.skip(1);
  if (profile !== 1) bits.skip(1);
  return bits.flag() ? { primaries: bits.read(8), transfer: bits.read(8) } : nothingSaid;
}

/** Timing and the operating points. */
function skipOperatingPoints(bits: Bits): void {
  let delayBits = 0;
  if (bits.flag()) {
    bits.skip(64);
    if (bits.flag()) bits.skipVariable();
    if (bits.flag()) {
      delayBits = bits.read(5) + 1;
      bits.skip(42);
    }
  }
  const displayDelays = bits.flag();
  for (let points = bits.read(5) + 1; points > 0; points--) {
    bits.skip(12);
    if (bits.read(5) > 7) bits.skip(1);
    if (delayBits > 0 && bits.flag()) bits.skip(2 * delayBits + 1);
    if (displayDelays && bits.flag()) bits.skip(4);
  }
}

/** Tools of moving pictures. */
function skipTools(bits: Bits): void {
  bits.skip(4);
  const orderHints = bits.flag();
  if (orderHints) bits.skip(2);
  const chosenByFrames = bits.flag();
  const screenContent = chosenByFrames || bits.flag();
  if (screenContent && !bits.flag()) bits.skip(1);
  if (orderHints) bits.skip(3);
}

/** Bits from the most significant on. */
class Bits {
  private position = 0;

  constructor(
    private readonly bytes: Bytes,
    private readonly start: number,
  ) {}

  /** At most 8 bits. */
  read(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.position++) {
      const byte = this.bytes.u8(this.start + (this.position >> 3));
      value = 2 * value + ((byte >> (7 - (this.position & 7))) & 1);
    }
    return value;
  }

  flag(): boolean {
    return this.read(1) === 1;
  }

  skip(count: number): void {
    this.position += count;
  }

  /** uvlc() of 4.10.3. */
  skipVariable(): void {
    let zeros = 0;
    while (zeros < 32 && !this.flag()) zeros++;
    if (zeros < 32) this.skip(zeros);
  }
}
