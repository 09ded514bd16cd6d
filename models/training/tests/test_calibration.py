import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import SAMPLES

from tatok.bundle.calibration import calibrate, fit_temperature
from tatok.data.images import eval_batches, list_images
from tatok.evaluation.torch_backend import TorchBackend
from tatok.tokenizer import TaTok


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.8])
def test_the_temperature_that_levels_were_drawn_with_is_found(temperature: float):
    logits = torch.randn(4000, 4, 8, generator=torch.Generator().manual_seed(0)) * 2
    levels = torch.distributions.Categorical(logits=logits / temperature)
    torch.manual_seed(1)
    assert fit_temperature(logits, levels.sample()) == pytest.approx(temperature, rel=0.05)


def test_an_overconfident_head_is_softened(model: TaTok):
    """A head that knows each level's frequency, and believes its square: the temperature that mends it is 2."""
    backend, overconfident = TorchBackend(model, "tiny"), copy.deepcopy(model)
    codes = torch.from_numpy(np.concatenate([backend.encode(batch)[1] for batch in eval_batches(list_images(SAMPLES), 64, 2)]))
    frequency = F.one_hot(model.quantizer.code_levels(codes).long(), 8).double().mean((0, 1))
    head = overconfident.entropy_model.head
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(2 * (frequency + 1e-6).log().flatten())
    before = head.bias.clone()
    assert calibrate(overconfident, SAMPLES) == pytest.approx(2, rel=0.02)
    assert torch.allclose(head.bias, before / 2, rtol=0.02)
    assert calibrate(overconfident, SAMPLES) == pytest.approx(1, rel=0.02)
