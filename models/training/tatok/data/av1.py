"""The colours that an AV1 stream states of itself (AV1 Bitstream & Decoding Process Specification, 5.3 to 5.5)."""

from .formats import UNSPECIFIED

_SEQUENCE_HEADER = 1

# Before the header there is a temporal delimiter at most, and what someone may have put there besides.
_MOST_UNITS = 16


def coded_colours(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Primaries and transfer (Rec. ITU-T H.273) of the first sequence header among the units of a stream.

    Both are unspecified where it states none, or there is no such header. Raises IndexError beyond the end of the file.
    """
    at = start
    for _ in range(_MOST_UNITS):
        if at >= end:
            break
        header = data[at]
        at += 2 if header & 4 else 1
        length = end - at
        if header & 2:
            # leb128() of 4.10.5
            length = 0
            for i in range(8):
                byte = data[at]
                at += 1
                length += (byte & 0x7F) << (7 * i)
                if byte < 0x80:
                    break
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            return _colours(_Bits(data, at))
        at += length
    return UNSPECIFIED, UNSPECIFIED


class _Bits:
    """Bits from the most significant on."""

    def __init__(self, data: bytes, start: int):
        self._data = data
        self._position = 8 * start

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + (self._data[self._position >> 3] >> (7 - (self._position & 7)) & 1)
            self._position += 1
        return value

    def skip(self, count: int) -> None:
        self._position += count

    def skip_variable(self) -> None:
        """uvlc() of 4.10.3."""
        zeros = 0
        while zeros < 32 and not self.read(1):
            zeros += 1
        if zeros < 32:
            self.skip(zeros)


def _colours(bits: _Bits) -> tuple[int, int]:
    """sequence_header_obu() of 5.5.1 up to color_config() of 5.5.2."""
    profile = bits.read(3)
    bits.skip(1)
    reduced = bits.read(1)
    if reduced:
        bits.skip(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    bits.skip(width_bits + height_bits)
    if not reduced and bits.read(1):
        bits.skip(7)
    bits.skip(3)
    if not reduced:
        _skip_tools(bits)
    bits.skip(3)

    high_bit_depth = bits.read(1)
    if profile == 2 and high_bit_depth:
        bits.skip(1)
    if profile != 1:
        bits.skip(1)
    return (bits.read(8), bits.read(8)) if bits.read(1) else (UNSPECIFIED, UNSPECIFIED)


def _skip_operating_points(bits: _Bits) -> None:
    """Timing and the operating points."""
    delay_bits = 0
    if bits.read(1):
        bits.skip(64)
        if bits.read(1):
            bits.skip_variable()
        if bits.read(1):
            delay_bits = bits.read(5) + 1
            bits.skip(42)
    display_delays = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.skip(12)
        if bits.read(5) > 7:
            bits.skip(1)
        if delay_bits and bits.read(1):
            bits.skip(2 * delay_bits + 1)
        if display_delays and bits.read(1):
            bits.skip(4)


def _skip_tools(bits: _Bits) -> None:
    """Tools of moving pictures."""
    bits.skip(4)
    order_hints = bits.read(1)
    if order_hints:
        bits.skip(2)
    # Screen content tools may be chosen by frames; then the same is asked of vectors of whole pixels.
    if (bits.read(1) or bits.read(1)) and not bits.read(1):
        bits.skip(1)
    if order_hints:
        bits.skip(3)
