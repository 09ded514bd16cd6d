import pytest
import torch

from tatok.config import PRESETS, TINY_MODEL
from tatok.layers import Upsample
from tatok.model import pooling_matrix
from tatok.tokenizer import TaTok


@pytest.mark.parametrize("tokens", [1, 4, 32, 57])
def test_pooling_averages_blocks_that_cover_the_grid(tokens: int):
    matrix = pooling_matrix(16, tokens)
    assert matrix.shape == (tokens, 256)
    assert torch.allclose(matrix.sum(1), torch.ones(tokens))
    assert (matrix > 0).any(0).all()
    if tokens.bit_count() == 1:
        assert ((matrix > 0).sum(0) == 1).all()


def test_baselines_have_as_many_parameters():
    def parameters(name: str) -> int:
        return sum(p.numel() for p in TaTok(PRESETS[name]).parameters())

    wanted = parameters("tatok-s-256")
    assert parameters("fixed-256") == pytest.approx(wanted, rel=0.02)
    assert parameters("fixed-57") == pytest.approx(wanted, rel=0.02)


def test_attention_path_computes_the_same_and_rows_sum_to_one(model: TaTok):
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        plain = model.encoder(image)
        *same, attention = model.encoder.forward_with_attention(image)
    for a, b in zip(plain, same, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert attention.shape == (
        2,
        TINY_MODEL.encoder_layers,
        TINY_MODEL.heads,
        TINY_MODEL.global_tokens,
        TINY_MODEL.patch_tokens,
    )
    assert torch.allclose(attention.sum(-1), torch.ones(()), atol=1e-5)


def test_entropy_model_looks_at_visible_patches_only(model: TaTok):
    global_codes, patch_codes = torch.rand(1, 4, 6), torch.rand(1, 16, 6)
    visible = torch.arange(16)[None] < 5
    changed = torch.where(visible.unsqueeze(-1), patch_codes, torch.rand(1, 16, 6))
    with torch.no_grad():
        before, after = (model.entropy_model(global_codes, z, visible) for z in (patch_codes, changed))
        moved = model.entropy_model(global_codes, patch_codes + visible.unsqueeze(-1) * 0.5, visible)
    assert torch.equal(before, after)
    assert not torch.allclose(before, moved)


def test_decoder_looks_at_kept_codes_only(model: TaTok):
    global_codes, patch_codes, expected = torch.rand(1, 4, 6), torch.rand(1, 16, 6), torch.rand(1, 16, 6)
    keep = torch.arange(16)[None] % 2 == 0
    other = torch.where(keep.unsqueeze(-1), patch_codes, torch.rand(1, 16, 6))
    with torch.no_grad():
        images = [model.decoder(global_codes, z, expected, keep) for z in (patch_codes, other)]
    assert images[0].shape == (1, 3, 64, 64)
    assert torch.equal(*images)


def test_padded_channels_change_nothing():
    upsample = Upsample(8, 3)
    torch.nn.init.normal_(upsample.conv.bias)
    x = torch.randn(2, 8, 4, 4)
    assert torch.allclose(upsample.forward_padded(x), upsample(x), atol=1e-6)
