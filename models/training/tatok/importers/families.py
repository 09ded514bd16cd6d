"""All families of tokenizers that can be imported."""

from typing import Literal, get_args

from .family import Family
from .llamagen import FAMILY as LLAMAGEN
from .maskgit_vqgan import FAMILY as MASKGIT_VQGAN
from .one_d_piece import FAMILY as ONE_D_PIECE
from .open_magvit2 import FAMILY as OPEN_MAGVIT2
from .taming import FAMILY as TAMING
from .titok import FAMILY as TITOK

Kind = Literal["titok", "maskgit-vqgan", "llamagen", "taming", "open-magvit2", "one-d-piece"]
"""Families of tokenizers, as the command line names them."""
FAMILIES: dict[Kind, Family] = dict(
    zip(get_args(Kind), (TITOK, MASKGIT_VQGAN, LLAMAGEN, TAMING, OPEN_MAGVIT2, ONE_D_PIECE), strict=True)
)
