"""`maskgit-vqgan`: MaskGIT's VQGAN (Chang et al., 2022) as bytedance/1d-tokenizer stores it, and the pixel decoder of TiTok."""

import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import count, load_weights, shape
from .family import Configuration, Family, ImageSize, Tokenizer, Weights, grid_of
from .layers import Decode, Encode, Pyramid, ResidualBlock, VectorQuantizer, doubled, encoder_pyramid, norm


class Block(ResidualBlock):
    """A residual block without biases. Where its number of channels changes, the shortcut takes its output, not its input.

    Upstream's shortcut does so too: (1 + its convolution) of what the block adds, and nothing of the input.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, bias=False)
        if channels != out_channels:
            self.nin_shortcut = nn.Conv2d(out_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        changed = self.changed(x)
        return changed + (x if self.nin_shortcut is None else self.nin_shortcut(changed))


class Level(nn.Module):
    """Residual blocks at one resolution, and on the way up the convolution after it is doubled."""

    def __init__(self, channels: int, out_channels: int, blocks: int, *, upsample: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Block(channels, out_channels), *(Block(out_channels, out_channels) for _ in range(blocks - 1))
        )
        self.upsample_conv = nn.Conv2d(out_channels, out_channels, 3, padding=1) if upsample else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return x if self.upsample_conv is None else self.upsample_conv(doubled(x))


class Encoder(nn.Module):
    """[B, 3, H, W] in [0, 1] -> [B, latent, H / 2^(levels − 1), W / …]."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, s.channels, 3, padding=1, bias=False)
        befores = (s.channels, *s.widths[:-1])
        self.down = nn.ModuleList(Level(b, s.widths[i], s.blocks, upsample=False) for i, b in enumerate(befores))
        width = s.widths[-1]
        self.mid = nn.Sequential(*(Block(width, width) for _ in range(s.blocks)))
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, s.latent, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv_in(image)
        for index, level in enumerate(self.down):
            x = level(x if index == 0 else F.avg_pool2d(x, 2))
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """[B, latent, h, w] -> [B, 3, h · 2^(levels − 1), w · …] in about [0, 1]; `up` is numbered from the highest resolution."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        width = s.widths[-1]
        self.conv_in = nn.Conv2d(s.latent, width, 3, padding=1)
        self.mid = nn.Sequential(*(Block(width, width) for _ in range(s.blocks)))
        befores = (*s.widths[1:], width)
        self.up = nn.ModuleList(Level(b, s.widths[i], s.blocks, upsample=i > 0) for i, b in enumerate(befores))
        self.norm_out = norm(s.widths[0])
        self.conv_out = nn.Conv2d(s.widths[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for index in reversed(range(len(self.up))):
            x = self.up[index](x)
        return self.conv_out(F.silu(self.norm_out(x)))


class MaskgitVqgan(nn.Module):
    """All weights, under upstream's names."""

    def __init__(self, s: Pyramid, codes: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(s), Decoder(s)
        self.quantize = VectorQuantizer(codes, s.latent)


def decoder_pyramid(weights: Weights, prefix: str) -> Pyramid:
    """The numbers from the shapes of a decoder's weights, whose names begin with `prefix`. Raises ValueError."""
    # Without any level, the first one is named as missing.
    levels = max(1, count(weights, f"{prefix}up.#.block.0.conv1.weight"))
    return Pyramid(
        channels=shape(weights, f"{prefix}conv_out.weight", 1),
        widths=tuple(shape(weights, f"{prefix}up.{level}.block.0.conv1.weight", 0) for level in range(levels)),
        blocks=count(weights, f"{prefix}up.0.block.#.conv1.weight"),
        latent=shape(weights, f"{prefix}conv_in.weight", 1),
    )


def load(weights: Weights, configuration: Configuration, image_size: ImageSize | None) -> Tokenizer:
    """MaskGIT's VQGAN from its weights; it has no configuration. Raises ValueError."""
    if configuration:
        raise ValueError("maskgit-vqgan takes no --config: the checkpoint's shapes tell all that varies")
    s = encoder_pyramid(weights)
    vqgan = MaskgitVqgan(s, shape(weights, "quantize.embedding.weight", 0))
    load_weights(vqgan, weights)
    size = image_size or ImageSize(256, 256)
    return Tokenizer(
        encode=Encode(vqgan.encoder, vqgan.quantize),
        decode=Decode(vqgan.decoder, vqgan.quantize),
        image_size=size,
        codebook=vqgan.quantize.entries(),
        resample="bicubic",
        patch=s.patch,
        grid=grid_of(size, s.patch),
        value_range=(0.0, 1.0),
    )


FAMILY = Family(
    kind="maskgit-vqgan",
    title="MaskGIT-VQGAN",
    repository="https://github.com/bytedance/1d-tokenizer",
    commit="942a96fbdd873780179d1b78d5462911528bf8c8",
    licence="Apache-2.0",
    load=load,
)
