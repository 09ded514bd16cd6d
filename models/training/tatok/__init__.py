"""TaTok: an adaptive image tokenizer with global tokens, patch tokens and Dynamic Token Filtering.

A reconstruction of arXiv 2605.16384 from its public parts; the entropy model, the losses and the weights are this project's
own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle.tokenizer_export import export_tokenizer
    from .tokenizer import Estimate, TaTok, Tokens
    from .tokens.load import LoadedTokens, load_tokens

__all__ = ["Estimate", "LoadedTokens", "TaTok", "Tokens", "export_tokenizer", "load_tokens"]

_MODULES = {
    "Estimate": ".tokenizer",
    "LoadedTokens": ".tokens.load",
    "TaTok": ".tokenizer",
    "Tokens": ".tokenizer",
    "export_tokenizer": ".bundle.tokenizer_export",
    "load_tokens": ".tokens.load",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: PyTorch takes seconds, and processes that decode pictures do without it."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
