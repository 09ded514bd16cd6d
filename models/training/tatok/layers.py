"""Building blocks: a pre-norm transformer block with QK-norm, and small convolutional blocks."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def in_autocast_precision(x: Tensor) -> Tensor:
    """x as autocast computes, where autocast is on: a float32 residual stream doubles the memory traffic of every block."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


class Attention(nn.Module):
    """Multi-head self-attention with layer-normalised queries and keys (Dehghani et al., 2023)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.LayerNorm(width // heads, bias=False)
        self.key_norm = nn.LayerNorm(width // heads, bias=False)
        self.project = nn.Linear(width, width)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Normalised in the layout that the projection leaves and attention kernels take: a transposition of memory costs more
        # than the norm.
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, k = self.query_norm(q).to(v.dtype), self.key_norm(k).to(v.dtype)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        q, k, v = self._split(x)
        return self.project(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def forward_with_rows(self, x: Tensor, queries: int) -> tuple[Tensor, Tensor]:
        """As forward, and the attention of the first `queries` tokens over the others, each row renormalised to sum to 1.

        Returns [B, T, width] and [B, heads, queries, T − queries].
        """
        q, k, v = self._split(x)
        logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        rows = logits[:, :, :queries, queries:].softmax(-1)
        return self.project((logits.softmax(-1) @ v).transpose(1, 2).flatten(2)), rows


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self._feed_forward(x + self.attention(self.norm1(x)))

    def forward_with_rows(self, x: Tensor, queries: int) -> tuple[Tensor, Tensor]:
        attended, rows = self.attention.forward_with_rows(self.norm1(x), queries)
        return self._feed_forward(x + attended), rows


def group_count(channels: int) -> int:
    """Groups of a group norm over so many channels."""
    return 8 if channels % 8 == 0 else 4


class ConvBlock(nn.Module):
    """Residual pair of 3×3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(group_count(channels), channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class Grain(nn.Module):
    """Adds a fixed noise field, whose strength each place of each channel has of its own.

    The decoder makes up the detail that the tokens do not hold. Without a source of irregularity it repeats the
    only pattern it has, the patch grid, and a weave shows. The field is the same for every image, so decoding stays
    deterministic. The strengths start at zero.
    """

    field: Tensor

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        noise = np.random.Generator(np.random.PCG64(side)).standard_normal((1, 1, side, side), dtype=np.float32)
        # Rounded as bundles store it.
        self.register_buffer("field", torch.from_numpy(noise).half().float(), persistent=False)
        self.strength = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.strength.weight)
        nn.init.zeros_(self.strength.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.strength(x) * self.field.to(x.dtype)


class Upsample(nn.Module):
    """Doubles the resolution by sub-pixel convolution, initialised to nearest-neighbour (ICNR, Aitken et al., 2017).

    Starting the four sub-pixels equal avoids the checkerboard that a plain initialisation leaves in flat areas.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.conv = nn.Conv2d(channels, 4 * out_channels, 3, padding=1)
        with torch.no_grad():
            self.conv.weight.copy_(self.conv.weight[::4].repeat_interleave(4, dim=0))
            self.conv.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_padded(x) if x.is_cuda else F.pixel_shuffle(self.conv(x), 2)

    def forward_padded(self, x: Tensor) -> Tensor:
        """The same with output channels of zeros up to a multiple of 16, which tensor cores take at once.

        The twelve of an RGB image took a quarter longer than sixteen on an H100, forward and backward.
        """
        missing = -self.conv.out_channels % 16
        weight, bias = F.pad(self.conv.weight, (0, 0) * 3 + (0, missing)), F.pad(self.conv.bias, (0, missing))
        return F.pixel_shuffle(F.conv2d(x, weight, bias, padding=1), 2)[:, : self.out_channels]
