"""`titok`: TiTok (Yu et al., 2024), an image as a sequence of latent tokens; S-128, B-64, L-32 and the BL and SL tokenizers.

TiTok of the first kind ("legacy") decodes to a distribution over the codes of MaskGIT's VQGAN, whose decoder gives the pixels;
the BL and SL tokenizers give pixels themselves.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .checkpoint import count, load_weights, shape
from .family import Configuration, Family, ImageSize, Tokenizer, Weights, agree, setting
from .layers import HEAD_WIDTH, Pyramid, TransformerBlock, VectorQuantizer
from .maskgit_vqgan import Decoder as PixelDecoder
from .maskgit_vqgan import decoder_pyramid


@dataclass(frozen=True)
class Shape:
    """A TiTok's numbers. `pixels` are those of the pixel decoder; without it, the tokenizer gives pixels itself."""

    image: int
    patch: int
    tokens: int
    codes: int
    dimensions: int
    encoder: tuple[int, int]
    """Width and layers."""
    decoder: tuple[int, int]
    pixels: Pyramid | None
    pixel_codes: int = 0

    @property
    def grid(self) -> int:
        """Rows, and columns, of patches."""
        return self.image // self.patch

    @property
    def heads(self) -> int:
        """Attention heads of the encoder."""
        return self.encoder[0] // HEAD_WIDTH


def _table(*sizes: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*sizes))


class Transformer(nn.Module):
    """What encoder and decoder share: a class token and patches, then the latent tokens, each with its position."""

    def __init__(self, s: Shape, width: int, layers: int) -> None:
        super().__init__()
        self.patches = s.grid**2
        self.class_embedding = _table(1, width)
        self.positional_embedding = _table(self.patches + 1, width)
        self.latent_token_positional_embedding = _table(s.tokens, width)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.ModuleList(TransformerBlock(width) for _ in range(layers))

    def joined(self, patches: Tensor, latents: Tensor) -> Tensor:
        """[B, patches, width], [B, tokens, width] -> [B, 1 + patches + tokens, width]."""
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        before = torch.cat([first, patches], dim=1) + self.positional_embedding
        return self.ln_pre(torch.cat([before, latents + self.latent_token_positional_embedding], dim=1))


class Encoder(Transformer):
    """Images in [0, 1] and latent tokens -> [B, tokens, dimensions], and attention maps [B, layers, heads, tokens, patches]."""

    def __init__(self, s: Shape) -> None:
        width, layers = s.encoder
        super().__init__(s, width, layers)
        self.legacy = s.pixels is not None
        self.patch_embed = nn.Conv2d(3, width, s.patch, s.patch)
        self.conv_out = nn.Conv2d(width, s.dimensions, 1)

    def forward(self, image: Tensor, latent_tokens: Tensor) -> tuple[Tensor, Tensor]:
        patches = self.patch_embed(image).flatten(2).transpose(1, 2)
        x = self.joined(patches, latent_tokens.expand(patches.shape[0], -1, -1))
        maps, first = [], 1 + self.patches
        for block in self.transformer:
            x, logits = block(x)
            maps.append(logits[:, :, first:, 1:first].softmax(-1))
        latents = self.ln_post(x[:, first:])
        # Legacy weights were trained with memory read as [width, tokens] that holds [tokens, width].
        if self.legacy:
            features = latents.reshape(latents.shape[0], latents.shape[2], latents.shape[1])
        else:
            features = latents.transpose(1, 2)
        return self.conv_out(features.unsqueeze(-1)).squeeze(-1).transpose(1, 2), torch.stack(maps, dim=1)


class Decoder(Transformer):
    """[B, tokens, dimensions] -> [B, channels, rows, columns]: logits over pixel codes (legacy), or pixels of the patches."""

    def __init__(self, s: Shape) -> None:
        width, layers = s.decoder
        super().__init__(s, width, layers)
        self.grid, self.patch = s.grid, s.patch
        self.decoder_embed = nn.Linear(s.dimensions, width)
        self.mask_token = _table(1, 1, width)
        if s.pixels is None:
            self.ffn = nn.Sequential(nn.Conv2d(width, 3 * s.patch**2, 1))
            self.conv_out = nn.Conv2d(3, 3, 3, padding=1)
        else:
            self.ffn = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.Tanh(), nn.Conv2d(2 * width, s.pixel_codes, 1))
            self.conv_out = None

    def forward(self, z: Tensor, keep: Tensor | None = None) -> Tensor:
        """With `keep` [B, tokens], tokens that are not kept are not attended to: as if they were not there."""
        x = self.joined(self.mask_token.expand(z.shape[0], self.patches, -1), self.decoder_embed(z))
        mask = None if keep is None else torch.cat([torch.ones_like(x[:, : 1 + self.patches, 0]).bool(), keep], dim=1)
        for block in self.transformer:
            x, _ = block(x, mask)
        patches = self.ln_post(x[:, 1 : 1 + self.patches]).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        result = self.ffn(patches)
        if self.conv_out is None:
            return result
        # Channels are rows, columns and colours of a patch, in this order.
        blocks = result.unflatten(1, (self.patch, self.patch, 3)).permute(0, 3, 4, 1, 5, 2)
        return self.conv_out(blocks.flatten(4, 5).flatten(2, 3))


class TiTok(nn.Module):
    """All weights, under upstream's names."""

    def __init__(self, s: Shape, *, normalised: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(s), Decoder(s)
        self.latent_tokens = _table(s.tokens, s.encoder[0])
        self.quantize = VectorQuantizer(s.codes, s.dimensions, normalised=normalised)
        self.pixel_quantize = VectorQuantizer(s.pixel_codes, s.pixels.latent) if s.pixels else None
        self.pixel_decoder = PixelDecoder(s.pixels) if s.pixels else None


class Encode(nn.Module):
    """Images -> int64 codes [B, tokens] and attention maps."""

    def __init__(self, titok: TiTok) -> None:
        super().__init__()
        self.encoder, self.quantize, self.latent_tokens = titok.encoder, titok.quantize, titok.latent_tokens

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        latents, attention = self.encoder(image, self.latent_tokens)
        return self.quantize.codes(latents), attention


class Decode(nn.Module):
    """Codes [B, tokens], and with a prefix the tokens to keep [B, tokens] -> images."""

    def __init__(self, titok: TiTok) -> None:
        super().__init__()
        self.decoder, self.quantize = titok.decoder, titok.quantize
        self.pixel_quantize, self.pixel_decoder = titok.pixel_quantize, titok.pixel_decoder

    def forward(self, codes: Tensor, keep: Tensor | None = None) -> Tensor:
        result = self.decoder(self.quantize.vectors(codes), keep)
        if self.pixel_decoder is None or self.pixel_quantize is None:
            return result
        expected = torch.einsum("bnhw,nc->bchw", result.softmax(1), self.pixel_quantize.embedding.weight)
        return self.pixel_decoder(expected)


def shape_of(weights: Weights) -> Shape:
    """A TiTok's numbers from the shapes of its weights. Raises ValueError where these are not of a supported TiTok."""
    if "quantize.embedding.weight" not in weights:
        raise ValueError("a TiTok with continuous latents (quantize_mode vae) has no codes, and is not supported")
    if any(key.startswith("decoder.text_guidance") for key in weights):
        raise ValueError("TA-TiTok decodes with the help of a caption, and is not supported")
    legacy = "decoder.ffn.2.weight" in weights
    if legacy and "pixel_decoder.conv_out.weight" not in weights:
        raise ValueError("this TiTok of the first training stage has no pixel decoder: give one of the second stage")
    patch = shape(weights, "encoder.patch_embed.weight", 2)
    grid = round((shape(weights, "encoder.positional_embedding", 0) - 1) ** 0.5)

    def transformer(part: str) -> tuple[int, int]:
        return shape(weights, f"{part}.ln_pre.weight", 0), count(weights, f"{part}.transformer.#.ln_1.weight")

    return Shape(
        image=grid * patch,
        patch=patch,
        tokens=shape(weights, "latent_tokens", 0),
        codes=shape(weights, "quantize.embedding.weight", 0),
        dimensions=shape(weights, "quantize.embedding.weight", 1),
        encoder=transformer("encoder"),
        decoder=transformer("decoder"),
        pixels=decoder_pyramid(weights, "pixel_decoder.") if legacy else None,
        pixel_codes=shape(weights, "decoder.ffn.2.weight", 0) if legacy else 0,
    )


def load(weights: Weights, configuration: Configuration, image_size: ImageSize | None, *, prefix: bool = False) -> Tokenizer:
    """A TiTok from its weights. Raises ValueError."""
    s = shape_of(weights)
    path = ("model", "vq_model")
    agree(configuration, *path, "num_latent_tokens", found=s.tokens)
    agree(configuration, *path, "codebook_size", found=s.codes)
    agree(configuration, *path, "token_size", found=s.dimensions)
    agree(configuration, *path, "vit_enc_patch_size", found=s.patch)
    agree(configuration, "dataset", "preprocessing", "crop_size", found=s.image)
    if image_size not in (None, ImageSize(s.image, s.image)):
        raise ValueError(f"this tokenizer is for images of {s.image}x{s.image} pixels alone: leave --image-size out")
    normalised = setting(configuration, *path, "use_l2_norm")
    # Public checkpoints: all of the first kind normalise, and none of the others.
    told = normalised is not None
    normalised = normalised if told else s.pixels is not None
    titok = TiTok(s, normalised=normalised)
    load_weights(titok, weights)
    manner = "after normalisation to length 1" if normalised else "without normalisation"
    return Tokenizer(
        encode=Encode(titok),
        decode=Decode(titok),
        image_size=ImageSize(s.image, s.image),
        codebook=titok.quantize.entries(),
        resample="bicubic",
        patch=s.patch,
        tokens=s.tokens,
        prefix=prefix,
        attention=(s.encoder[1], s.heads),
        value_range=(0.0, 1.0),
        assumed=() if told else (f"codes are the nearest entries {manner} (use_l2_norm of --config would tell)",),
    )


FAMILY = Family(
    kind="titok",
    title="TiTok",
    repository="https://github.com/bytedance/1d-tokenizer",
    commit="942a96fbdd873780179d1b78d5462911528bf8c8",
    licence="Apache-2.0",
    load=load,
)
