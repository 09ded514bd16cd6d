"""Samples of a TIFF or BigTIFF, and the kinds of them that are read: libvips would decode others into something else."""

import zlib
from dataclasses import dataclass

from .formats import Container, TiffSamples, UnsupportedImageError, number

_PHOTOMETRIC, _COMPRESSION, _BITS, _SAMPLES, _PLANES = 262, 259, 258, 277, 284
_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 256, 257, 278, 273, 279, 324, 325
_TILE_WIDTH, _TILE_HEIGHT, _INKS, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _DNG_VERSION = 322, 323, 332, 338, 339, 50706

# None, CCITT (3), LZW, JPEG, Deflate (2), PackBits, WebP.
_READABLE_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32946, 32773, 50001}
_OTHER_COMPRESSIONS = {
    6: "JPEG of the old kind",
    22610: "JPEG XR",
    32809: "ThunderScan",
    32909: "PixarLog",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "ZSTD",
    50002: "JPEG XL",
}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE, _CMYK, _YCBCR = 0, 1, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, 2: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_OTHER_INTERPRETATIONS = {
    4: "a transparency mask",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "camera raw samples",
    32844: "LogL",
    32845: "LogLuv",
    34892: "camera raw samples",
}
# Of a page: one of 268 megapixels has fewer tiles of 16 by 16 pixels.
_MOST_BLOCKS = 2**21
# Of a tile, which may be larger than its picture.
_MOST_TILE_PIXELS = 2**28
# Of a pixel: more are measurements, not a picture.
_MOST_SAMPLES = 16


def inspect_tiff(data: bytes) -> Container:
    if data[8:10] == b"CR":
        raise UnsupportedImageError("Camera raw images")
    layout = _Layout("<" if data[:2] == b"II" else ">", b"+" in data[2:4])
    first = layout.first(data)
    tags = layout.tags(data, first)
    if _DNG_VERSION in tags:
        raise UnsupportedImageError("Camera raw images (DNG)")
    tiff = _samples(tags)
    if (tags.get(_COMPRESSION) or [1])[0] in (8, 32946):
        _require_sound_streams(data, tags)
    # The decoder fails for what is wrong with any page.
    end, size = layout.end(data, first), layout.pointer
    return Container("tiff", data[:end] + bytes(size) + data[end + size :], tiff=tiff)


def _samples(tags: "_Tags") -> TiffSamples:
    def value(tag: int, otherwise: int) -> int:
        return (tags.get(tag) or [otherwise])[0]

    def refuse(kind: str) -> UnsupportedImageError:
        return UnsupportedImageError(f"TIFF images {kind}")

    compression, photometric = value(_COMPRESSION, 1), value(_PHOTOMETRIC, _BLACK_IS_ZERO)
    if compression not in _READABLE_COMPRESSIONS:
        raise refuse(f"compressed with {_OTHER_COMPRESSIONS.get(compression, f'method {compression}')}")
    if photometric not in _COLOURS:
        raise refuse(f"of {_OTHER_INTERPRETATIONS.get(photometric, f'interpretation {photometric}')}")
    if photometric == _YCBCR and compression != 7:
        raise refuse("of YCbCr without JPEG")
    if photometric == _CMYK and value(_INKS, 1) != 1:
        raise refuse("of inks other than CMYK")
    count, colours = value(_SAMPLES, 1), _COLOURS[photometric]
    bits, formats = set(tags.get(_BITS) or [1]), set(tags.get(_SAMPLE_FORMAT) or [1])
    if len(bits) > 1 or len(formats) > 1:
        raise refuse("whose channels differ in their bits")
    kind = _kind(*formats, *bits, photometric == _BLACK_IS_ZERO and count == 1, count)
    if kind is None:
        raise refuse(f"of {_describe(formats.pop(), bits.pop(), count)}")
    if not colours <= count <= _MOST_SAMPLES or (photometric == _PALETTE and count > 1):
        raise refuse(f"of {count} channels in this interpretation")
    if _TILE_WIDTH in tags and count > 1 and value(_PLANES, 1) == 2:
        raise refuse("whose tiles have their channels apart")
    if value(_TILE_WIDTH, 0) * value(_TILE_HEIGHT, 0) > _MOST_TILE_PIXELS:
        raise refuse("of such large tiles")
    alphas = [i for i, extra in enumerate(tags.get(_EXTRA_SAMPLES)) if extra in (1, 2)]
    return TiffSamples(kind, count, colours, colours + alphas[0] if alphas else None)


def _require_sound_streams(data: bytes, tags: "_Tags") -> None:
    """libtiff does not look at the checksums of Deflate. Raises ValueError where one is wrong.

    The work is bounded: streams are in different places of the file, and none may unpack to much more than its block has pixels
    (libtiff leaves the rest aside).
    """

    def value(tag: int, otherwise: int) -> int:
        return (tags.get(tag) or [otherwise])[0]

    tiled = _TILE_WIDTH in tags
    width, height = value(_WIDTH, 0), value(_HEIGHT, 0)
    columns = value(_TILE_WIDTH, 1) if tiled else width
    rows = value(_TILE_HEIGHT, 1) if tiled else min(height, value(_ROWS_PER_STRIP, height))
    planes, in_plane = (value(_SAMPLES, 1), 1) if value(_PLANES, 1) == 2 else (1, value(_SAMPLES, 1))
    count = planes * -(-width // max(1, columns)) * -(-height // max(1, rows))
    most = 2 * rows * -(-columns * in_plane * value(_BITS, 1) // 8) + 1024
    most_blocks = min(count, _MOST_BLOCKS)
    offsets, lengths = (
        tags.get(tag, most_blocks) for tag in ((_TILE_OFFSETS, _TILE_BYTES) if tiled else (_STRIP_OFFSETS, _STRIP_BYTES))
    )
    # Blocks that are alike may share a place.
    places = dict.fromkeys(zip(offsets, lengths, strict=False))
    if sum(length for _, length in places) > len(data):
        raise ValueError("it is damaged or cut short (its parts overlap)")
    for offset, length in places:
        stream, rest, unpacked = zlib.decompressobj(), data[offset : offset + length], 0
        try:
            # Nothing is kept of what is unpacked.
            while rest and not stream.eof and unpacked <= most:
                unpacked += len(stream.decompress(rest, 2**20))
                rest = stream.unconsumed_tail
        except zlib.error as error:
            raise ValueError(f"it is damaged or cut short ({error})") from error
        if unpacked > most:
            raise ValueError("it is damaged or cut short (a part of it holds more than its pixels)")
        if not stream.eof:
            raise ValueError("it is damaged or cut short (a stream has no end)")


def _kind(sample_format: int, bits: int, single: bool, count: int) -> str | None:
    # Undefined (4) is read as unsigned.
    if sample_format in (1, 4) and (bits in (8, 16) or (count == 1 and bits in (1, 2, 4))):
        return "unsigned"
    if single and (sample_format, bits) in ((2, 16), (3, 32)):
        return "signed" if sample_format == 2 else "float"
    return None


_KINDS = {
    1: "unsigned integers",
    2: "signed integers",
    3: "floating-point numbers",
    5: "complex integers",
    6: "complex numbers",
}


def _describe(sample_format: int, bits: int, count: int) -> str:
    return f"{count} {'channel' if count == 1 else 'channels'} of {bits}-bit {_KINDS.get(sample_format, 'samples')}"


@dataclass(frozen=True)
class _Tags:
    """Tags of one page. Integers are read when they are asked for: what is wrong with other tags does not matter."""

    layout: "_Layout"
    data: bytes
    entries: dict[int, int]

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def get(self, tag: int, most: int = 64) -> list[int]:
        """None for a tag that is absent or of another type."""
        return self.layout.integers(self.data, self.entries[tag], most) if tag in self.entries else []


@dataclass(frozen=True)
class _Layout:
    """Where things are in a TIFF or BigTIFF."""

    order: str
    big: bool

    @property
    def pointer(self) -> int:
        return 8 if self.big else 4

    def first(self, data: bytes) -> int:
        return self._pointer(data, self.pointer)

    def end(self, data: bytes, directory: int) -> int:
        """Where the pointer to the next page's directory is."""
        start, entry, count = self._entries(data, directory)
        return start + entry * count

    def tags(self, data: bytes, directory: int) -> "_Tags":
        start, entry, count = self._entries(data, directory)
        # Of a tag that comes again the decoder takes the first.
        places = reversed(range(start, start + entry * count, entry))
        return _Tags(self, data, {self._u16(data, at): at for at in places})

    def _entries(self, data: bytes, at: int) -> tuple[int, int, int]:
        return (at + 8, 20, self._pointer(data, at)) if self.big else (at + 2, 12, self._u16(data, at))

    def integers(self, data: bytes, entry: int, most: int) -> list[int]:
        kind = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(self._u16(data, entry + 2))
        if kind is None:
            return []
        count, at = self._pointer(data, entry + 4), entry + 4 + self.pointer
        size = {"B": 1, "H": 2, "I": 4, "Q": 8}[kind]
        if size * count > self.pointer:
            at = self._pointer(data, at)
        return [number(data, at + size * i, self.order + kind) for i in range(min(count, most))]

    def _u16(self, data: bytes, at: int) -> int:
        return number(data, at, self.order + "H")

    def _pointer(self, data: bytes, at: int) -> int:
        return number(data, at, self.order + ("Q" if self.big else "I"))
