"""`taming`: VQGAN (Esser et al., 2021) by CompVis/taming-transformers, a Lightning checkpoint with its YAML configuration."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import load_weights, shape
from .family import Configuration, Family, ImageSize, Tokenizer, Weights, agree, grid_of, setting
from .layers import (
    AttentionBlock,
    Decode,
    Encode,
    Pyramid,
    ResidualBlock,
    VectorQuantizer,
    doubled,
    encoder_pyramid,
    norm,
)


class Level(nn.Module):
    """Residual blocks, each followed by attention where there is attention, at one resolution."""

    def __init__(self, widths: list[int], *, attentive: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(before, after, bias=True) for before, after in pairwise(widths))
        self.attn = nn.ModuleList(AttentionBlock(width) for width in widths[1:] if attentive)

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[index](x)
        return x


class Middle(nn.Module):
    """Two residual blocks around attention, at the lowest resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width, bias=True)
        self.attn_1 = AttentionBlock(width)
        self.block_2 = ResidualBlock(width, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Resampling(nn.Module):
    """Halves or doubles the resolution, with a convolution."""

    def __init__(self, width: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(width, width, 3, stride=2) if down else nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        # Zeros come after the last row and column only, which no padding of a convolution does.
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else doubled(x))


class Encoder(nn.Module):
    """[B, 3, H, W] -> [B, latent, H / 2^(levels − 1), W / …]."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, s.channels, 3, padding=1)
        self.down = nn.ModuleList()
        before = s.channels
        for level in range(s.levels):
            self.down.append(Level([before] + [s.widths[level]] * s.blocks, attentive=level in s.attentive))
            before = s.widths[level]
            if level < s.levels - 1:
                self.down[level].downsample = Resampling(before, down=True)
        self.mid = Middle(before)
        self.norm_out = norm(before)
        self.conv_out = nn.Conv2d(before, s.latent, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv_in(image)
        for level in self.down:
            x = level(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """[B, latent, h, w] -> [B, 3, h · 2^(levels − 1), w · …]; `up` is numbered from the highest resolution."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        before = s.widths[-1]
        self.conv_in = nn.Conv2d(s.latent, before, 3, padding=1)
        self.mid = Middle(before)
        levels = []
        for level in reversed(range(s.levels)):
            levels.insert(0, Level([before] + [s.widths[level]] * (s.blocks + 1), attentive=level in s.attentive))
            before = s.widths[level]
            if level > 0:
                levels[0].upsample = Resampling(before, down=False)
        self.up = nn.ModuleList(levels)
        self.norm_out = norm(before)
        self.conv_out = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for index in reversed(range(len(self.up))):
            level = self.up[index]
            x = level(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Vqgan(nn.Module):
    """All weights of a VQGAN, under upstream's names."""

    def __init__(self, s: Pyramid, codes: int, dimensions: int, *, normalised: bool = False) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(s), Decoder(s)
        self.quantize = VectorQuantizer(codes, dimensions, normalised=normalised)
        self.quant_conv = nn.Conv2d(s.latent, dimensions, 1)
        self.post_quant_conv = nn.Conv2d(dimensions, s.latent, 1)

    def parts(self) -> tuple[Encode, Decode]:
        """Images -> codes, and codes -> images."""
        encode = Encode(self.encoder, self.quantize, self.quant_conv)
        return encode, Decode(self.decoder, self.quantize, self.post_quant_conv)


NOT_NEEDED = (r"loss\.", r"colorize$")
"""Perceptual loss and discriminator of the training."""


def load(weights: Weights, configuration: Configuration, image_size: ImageSize | None) -> Tokenizer:
    """A VQGAN from the weights of a Lightning checkpoint. Raises ValueError."""
    if "quantize.embed.weight" in weights:
        raise ValueError("VQGAN with Gumbel quantisation is not supported: it draws its codes at random")
    s = encoder_pyramid(weights)
    codes, dimensions = (shape(weights, "quantize.embedding.weight", axis) for axis in (0, 1))
    parameters = ("model", "params")
    agree(configuration, *parameters, "n_embed", found=codes)
    agree(configuration, *parameters, "embed_dim", found=dimensions)
    agree(configuration, *parameters, "ddconfig", "ch_mult", found=s.multipliers)
    agree(configuration, *parameters, "ddconfig", "num_res_blocks", found=s.blocks)
    agree(configuration, *parameters, "ddconfig", "z_channels", found=s.latent)
    if setting(configuration, *parameters, "remap") is not None:
        raise ValueError("a VQGAN whose codes are renumbered (remap) is not supported")
    vqgan = Vqgan(s, codes, dimensions)
    load_weights(vqgan, weights, not_needed=NOT_NEEDED)
    resolution = setting(configuration, *parameters, "ddconfig", "resolution") or 256
    size = image_size or ImageSize(resolution, resolution)
    encode, decode = vqgan.parts()
    return Tokenizer(
        encode=encode,
        decode=decode,
        image_size=size,
        codebook=vqgan.quantize.entries(),
        resample="bilinear",
        patch=s.patch,
        grid=grid_of(size, s.patch),
    )


FAMILY = Family(
    kind="taming",
    title="VQGAN",
    repository="https://github.com/CompVis/taming-transformers",
    commit="3ba01b241669f5ade541ce990f7650a3b8f65318",
    licence="MIT",
    load=load,
)
