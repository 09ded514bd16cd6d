"""An AVIF's description of its samples, and the kind of other files of ISO base media."""

from collections.abc import Iterator
from typing import NamedTuple

from .av1 import coded_colours
from .colour import ColourSpace, srgb_curve
from .formats import FORMATS, UNSPECIFIED, Container, UnsupportedImageError, known_space, number

_OTHER_ITEMS = {
    "hvc1": "HEIC",
    "avc1": "HEIF (H.264)",
    "vvc1": "HEIF (H.266)",
    "jpeg": "HEIF (JPEG)",
    "j2k1": "HEIF (JPEG 2000)",
    "unci": "HEIF (uncompressed)",
    "mski": "HEIF (mask)",
}


_SIZES = {0: "", 2: ">H", 4: ">I", 8: ">Q"}


class _Box(NamedTuple):
    """A box of ISO/IEC 14496-12; from `start` to `end` is its content."""

    type: str
    start: int
    end: int


def inspect_iso_media(data: bytes) -> Container:
    top = list(_boxes(data, 0, len(data)))
    brands = data[8 : top[0].end] if top else b""
    meta = _find(top, "meta")
    if meta is None:
        if b"avis" in brands:
            raise UnsupportedImageError("Animated AVIF images without a still picture")
        if b"crx " in brands:
            raise UnsupportedImageError("Camera raw images")
        raise ValueError(f"it is not an image of a supported format ({FORMATS})")
    items = _Items(data, meta)
    kind = items.coded_type()
    if kind != "av01":
        raise UnsupportedImageError(f"{_OTHER_ITEMS.get(kind, 'HEIF')} images")
    premultiplied = bool(items.references("prem", items.primary))
    return Container("avif", _as_decoded(data, items), items.space(), premultiplied)


def _as_decoded(data: bytes, items: "_Items") -> bytes:
    """A copy that the decoder takes for what it is."""
    # It knows AVIF by its first brand only.
    copy = data[:8] + b"avif" + data[12:]
    nclx = items.colours().get(b"nclx")
    # An unspecified matrix is BT.601's (MIAF, 7.3.6.4). Where nothing else is specified either, the decoder takes the stream's.
    if nclx is not None and number(data, nclx + 8, ">H") == UNSPECIFIED:
        copy = copy[: nclx + 8] + b"\0\6" + copy[nclx + 10 :]
    return copy


class _Items:
    """The primary picture of a HEIF, and what belongs to it."""

    def __init__(self, data: bytes, meta: _Box):
        self._data = data
        self._boxes = list(_boxes(data, meta.start + 4, meta.end))
        primary = _find(self._boxes, "pitm")
        self.primary = 0 if primary is None else self._item(primary.start + 4, data[primary.start] > 0)

    def coded_type(self) -> str:
        """Item type of the primary picture, or of the first that it is put together from; empty for none."""
        return self._type(self._coded())

    def _coded(self) -> int:
        """The primary picture, or the first that it is put together from; 0 for none."""
        derived = self._type(self.primary) in ("grid", "iden", "iovl")
        return next(iter(self.references("dimg", self.primary)), 0) if derived else self.primary

    def references(self, kind: str, source: int) -> list[int]:
        """Items that an item refers to."""
        box = _find(self._boxes, "iref")
        if box is None:
            return []
        wide = self._data[box.start] > 0
        size = 4 if wide else 2
        for each in _boxes(self._data, box.start + 4, box.end):
            if each.type == kind and self._item(each.start, wide) == source:
                count = number(self._data, each.start + size, ">H")
                return [self._item(each.start + size + 2 + size * i, wide) for i in range(count)]
        return []

    def colours(self) -> dict[bytes, int]:
        """Contents of the primary picture's colour boxes by their kind."""
        boxes = [b for b in self._properties(self.primary) if b.type == "colr"]
        # The first of a kind counts.
        return {self._data[b.start : b.start + 4]: b.start for b in reversed(boxes)}

    def space(self) -> ColourSpace | None:
        """Of the primary picture's colour box, or else of its stream; None where a profile says it, or nothing does."""
        boxes = self.colours()
        if b"prof" in boxes or b"rICC" in boxes:
            return None
        if b"nclx" in boxes:
            primaries, transfer = (number(self._data, boxes[b"nclx"] + at, ">H") for at in (4, 6))
        else:
            primaries, transfer = coded_colours(self._data, *self._first_extent(self._coded()))
        # An unspecified value is taken for sRGB's, and sRGB itself needs no conversion.
        primaries = 1 if primaries == UNSPECIFIED else primaries
        transfer = 13 if transfer == UNSPECIFIED else transfer
        return None if primaries == 1 and transfer in (1, 6, 13) else known_space("AVIF", primaries, transfer, srgb_curve)

    def _first_extent(self, item: int) -> tuple[int, int]:
        """From where to where the first piece of an item's data is (ISO/IEC 14496-12, 8.11.3); nowhere for none."""
        table = _find(self._boxes, "iloc")
        if table is None:
            return 0, 0
        version, sizes, more = (self._data[table.start + i] for i in (0, 4, 5))
        at = table.start + 6

        def read(size: int) -> int:
            nonlocal at
            at += size
            if size not in _SIZES:
                raise IndexError("a number has a size of its own")
            return number(self._data, at - size, _SIZES[size]) if size else 0

        wide = 4 if version > 1 else 2
        index_size = more & 15 if version > 0 else 0
        for _ in range(read(wide)):
            of = read(wide)
            in_item_data = version > 0 and read(2) & 15 == 1
            read(2)
            base = read(more >> 4)
            extents = read(2)
            if of != item or extents == 0:
                at += extents * (index_size + (sizes >> 4) + (sizes & 15))
                continue
            read(index_size)
            within = _find(self._boxes, "idat") if in_item_data else _Box("", 0, len(self._data))
            if within is None:
                return 0, 0
            start = within.start + base + read(sizes >> 4)
            length = read(sizes & 15)
            return start, min(within.end, start + length) if length else within.end
        return 0, 0

    def _type(self, item: int) -> str:
        box = _find(self._boxes, "iinf")
        if box is None:
            return ""
        for each in _boxes(self._data, box.start + (6 if self._data[box.start] == 0 else 8), box.end):
            wide = self._data[each.start] > 2
            if each.type == "infe" and self._item(each.start + 4, wide) == item:
                at = each.start + (10 if wide else 8)
                return self._data[at : at + 4].decode("latin-1")
        return ""

    def _properties(self, item: int) -> list[_Box]:
        data = self._data
        box = _find(self._boxes, "iprp")
        parts = [] if box is None else list(_boxes(data, box.start, box.end))
        container, table = _find(parts, "ipco"), _find(parts, "ipma")
        if container is None or table is None:
            return []
        properties = list(_boxes(data, container.start, container.end))
        wide, wide_index = data[table.start] > 0, data[table.start + 3] & 1
        at = table.start + 8
        for _ in range(number(data, table.start + 4)):
            of = self._item(at, wide)
            at += 4 if wide else 2
            count, start = data[at], at + 1
            at = start + count * (2 if wide_index else 1)
            if of == item:
                indices = [
                    number(data, start + 2 * i, ">H") & 0x7FFF if wide_index else data[start + i] & 0x7F for i in range(count)
                ]
                return [properties[index - 1] for index in indices if 0 < index <= len(properties)]
        return []

    def _item(self, at: int, wide: bool) -> int:
        return number(self._data, at, ">I" if wide else ">H")


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        length, header = number(data, start), 8
        if length == 1:
            length, header = number(data, start + 8, ">Q"), 16
        elif length == 0:
            length = end - start
        if length < header:
            return
        yield _Box(data[start + 4 : start + 8].decode("latin-1"), start + header, min(end, start + length))
        start += length


def _find(boxes: list[_Box], kind: str) -> _Box | None:
    return next((box for box in boxes if box.type == kind), None)
