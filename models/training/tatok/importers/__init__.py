"""Importers of public tokenizers: own modules that load upstream's weights by upstream's names, and write a bundle."""

from typing import Literal, get_args

from . import llamagen, maskgit_vqgan, one_d_piece, open_magvit2, taming, titok
from .family import Family, ImageSize, image_size

Kind = Literal["titok", "maskgit-vqgan", "llamagen", "taming", "open-magvit2", "one-d-piece"]
"""Families of tokenizers, as the command line names them."""
FAMILIES: dict[Kind, Family] = dict(
    zip(
        get_args(Kind),
        (module.FAMILY for module in (titok, maskgit_vqgan, llamagen, taming, open_magvit2, one_d_piece)),
        strict=True,
    )
)

__all__ = ["FAMILIES", "Family", "ImageSize", "Kind", "image_size"]
