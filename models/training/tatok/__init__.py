"""TaTok: an adaptive image tokenizer with global tokens, patch tokens and Dynamic Token Filtering.

A reconstruction of arXiv 2605.16384 from its public parts; the entropy model, the losses and the weights are this project's
own.
"""

from .bundle.tokenizer_export import export_tokenizer
from .tokenizer import Estimate, TaTok, Tokens

__all__ = ["Estimate", "TaTok", "Tokens", "export_tokenizer"]
