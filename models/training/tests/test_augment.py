import torch

from tatok.data.augment import Augmentation


def crops() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8


def draws(value: float, count: int = 6) -> torch.Tensor:
    return torch.full((8, count), value)


def test_nothing_changes_where_nothing_may():
    image = crops()
    assert torch.allclose(Augmentation(0.0, 0.0, 0.0)(image, draws(0.3)), image, atol=1e-6)


def test_turned_crops_are_transposed_as_a_whole():
    image = crops()
    assert torch.allclose(Augmentation(0.0, 0.0, 1.0)(image, draws(0.5)), image.transpose(2, 3), atol=1e-6)


def test_sharpening_raises_differences_of_neighbours_and_keeps_flat_areas():
    flat, image = torch.full((1, 3, 16, 16), 0.3), crops() * 0.5
    sharpen, draw = Augmentation(0.0, 0.6, 0.0), draws(0.99)
    assert torch.allclose(sharpen(flat, draw[:, :1]), flat, atol=1e-6)
    assert sharpen(image, draw).diff(dim=3).abs().mean() > image.diff(dim=3).abs().mean() * 1.2


def test_colours_stay_in_range_and_grey_stays_grey():
    generator = torch.Generator().manual_seed(2)
    augmentation = Augmentation(0.5, 0.0, 0.0)
    grey = (torch.rand(6, 1, 16, 16, generator=generator) * 2 - 1).expand(-1, 3, -1, -1)
    changed = augmentation(grey, augmentation.draw(6, generator))
    assert changed.abs().max() <= 1
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=1e-5)
    assert not torch.allclose(changed, grey, atol=0.05)


def test_mixed_crops_are_two_photographs_side_by_side():
    image, draw = crops(), draws(0.5)
    draw[6] = 0.25
    draw[7, 1::2] = 0.1
    mixed, other = Augmentation(0.0, 0.0, 0.0, 1.0)(image, draw), image.roll(-1, 0)
    # The line is upright where the last draw is below one half.
    upright, level = slice(1, None, 2), slice(0, None, 2)
    assert torch.allclose(mixed[upright][..., :4], image[upright][..., :4], atol=1e-6)
    assert torch.allclose(mixed[upright][..., 4:], other[upright][..., 4:], atol=1e-6)
    assert torch.allclose(mixed[level][..., :4, :], image[level][..., :4, :], atol=1e-6)
    assert torch.allclose(mixed[level][..., 4:, :], other[level][..., 4:, :], atol=1e-6)
    draw[5] = 0.7
    assert torch.allclose(Augmentation(0.0, 0.0, 0.0, 0.6)(image, draw), image, atol=1e-6)
