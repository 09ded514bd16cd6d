import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tatok.cli import main
from tatok.data.images import centre_crop, read_rgb, write_pack


def test_sixteen_bits_become_eight(tmp_path: Path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    for name in ("grey.png", "grey.tiff"):
        Image.fromarray(ramp * 257).save(tmp_path / name)
        assert np.array_equal(read_rgb(tmp_path / name), np.stack([ramp] * 3, -1)), name


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 2), (40, 40, 40, 255))
    image.convert(mode).save(tmp_path / "a.png")
    wanted = np.full((4, 4, 3), 255, np.uint8)
    wanted[2, 1] = 40
    assert np.array_equal(read_rgb(tmp_path / "a.png"), wanted)


def swapped_profile() -> bytes:
    """sRGB whose red and blue primaries have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmp ").replace(b"bXYZ", b"rXYZ").replace(b"tmp ", b"bXYZ")


def test_colours_are_converted_from_the_embedded_profile(tmp_path: Path):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "red.png", icc_profile=swapped_profile())
    assert np.abs(read_rgb(tmp_path / "red.png").astype(int) - (0, 0, 255)).max() <= 1


@pytest.mark.parametrize(("mode", "colour"), [("L", 200), ("RGB", (200, 100, 0))])
def test_a_profile_that_does_not_fit_is_no_obstacle(tmp_path: Path, mode: str, colour: int | tuple[int, ...]):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, profile in (("lab.png", lab), ("broken.png", b"no profile")):
        Image.new(mode, (4, 4), colour).save(tmp_path / name, icc_profile=profile)
        assert tuple(read_rgb(tmp_path / name)[0, 0]) == (colour if isinstance(colour, tuple) else (colour,) * 3)


def exif_of_wrong_types() -> bytes:
    """Orientation 6, and a horizontal resolution that is a text."""
    entries = [struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")]
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)


def test_exif_of_wrong_types_is_no_obstacle(tmp_path: Path):
    Image.new("RGB", (16, 8)).save(tmp_path / "exif.jpg", exif=exif_of_wrong_types())
    assert read_rgb(tmp_path / "exif.jpg").shape == (16, 8, 3)


def test_a_pack_lists_what_cannot_be_read(tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (40, 30)).save(folder / "good.png")
    (folder / "broken.png").write_bytes((folder / "good.png").read_bytes()[:40])
    Image.new("RGB", (8, 8)).save(folder / "bitmap.bmp")
    assert write_pack(sorted(folder.iterdir()), tmp_path / "pack", 16) == 1
    assert (tmp_path / "pack" / "skipped.csv").read_text().split() == [str(folder / n) for n in ("bitmap.bmp", "broken.png")]


def test_many_threads_read_every_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One that sets libvips up while others read made files unreadable that are whole."""
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    for index in range(400):
        Image.new("RGB", (24, 16), (index % 256, 0, 0)).save(tmp_path / f"{index}.png")
    assert write_pack(sorted(tmp_path.glob("*.png")), tmp_path / "pack", 16) == 400


def test_a_pack_of_nothing_leaves_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Image.new("RGB", (40, 30)).save(tmp_path / "good.png")
    assert main(["pack", str(tmp_path / "good.png"), "--out", str(tmp_path / "pack")]) == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "pack").iterdir()}
    (tmp_path / "broken.png").write_bytes(b"no image")
    for wrong, reason in (("broken.png", "none of 1 files can be read"), ("missing", "there is no")):
        assert main(["pack", str(tmp_path / wrong), "--out", str(tmp_path / "pack")]) == 1
        assert reason in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in (tmp_path / "pack").iterdir()} == before


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        centre_crop(tmp_path / "broken.png", 16)
