"""`llamagen`: VQ-16 and VQ-8 of LlamaGen (Sun et al., 2024), a VQGAN with a codebook of unit vectors."""

import re

from .checkpoint import load_weights, shape
from .family import Configuration, Family, ImageSize, Tokenizer, Weights, grid_of
from .layers import encoder_pyramid
from .taming import Vqgan

_NOT_NEEDED = (r"quantize\.codebook_used$",)
"""A record of recent codes that the training keeps."""
_MIDDLE = {"block_1": "0", "attn_1": "1", "block_2": "2"}


def upstream_name(name: str, levels: int) -> str:
    """LlamaGen's name of a VQGAN weight; it numbers the levels of the decoder in the order in which they run."""
    name = re.sub(r"\.mid\.(block_1|attn_1|block_2)\.", lambda m: f".mid.{_MIDDLE[m[1]]}.", name)
    name = re.sub(r"^decoder\.up\.(\d+)\.", lambda m: f"decoder.conv_blocks.{levels - 1 - int(m[1])}.", name)
    name = re.sub(r"^encoder\.down\.", "encoder.conv_blocks.", name)
    return re.sub(r"(conv_blocks\.\d+)\.block\.", r"\1.res.", name)


def _vqgan_name(name: str, levels: int) -> str:
    """The VQGAN name of LlamaGen's `name`."""
    middle = {number: part for part, number in _MIDDLE.items()}
    name = re.sub(r"(conv_blocks\.\d+)\.res\.", r"\1.block.", name)
    name = re.sub(r"^encoder\.conv_blocks\.", "encoder.down.", name)
    name = re.sub(r"^decoder\.conv_blocks\.(\d+)\.", lambda m: f"decoder.up.{levels - 1 - int(m[1])}.", name)
    return re.sub(r"\.mid\.([012])\.", lambda m: f".mid.{middle[m[1]]}.", name)


def load(weights: Weights, configuration: Configuration, image_size: ImageSize | None) -> Tokenizer:
    """A LlamaGen tokenizer from its weights; it has no configuration. Raises ValueError."""
    if configuration:
        raise ValueError("llamagen takes no --config: the checkpoint's shapes tell all that varies")
    levels = 1 + max((int(m[1]) for key in weights if (m := re.match(r"encoder\.conv_blocks\.(\d+)\.", key))), default=0)
    s = encoder_pyramid({_vqgan_name(name, levels): value for name, value in weights.items()})
    codes, dimensions = (shape(weights, "quantize.embedding.weight", axis) for axis in (0, 1))
    vqgan = Vqgan(s, codes, dimensions, normalised=True)
    load_weights(vqgan, weights, lambda name: upstream_name(name, s.levels), _NOT_NEEDED)
    size = image_size or ImageSize(256, 256)
    encode, decode = vqgan.parts()
    return Tokenizer(
        encode=encode,
        decode=decode,
        image_size=size,
        codebook=vqgan.quantize.entries(),
        resample="adm",
        patch=s.patch,
        grid=grid_of(size, s.patch),
        assumed=("codes are the nearest entries after normalisation to length 1 (upstream's default)",),
    )


FAMILY = Family(
    kind="llamagen",
    title="LlamaGen VQ",
    repository="https://github.com/FoundationVision/LlamaGen",
    commit="ce98ec41803a74a90ce68c40ababa9eaeffeb4ec",
    licence="MIT",
    load=load,
)
