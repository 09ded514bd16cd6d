import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tatok.data.augment import Augmentation
from tatok.data.crops import Boxes, CropShape, CropSource, sample_boxes

CPU = torch.device("cpu")


def test_crops_are_repeated_by_the_generator(pack: Path):
    source = CropSource.open(pack, 32, CropShape(0.5, 1.4, 0.3, 10), Augmentation(0.2, 0.6, 0.25), CPU)
    crops = source.batch(16, torch.Generator().manual_seed(0))
    assert crops.shape == (16, 3, 32, 32)
    assert crops.abs().max() <= 1
    assert torch.equal(crops, source.batch(16, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2])
@pytest.mark.parametrize("flip", [False, True])
def test_samples_are_those_of_an_affine_grid(pack: Path, angle: float, flip: bool):
    """PyTorch's own sampling of the second image, also of places beyond its border."""
    source = CropSource.open(pack, 32, CropShape(), Augmentation(0, 0, 0), CPU)
    height, width = source.sizes[1].tolist()
    start = source.offsets[1]
    image = source.pixels[start : start + height * width * 3].view(1, height, width, 3).permute(0, 3, 1, 2).float() / 127.5 - 1
    centre, half = torch.tensor([[height * 0.4, width * 0.7]]), torch.tensor([[height * 0.35, width * 0.4]])
    boxes = Boxes(centre, half, torch.tensor([angle]), torch.tensor([flip]))
    sampled = sample_boxes(source.pixels, source.offsets[1:2], source.sizes[1:2], boxes, 32)

    (down, across), sign = half[0].tolist(), -1 if flip else 1
    cos, sin = math.cos(angle), math.sin(angle)
    rows = [
        [sign * across * cos, -down * sin, centre[0, 1] - width / 2],
        [sign * across * sin, down * cos, centre[0, 0] - height / 2],
    ]
    theta = torch.tensor(rows) * torch.tensor([[2 / width], [2 / height]])
    grid = F.affine_grid(theta[None].float(), [1, 3, 32, 32], align_corners=False)
    expected = F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(sampled, expected, atol=2e-3, rtol=0)


def drawn(shape: CropShape, sizes: torch.Tensor) -> Boxes:
    return shape.boxes(sizes, shape.numbers(len(sizes), torch.Generator().manual_seed(1)))


def test_plain_crops_lie_inside_and_are_square():
    sizes = torch.tensor([[90.0, 120.0], [300.0, 200.0]]).repeat(200, 1)
    boxes = drawn(CropShape(0.5), sizes)
    assert (boxes.centre - boxes.half >= -1e-3).all()
    assert (boxes.centre + boxes.half <= sizes + 1e-3).all()
    assert torch.allclose(boxes.half[:, 0], boxes.half[:, 1])
    sides = 2 * boxes.half[:, 0] / sizes.amin(1)
    assert 0.5 <= sides.min() < 0.55
    assert 0.95 < sides.max() <= 1
    assert boxes.angle.eq(0).all()
    assert 0.3 < boxes.flip.float().mean() < 0.7


def test_crops_are_as_large_stretched_and_tilted_as_they_may():
    sizes = torch.full((400, 2), 100.0)
    boxes = drawn(CropShape(0.8, 1.4, 0.4, 15), sizes)
    side = 2 * boxes.half.prod(1).sqrt() / 100
    assert 0.8 <= side.min() < side.max() <= 1.4
    assert side.max() > 1.35
    ratio = (boxes.half[:, 1] / boxes.half[:, 0]).log().abs()
    assert 0.35 < ratio.max() <= 0.4 + 1e-5
    assert math.radians(14) < boxes.angle.abs().max() <= math.radians(15)


def test_an_empty_pack_is_refused(tmp_path: Path):
    (tmp_path / "index.json").write_text(json.dumps({"sizes": []}))
    np.zeros(0, np.uint8).tofile(tmp_path / "pixels.bin")
    with pytest.raises(ValueError, match="holds no images"):
        CropSource.open(tmp_path, 32, CropShape(), Augmentation(0, 0, 0), CPU)
