"""`one-d-piece`: One-D-Piece (Miwa et al., 2025), a TiTok whose tokens are in order of importance: any leading part decodes."""

from .family import Configuration, Family, ImageSize, Tokenizer, Weights
from .titok import load as load_titok


def load(weights: Weights, configuration: Configuration, image_size: ImageSize | None) -> Tokenizer:
    """A One-D-Piece from its weights, which are those of a TiTok. Raises ValueError."""
    return load_titok(weights, configuration, image_size, prefix=True)


FAMILY = Family(
    kind="one-d-piece",
    title="One-D-Piece",
    repository="https://github.com/turingmotors/One-D-Piece",
    commit="473665d1ec5d4f96e07f1c379166f668ee17b961",
    licence="Apache-2.0",
    load=load,
)
