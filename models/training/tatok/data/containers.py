"""Facts that containers of images hold and decoders ignore: the meaning of samples, and kinds that cannot be read at all.

The inspector asks the same of them, so that both read the same pixels and refuse the same files.
"""

import re
import struct
import zlib

from .colour import SRGB_PRIMARIES, ColourSpace, gamma_space, power
from .formats import FORMATS, UNSPECIFIED, Canvas, Container, UnsupportedImageError, known_space, number
from .heif import inspect_iso_media
from .tiff import inspect_tiff


def inspect_container(data: bytes) -> Container:
    """Raises UnsupportedImageError for a kind that is not read, ValueError for a file that is not an image."""
    try:
        for starts, inspect in _INSPECTORS:
            if re.match(starts, data, re.DOTALL):
                return inspect(data)
    except (struct.error, IndexError) as error:
        raise ValueError("it is damaged or cut short (its header points beyond its end)") from error
    for name, starts in _OTHER_KINDS:
        if re.match(starts, data, re.DOTALL):
            raise UnsupportedImageError(f"{name} images")
    raise ValueError(f"it is not an image of a supported format ({FORMATS})")


_OTHER_KINDS = (
    ("BMP", rb"BM"),
    ("SVG", rb"(?i)(?:\xef\xbb\xbf)?\s*<(?:svg|(?:\?xml|!--|!DOCTYPE).{0,4096}<svg)\b"),
    ("PDF", rb"%PDF"),
    ("Photoshop", rb"8BPS"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "),
    ("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    ("JPEG XR", rb"II\xbc\x01"),
    ("Icon", rb"\0\0\x01\0|icns"),
    ("OpenEXR", rb"v/1\x01"),
    ("Radiance HDR", rb"#\?RADIANCE|#\?RGBE"),
    ("Netpbm", rb"P[1-7][\s#]"),
    ("QOI", rb"qoif"),
    ("DDS", rb"DDS "),
    ("FITS", rb"SIMPLE  ="),
    ("DICOM", rb".{128}DICM"),
)


# PNG


_CHUNK_LENGTHS = {b"cHRM": 32, b"cICP": 4, b"gAMA": 4}
"""Bytes of the chunks that are read here."""

_GAMMAS = range(16, 625_000_001)
"""Numbers in a gAMA chunk that libpng, and so every browser, takes for a gamma."""


def _inspect_png(data: bytes) -> Container:
    chunks: dict[bytes, int] = {}
    at = 8
    while at + 12 <= len(data) and (name := data[at + 4 : at + 8]) != b"IDAT":
        # What has another length than its kind, or a wrong checksum, says nothing; decoders pass it over too.
        length = number(data, at)
        end = at + 8 + length
        if _CHUNK_LENGTHS.get(name, length) == length and number(data, end) == zlib.crc32(data[at + 4 : end]):
            chunks.setdefault(name, at + 8)
        at += 12 + length
    return Container("png", data, space=_png_space(data, chunks))


def _png_space(data: bytes, chunks: dict[bytes, int]) -> ColourSpace | None:
    """PNG (third edition), 4.3: cICP before iCCP, sRGB, and gAMA with cHRM."""
    if b"cICP" in chunks:
        primaries, transfer, matrix, full_range = struct.unpack_from("4B", data, chunks[b"cICP"])
        if UNSPECIFIED not in (primaries, transfer):
            if matrix != 0 or full_range != 1:
                raise UnsupportedImageError("PNG images of a video range or matrix")
            # BT.1886 is how PNG shows what cameras encode.
            return known_space("PNG", primaries, transfer, power(2.4))
    if b"iCCP" in chunks or b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    gamma = number(data, chunks[b"gAMA"])
    if gamma not in _GAMMAS:
        return None
    if b"cHRM" in chunks:
        return gamma_space(gamma / 1e5, tuple(v / 1e5 for v in struct.unpack_from(">8I", data, chunks[b"cHRM"])))
    # Alone, 1/2.2 is how programs of old say sRGB.
    return None if gamma == 45455 else gamma_space(gamma / 1e5, SRGB_PRIMARIES)


# JPEG

_OTHER_PROCESSES = {0xC3: "lossless", 0xCB: "lossless", 0xF7: "LS"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)


def _inspect_jpeg(data: bytes) -> Container:
    faults = _HarmlessFaults(data)
    # The lowest bit that was sent of each coefficient, by component.
    sent: dict[int, list[int]] = {}
    in_scan = False
    at = 2
    while at + 2 <= len(data):
        marker = data[at + 1]
        # Restart, the start of the image, and a marker for temporary use of encoders have no length.
        if data[at] != 0xFF or marker in (0, 1, 0xFF) or 0xD0 <= marker <= 0xD8:
            # Entropy-coded data, stuffed bytes and restart markers, and what fills gaps between markers.
            following = data.find(b"\xff", at + 1)
            if following < 0:
                break
            if not in_scan:
                faults.stray(at + 2 if data[at] == 0xFF and marker else at, following)
            at = following
            continue
        if marker == 0xD9:
            return Container("jpeg", faults.mended())
        if at + 4 > len(data):
            break
        if marker in _OTHER_PROCESSES:
            raise UnsupportedImageError(f"JPEG images of this kind ({_OTHER_PROCESSES[marker]})")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if data[at + 4] != 8:
                raise UnsupportedImageError(f"JPEG images of {data[at + 4]} bits a channel")
            faults.components = data[at + 9]
        if marker in (0xC2, 0xCA):
            sent |= {data[at + 10 + 3 * i]: [1] * 64 for i in range(data[at + 9])}
        if marker == 0xDA and sent:
            _note_scan(data, at + 4, sent)
        else:
            faults.note_segment(marker, at)
        in_scan = marker == 0xDA
        at += 2 + number(data, at + 2, ">H")
    complete = not any(any(lowest) for lowest in sent.values())
    return Container("jpeg", faults.mended(), lacks_end=True, complete=complete)


class _HarmlessFaults:
    """Faults of a JPEG that change no pixel.

    libjpeg warns of them, and tells of its first warning alone: they are mended before it reads the file, or they would hide
    that samples are lost.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._strays: list[slice] = []  # bytes between segments, which every decoder skips
        self._others: dict[int, int] = {}  # bytes that are written over
        self._transforms: list[int] = []  # where Adobe's segments state the transformation of colours
        self.components = 0

    def stray(self, start: int, end: int) -> None:
        if start < end:
            self._strays.append(slice(start, end))

    def note_segment(self, marker: int, at: int) -> None:
        end = at + 2 + number(self._data, at + 2, ">H")
        start = self._data[at + 4 : at + 9]
        if marker == 0xE0 and start == b"JFIF\0" and end > at + 9:
            self._others[at + 9] = 1  # of JFIF there is but version 1
        if marker == 0xEE and start == b"Adobe" and end > at + 15:
            self._transforms.append(at + 15)
        if marker == 0xDA and end >= at + 8:
            # A scan without progression has all coefficients, whatever it says.
            self._others |= {end - 3: 0, end - 2: 63, end - 1: 0}

    def mended(self) -> bytes:
        """The file, or a copy without them."""
        # Of three components libjpeg takes any transformation that it does not know for YCbCr, of four for YCCK.
        known = 2 if self.components == 4 else 1
        # Beyond the end there is nothing to write over.
        changes = self._others | {at: known for at in self._transforms if self._data[at : at + 1] != b"\0"}
        changes = {at: value for at, value in changes.items() if at < len(self._data) and self._data[at] != value}
        if not changes and not self._strays:
            return self._data
        copy = bytearray(self._data)
        for at, value in changes.items():
            copy[at] = value
        for stray in reversed(self._strays):
            del copy[stray]
        return bytes(copy)


def _note_scan(data: bytes, at: int, sent: dict[int, list[int]]) -> None:
    """Notes which coefficients a scan of a progressive JPEG brings, and how precisely."""
    end = at + 1 + 2 * data[at]
    first, last, precision = data[end], data[end + 1], data[end + 2] & 15
    for i in range(data[at]):
        if lowest := sent.get(data[at + 1 + 2 * i]):
            lowest[first : last + 1] = [precision] * (last + 1 - first)


# GIF


def _inspect_gif(data: bytes) -> Container:
    stated = struct.unpack_from("<HH", data, 6)
    at = _after_table(13, data[10])
    while at + 10 <= len(data) and data[at] == 0x21:
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    if at + 10 > len(data) or data[at] != 0x2C:
        return Container("gif", data)
    left, top, width, height = struct.unpack_from("<4H", data, at + 1)
    # A canvas that its first frame does not fit on grows, as browsers have it.
    size = max(stated[0], left + width), max(stated[1], top + height)
    return Container("gif", data, canvas=Canvas(*size, (left, top, width, height)))


def _after_table(at: int, flags: int) -> int:
    return at + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)


_INSPECTORS = (
    (rb"\x89PNG\r\n\x1a\n", _inspect_png),
    (rb"\xff\xd8\xff", _inspect_jpeg),
    (rb"GIF8[79]a", _inspect_gif),
    (rb"RIFF....WEBP", lambda data: Container("webp", data)),
    (rb"II[*+]\0|MM\0[*+]", inspect_tiff),
    (rb"....ftyp", inspect_iso_media),
)
