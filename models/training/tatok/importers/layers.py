"""Layers of the imported tokenizers; the convolutional ones have the names that VQGAN (Esser et al., 2021) gave them."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import count, shape
from .family import Weights


@dataclass(frozen=True)
class Pyramid:
    """Numbers of a convolutional tokenizer; `channels` are those of its first convolution, `widths` those of every level."""

    channels: int
    widths: tuple[int, ...]
    blocks: int
    """Residual blocks a level of the encoder."""
    latent: int
    """Dimensions of what the quantiser takes, or of what comes before it."""
    attentive: frozenset[int] = frozenset()
    """Levels with attention."""

    @property
    def levels(self) -> int:
        """How many resolutions there are; each but the first halves the one before."""
        return len(self.widths)

    @property
    def patch(self) -> int:
        """Pixels, in each direction, that one code stands for."""
        return 2 ** (self.levels - 1)

    @property
    def multipliers(self) -> list[int]:
        """`ch_mult` of upstream's configurations."""
        return [width // self.channels for width in self.widths]


def encoder_pyramid(weights: Weights) -> Pyramid:
    """The numbers from the shapes of an encoder's weights. Raises ValueError where these are of something else."""
    # Without any level, the first one is named as missing.
    levels = max(1, count(weights, "encoder.down.#.block.0.conv1.weight"))
    return Pyramid(
        channels=shape(weights, "encoder.conv_in.weight", 0),
        widths=tuple(shape(weights, f"encoder.down.{level}.block.0.conv1.weight", 0) for level in range(levels)),
        blocks=count(weights, "encoder.down.0.block.#.conv1.weight"),
        latent=shape(weights, "encoder.conv_out.weight", 0),
        attentive=frozenset(level for level in range(levels) if f"encoder.down.{level}.attn.0.q.weight" in weights),
    )


def norm(channels: int) -> nn.GroupNorm:
    """VQGAN's group norm."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two normalised 3×3 convolutions around a shortcut, which is a 1×1 convolution where the number of channels changes."""

    def __init__(self, channels: int, out_channels: int, *, bias: bool) -> None:
        super().__init__()
        self.norm1 = norm(channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1, bias=bias)
        self.norm2 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
        self.nin_shortcut = nn.Conv2d(channels, out_channels, 1, bias=bias) if channels != out_channels else None

    def changed(self, x: Tensor) -> Tensor:
        """What is added to the shortcut. [B, C, H, W] -> [B, C', H, W]."""
        x = self.conv1(F.silu(self.norm1(x)))
        return self.conv2(F.silu(self.norm2(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.changed(x) + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class AttentionBlock(nn.Module):
    """Single-head self-attention over all positions, by 1×1 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (project(y).flatten(2).transpose(1, 2).unsqueeze(1) for project in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2)
        return x + self.proj_out(attended.reshape(x.shape))


class VectorQuantizer(nn.Module):
    """The nearest entry of a table, both normalised to length 1 beforehand where `normalised`.

    Distances are computed as ‖z‖² + ‖e‖² − 2·z·e, as upstreams do: ties fall to the same entries.
    """

    def __init__(self, size: int, dimensions: int, *, normalised: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, dimensions)
        self.normalised = normalised

    def entries(self) -> Tensor:
        """The table as it is compared, [size, dimensions]."""
        weight = self.embedding.weight
        return F.normalize(weight, dim=-1) if self.normalised else weight

    def codes(self, z: Tensor) -> Tensor:
        """[..., dimensions] -> int64 [...]."""
        if self.normalised:
            z = F.normalize(z, dim=-1)
        entries = self.entries()
        distances = z.square().sum(-1, keepdim=True) + entries.square().sum(-1) - 2 * (z @ entries.T)
        return distances.argmin(-1)

    def vectors(self, codes: Tensor) -> Tensor:
        """[...] -> [..., dimensions]."""
        return F.embedding(codes, self.entries())


HEAD_WIDTH = 64
"""Of an attention head in all public TiToks: 512 in 8 heads, 768 in 12, 1024 in 16."""


class Attention(nn.MultiheadAttention):
    """Holds the weights of PyTorch's attention; computed here, so that a mask and the maps of some queries come with it."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width // HEAD_WIDTH)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[B, T, width], and keys to attend to [B, T] if not all -> [B, T, width], logits [B, heads, T, T] without the mask."""
        projected = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = projected.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        seen = logits if mask is None else logits.masked_fill(~mask[:, None, None], float("-inf"))
        return self.out_proj((seen.softmax(-1) @ v).transpose(1, 2).flatten(2)), logits


class TransformerBlock(nn.Module):
    """Pre-norm transformer block, under the names that CLIP gave its parts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(width), Attention(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        attended, logits = self.attn(self.ln_1(x), mask)
        x = x + attended
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)))), logits


def channels_last(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H, W, C]."""
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, C, H, W]."""
    return x.permute(0, 3, 1, 2)


class Encode(nn.Module):
    """Images -> int64 codes [B, rows, columns]: `encoder`, an optional convolution, the quantiser."""

    def __init__(self, encoder: nn.Module, quantize: VectorQuantizer, quant_conv: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder, self.quantize, self.quant_conv = encoder, quantize, quant_conv or nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        return self.quantize.codes(channels_last(self.quant_conv(self.encoder(image))))


class Decode(nn.Module):
    """Codes [B, rows, columns] -> images: the quantiser's vectors, an optional convolution, `decoder`."""

    def __init__(self, decoder: nn.Module, quantize: VectorQuantizer, post_quant_conv: nn.Module | None = None) -> None:
        super().__init__()
        self.decoder, self.quantize, self.post_quant_conv = decoder, quantize, post_quant_conv or nn.Identity()

    def forward(self, codes: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(channels_first(self.quantize.vectors(codes))))


def doubled(x: Tensor) -> Tensor:
    """Every pixel four times. [B, C, H, W] -> [B, C, 2H, 2W]."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def depth_to_space(x: Tensor) -> Tensor:
    """[B, 4·C, H, W] -> [B, C, 2H, 2W]; the two spatial factors come before the channels, other than in `F.pixel_shuffle`."""
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, 2, 2, channels // 4, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, channels // 4, 2 * height, 2 * width)
