"""The pictures that the inspector's own tests read, and refuse, are read and refused here."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tatok.data.av1 import coded_colours
from tatok.data.pixels import centre_square, decode_srgb, open_srgb

FIXTURES = Path(__file__).parents[3] / "test" / "fixtures" / "images"
CASES = json.loads((FIXTURES / "cases.json").read_text())


def named(cases: list[dict]) -> list:
    return [pytest.param(case, id=case["file"]) for case in cases]


@pytest.mark.parametrize("case", named([c for c in CASES if "right" in c]))
def test_an_image_shows_what_the_inspector_shows(case: dict):
    shown = np.asarray(open_srgb(FIXTURES / case["file"])).astype(int)
    right = np.asarray(Image.open(FIXTURES / "right" / case["right"]).convert("RGB"))
    assert shown.shape == right.shape
    assert np.abs(shown - right).mean() < case.get("difference", 0.5)


@pytest.mark.parametrize("case", named([c for c in CASES if "code" in c]))
def test_what_the_inspector_refuses_is_refused(case: dict):
    with pytest.raises(ValueError, match=rf"{case['file']} cannot be read: ") as refusal:
        open_srgb(FIXTURES / case["file"])
    assert case["says"] in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_other_loaders_of_the_decoder_are_blocked():
    import pyvips

    open_srgb(FIXTURES / "png-gama-alone.png")
    with pytest.raises(pyvips.Error, match="not in a known format"):
        pyvips.Image.new_from_buffer((FIXTURES / "svg-bomb.png").read_bytes(), "")


def test_threads_that_decode_and_scale_at_once_do_not_disturb_each_other():
    """Sound, damaged and unusual files next to each other: what is said of one must not be another's."""
    files = [file.read_bytes() for file in sorted(FIXTURES.glob("*.*g"))]

    def shown(file: bytes) -> str:
        try:
            rgb = decode_srgb(file)
            crops = [centre_square(rgb, side)[0] for side in (8, 12, 16)]
            return hashlib.sha256(b"".join(part.tobytes() for part in (rgb, *crops))).hexdigest()
        except ValueError as error:
            return str(error)

    right = [shown(file) for file in files]
    assert len({text for text in right if "damaged" in text}) > 1
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shown, files * 6)) == right * 6


def test_the_central_square_is_that_of_the_extension():
    """Sides and crops as the extension computes them, and where nothing is scaled the very pixels."""
    rgb = np.random.default_rng(0).integers(0, 256, (51, 40, 3), dtype=np.uint8)
    pixels, crop = centre_square(rgb, 40)
    assert crop == (0, 6, 40, 40)  # 5.5 is rounded up
    assert np.array_equal(pixels, rgb[6:46])
    pixels, crop = centre_square(np.full((101, 307, 3), 9, np.uint8), 32)
    assert pixels.shape == (32, 32, 3)
    assert (pixels == 9).all()
    assert crop == (104, 0, 101, 101)


def test_a_file_that_is_too_large_or_none_is_not_read(tmp_path: Path):
    with (tmp_path / "vast.tif").open("wb") as file:
        file.truncate(2**31)
    (tmp_path / "empty.png").touch()
    for name, reason in (("vast.tif", "too large"), ("empty.png", "the file is empty"), ("missing.png", "no such file")):
        with pytest.raises(ValueError, match=reason):
            open_srgb(tmp_path / name)


def test_the_colours_of_a_stream_come_after_all_that_its_header_may_hold():
    fields = [
        *("010", "1", "0"),  # profile 2, a still picture, no reduced header
        *("1", f"{1:032b}", f"{30:032b}", "1", "00101"),  # timing, of equal pictures
        *("1", f"{9:05b}", "1" * 32, "11111", "11111"),  # a decoder model, whose delays have 10 bits
        *("1", f"{1:05b}"),  # display delays, two operating points
        *("101010101010", f"{8:05b}", "1", "1", "0101010101", "1010101010", "1", "1", "1001"),
        *("101010101010", f"{7:05b}", "0", "0"),
        *(f"{6:04b}", f"{5:04b}", "1011111", "111111"),  # sides in 7 and 6 bits
        *("1", "1110", "111", "101"),  # numbers of frames
        *("1111", "1", "11", "0", "1", "0", "1", "110"),  # order hints, screen content always, vectors of whole pixels
        *("010", "1", "1", "0", "1", f"{12:08b}", f"{13:08b}"),
    ]
    bits = "".join(fields)
    header = bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))
    for start in (b"\x12\0\x08", b"\x12\0\x0a" + bytes([len(header)])):
        data = start + header
        assert coded_colours(data, 0, len(data)) == (12, 13)
    assert coded_colours(b"\x12\0" * 10**6, 0, 2 * 10**6) == (2, 2)
