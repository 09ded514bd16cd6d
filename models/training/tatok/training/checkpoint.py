"""Checkpoints of a run: everything that a step needs, written atomically."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..config import TrainConfig
from ..tokenizer import TaTok
from .adversary import Adversary


def save_checkpoint(
    path: Path,
    step: int,
    config: TrainConfig,
    model: nn.Module,
    average: AveragedModel,
    optimizers: list[torch.optim.Optimizer],
    adversary: Adversary | None = None,
) -> None:
    """Writes step, configuration, weights, averaged weights, optimiser states and the adversary's.

    A crash leaves the old file whole.
    """
    state = {
        "step": step,
        "config": config.to_dict(),
        "model": model.state_dict(),
        "average": average.module.state_dict(),
        "optimizers": [o.state_dict() for o in optimizers],
        "adversary": None if adversary is None else adversary.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def start_from(model: TaTok, path: Path) -> None:
    """Weights of another run for a new schedule. Raises ValueError when they are of another shape of model.

    The model's quantiser may have more dimensions after those of the weights. They start without a say: decoder and entropy
    model weigh them with zero, and every level of theirs is as likely as the next. Likewise a refinement stage that the weights
    do not have begins by adding nothing.
    """
    source = TaTok.from_pretrained(path)
    weights, wanted = source.state_dict(), model.state_dict()
    old, new = source.config.levels, model.config.levels
    if len(new) > len(old) and new[: len(old)] == old and max(new) == max(old):
        for name in _OF_DIMENSIONS & weights.keys():
            weights[name] = _with_more_dimensions(name, weights[name], wanted[name])
    if model.config.refinement_width and not source.config.refinement_width:
        weights |= {name: value for name, value in wanted.items() if name.startswith(("decoder.grain.", "decoder.refine."))}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} are not this preset's: {error}") from error


_OF_DIMENSIONS = {
    *(f"encoder.{head}.{part}" for head in ("global_head", "patch_head") for part in ("weight", "bias")),
    *(f"{part}.{embedding}.weight" for part in ("entropy_model", "decoder") for embedding in ("embed_global", "embed_patch")),
    "entropy_model.head.weight",
    "entropy_model.head.bias",
}
"""Weights with one row (heads) or one column (embeddings) for each of the quantiser's dimensions, or one row for each level."""


def _with_more_dimensions(name: str, old: Tensor, fresh: Tensor) -> Tensor:
    """`old` at the start of a tensor of `fresh`'s shape; the rest is `fresh` in the encoder and zero elsewhere."""
    result = fresh.clone() if name.startswith("encoder.") else torch.zeros_like(fresh)
    result[tuple(slice(size) for size in old.shape)] = old
    return result
