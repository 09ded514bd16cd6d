"""Codecs at given numbers of bytes, on sample photographs."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from tatok.evaluation.codecs import Codec, Ladder, available_codecs, encode, encode_all

CODECS, ABSENT = available_codecs()
MOST = 900


@pytest.fixture(scope="module")
def crop(photograph: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photograph[:512, :512]).resize((128, 128), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module", params=CODECS, ids=[c.name for c in CODECS])
def codec(request: pytest.FixtureRequest) -> Codec:
    return request.param


@pytest.fixture(scope="module")
def ladder(codec: Codec, crop: np.ndarray) -> Ladder:
    return encode(codec, crop, MOST)


def test_all_four_codecs_are_there_with_the_extra():
    assert [codec.name for codec in CODECS] == ["WebP", "AVIF", "JPEG", "JPEG XL"]
    assert ABSENT == []


def test_files_are_of_the_format_and_have_the_error_that_is_noted(codec: Codec, ladder: Ladder, crop: np.ndarray):
    for data, error in ladder.encodings:
        if codec.name == "JPEG XL":
            assert data[:2] == b"\xff\x0a"
            image = Image.fromarray(imagecodecs.jpegxl_decode(data))
        else:
            image = Image.open(io.BytesIO(data))
            assert image.format == codec.format
        image = image.convert("RGB").resize((128, 128), Image.Resampling.BICUBIC)
        assert np.square(np.asarray(image).astype(float) - crop).mean() == pytest.approx(error)


def test_the_best_file_fits_and_no_other_that_fits_is_better(ladder: Ladder):
    sizes = sorted(len(e.data) for e in ladder.encodings)
    for most in {sizes[0], *sizes[1::4], MOST}:
        best = ladder.best(most)
        assert len(best.data) <= most
        assert best.squared_error == min(e.squared_error for e in ladder.encodings if len(e.data) <= most)


def test_a_codec_whose_smallest_file_is_larger_begins_there(ladder: Ladder):
    assert len(ladder.best(1).data) == ladder.smallest() > 1


def test_more_bytes_are_never_worse(ladder: Ladder):
    errors = [ladder.best(most).squared_error for most in range(ladder.smallest(), MOST, 25)]
    assert errors == sorted(errors, reverse=True)


def test_small_files_are_of_small_pictures():
    """At few bytes a shrunken picture beats one of full size, which is why sizes are searched."""
    flat = np.tile(np.linspace(0, 255, 128).astype(np.uint8)[:, None, None], (1, 128, 3))
    webp = next(codec for codec in CODECS if codec.name == "WebP")
    data = encode(webp, flat, 200).best(60).data
    with Image.open(io.BytesIO(data)) as image:
        assert image.size[0] < 128
    assert webp.read(data, 128).shape == (128, 128, 3)


def test_images_coded_together_are_coded_as_each_alone(codec: Codec, crop: np.ndarray):
    images = np.stack([crop, crop[::-1]])
    together = encode_all(codec, images, 300)
    assert [each.encodings for each in together] == [encode(codec, image, 300).encodings for image in images]
