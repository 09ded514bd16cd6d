"""TaTok: an adaptive image tokenizer with global tokens, patch tokens and Dynamic Token Filtering.

A reconstruction of arXiv 2605.16384 from what is public of it; the entropy model, the losses and the weights are this
project's own.
"""
