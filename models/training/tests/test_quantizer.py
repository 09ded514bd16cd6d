import torch

from tatok.quantizer import FiniteScalarQuantizer

QUANTIZER = FiniteScalarQuantizer((8, 8, 8, 8))


def test_codes_and_levels_are_inverse():
    codes = torch.arange(4096, dtype=torch.int32)
    levels = QUANTIZER.code_levels(codes)
    assert levels.min() == 0
    assert levels.max() == 7
    assert torch.equal(QUANTIZER.codes(levels.float()), codes)
    assert levels[1].tolist() == [1, 0, 0, 0]


def test_coordinates_are_those_of_the_contract():
    assert QUANTIZER.decode(torch.tensor([0, 4095])).tolist() == [[-1.0] * 4, [1.0] * 4]


def test_every_level_is_reached_and_none_is_overrun():
    position = QUANTIZER.bound(torch.linspace(-20, 20, 4001).unsqueeze(-1).expand(-1, 4))
    assert sorted(set(position.round().int().flatten().tolist())) == list(range(8))


def test_gradient_passes_straight_through():
    raw = torch.randn(5, 4, requires_grad=True)
    QUANTIZER.quantize(QUANTIZER.bound(raw)).sum().backward()
    smooth = raw.detach().clone().requires_grad_()
    QUANTIZER.coordinates(QUANTIZER.bound(smooth)).sum().backward()
    assert torch.allclose(raw.grad, smooth.grad)
