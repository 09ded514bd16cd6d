"""`open-magvit2`: Open-MAGVIT2 (Luo et al., 2024), lookup-free quantisation to bits, from a Lightning checkpoint."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle.format import BitsCodebook
from .checkpoint import load_weights
from .family import AVERAGED, Configuration, Family, ImageSize, Tokenizer, Weights, agree, grid_of, setting
from .layers import Pyramid, ResidualBlock, channels_first, channels_last, depth_to_space, encoder_pyramid, norm


def _blocks(before: int, width: int, number: int) -> nn.Sequential:
    widths = [before] + [width] * number
    return nn.Sequential(*(ResidualBlock(b, a, bias=False) for b, a in pairwise(widths)))


class Level(nn.Module):
    """Residual blocks at one resolution; the encoder adds `downsample`, the decoder `upsample`."""

    def __init__(self, before: int, width: int, blocks: int) -> None:
        super().__init__()
        self.block = _blocks(before, width, blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Encoder(nn.Module):
    """[B, 3, H, W] -> [B, bits, H / 2^(levels − 1), W / …]."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, s.channels, 3, padding=1, bias=False)
        self.down = nn.ModuleList()
        before = s.channels
        for level in range(s.levels):
            self.down.append(Level(before, s.widths[level], s.blocks))
            before = s.widths[level]
            if level < s.levels - 1:
                self.down[level].downsample = nn.Conv2d(before, before, 3, stride=2, padding=1)
        self.mid_block = _blocks(before, before, s.blocks)
        self.norm_out = norm(before)
        self.conv_out = nn.Conv2d(before, s.latent, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv_in(image)
        for level in self.down:
            x = level(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        return self.conv_out(F.silu(self.norm_out(self.mid_block(x))))


class Upsampler(nn.Module):
    """Doubles the resolution by sub-pixel convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, 4 * width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(self.conv1(x))


class AdaptiveGroupNorm(nn.Module):
    """A group norm whose scale and shift follow from the deviation and the mean of the picture's codes."""

    EPS = 1e-6

    def __init__(self, bits: int, width: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(32, width, eps=self.EPS, affine=False)
        self.gamma = nn.Linear(bits, width)
        self.beta = nn.Linear(bits, width)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        flat = code.flatten(2)
        scale = self.gamma((flat.var(-1) + self.EPS).sqrt())
        shift = self.beta(flat.mean(-1))
        return self.gn(x) * scale[..., None, None] + shift[..., None, None]


class Decoder(nn.Module):
    """[B, bits, h, w] of −1 and 1 -> [B, 3, h · 2^(levels − 1), w · …]; `up` is numbered from the highest resolution."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        before = s.widths[-1]
        self.conv_in = nn.Conv2d(s.latent, before, 3, padding=1)
        self.mid_block = _blocks(before, before, s.blocks)
        levels, norms = [], []
        for level in reversed(range(s.levels)):
            norms.insert(0, AdaptiveGroupNorm(s.latent, before))
            levels.insert(0, Level(before, s.widths[level], s.blocks))
            before = s.widths[level]
            if level > 0:
                levels[0].upsample = Upsampler(before)
        self.up, self.adaptive = nn.ModuleList(levels), nn.ModuleList(norms)
        self.norm_out = norm(before)
        self.conv_out = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(code))
        for index in reversed(range(len(self.up))):
            x = self.up[index](self.adaptive[index](x, code))
            if index > 0:
                x = self.up[index].upsample(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class LookupFreeTokenizer(nn.Module):
    """All weights, under upstream's names. Bit i of a code, of value 2^i, is the sign of channel i."""

    def __init__(self, s: Pyramid) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(s), Decoder(s)


class Encode(nn.Module):
    """Images -> int64 codes [B, rows, columns]."""

    values: Tensor

    def __init__(self, encoder: Encoder, bits: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("values", 2 ** torch.arange(bits))

    def forward(self, image: Tensor) -> Tensor:
        return ((channels_last(self.encoder(image)) > 0) * self.values).sum(-1)


class Decode(nn.Module):
    """Codes [B, rows, columns] -> images."""

    values: Tensor

    def __init__(self, decoder: Decoder, bits: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("values", 2 ** torch.arange(bits))

    def forward(self, codes: Tensor) -> Tensor:
        # ONNX has no bitwise operations on int64 in every runtime; division does the same.
        set_bits = (codes.unsqueeze(-1) // self.values) % 2
        return self.decoder(channels_first(set_bits.float() * 2 - 1))


def averaged(weights: Weights) -> tuple[dict[str, Tensor], str]:
    """Weights with their moving averages in their place, which upstream stores under names without dots; which they are."""
    names = [name for name in weights if name.startswith(("encoder.", "decoder."))]
    averages = {name: f"model_ema.{name.replace('.', '')}" for name in names}
    found = {name: weights[average] for name, average in averages.items() if average in weights}
    if not found:
        return dict(weights), "as stored"
    missing = len(names) - len(found)
    if missing:
        raise ValueError(
            f"{missing} of {len(names)} weights have no moving average under model_ema: the checkpoint is not complete"
        )
    return dict(weights) | found, AVERAGED


def load(weights: Weights, configuration: Configuration, image_size: ImageSize | None) -> Tokenizer:
    """An Open-MAGVIT2 image tokenizer from the weights of a Lightning checkpoint. Raises ValueError."""
    s = encoder_pyramid(weights)
    arguments = ("model", "init_args")
    agree(configuration, *arguments, "n_embed", found=2**s.latent)
    agree(configuration, *arguments, "ddconfig", "ch_mult", found=s.multipliers)
    agree(configuration, *arguments, "ddconfig", "num_res_blocks", found=s.blocks)
    taken, which = averaged(weights)
    tokenizer = LookupFreeTokenizer(s)
    load_weights(tokenizer, taken, not_needed=(r"loss\.", r"model_ema\."))
    # The `resolution` of ddconfig is 128 for tokenizers of 256 pixels too; the data's size tells.
    trained = setting(configuration, "data", "init_args", "validation", "params", "config", "size") or 256
    size = image_size or ImageSize(trained, trained)
    return Tokenizer(
        encode=Encode(tokenizer.encoder, s.latent),
        decode=Decode(tokenizer.decoder, s.latent),
        image_size=size,
        codebook=BitsCodebook(bits=s.latent),
        resample="bilinear",
        patch=s.patch,
        grid=grid_of(size, s.patch),
        weights=which,
    )


FAMILY = Family(
    kind="open-magvit2",
    title="Open-MAGVIT2",
    repository="https://github.com/TencentARC/SEED-Voken",
    commit="b9a17eac8e2c0779c12a5429b0bfd6c502788484",
    licence="Apache-2.0",
    load=load,
)
