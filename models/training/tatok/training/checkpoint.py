"""Checkpoints of a run, written atomically, and weights of another run to start from."""

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import TrainConfig
from ..tokenizer import TaTok
from ..weights import read_checkpoint, save_weights


class CheckpointWriter:
    """Writes checkpoint.pt and weights.npz into a run's folder while training goes on; one at a time."""

    def __init__(self, out: Path, config: TrainConfig) -> None:
        self._out, self._config = out, config
        self._thread = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def begin(self, state: dict[str, Any]) -> None:
        """Copies a state to host memory, which the next step may then change, and has a thread write it.

        Raises what `wait` does, about an earlier one.
        """
        self.wait()
        self._written = self._thread.submit(self._write, _on_host(state))

    def wait(self) -> None:
        """Waits until what was begun is written. Raises OSError, and FloatingPointError as `save_checkpoint` does."""
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def _write(self, state: dict[str, Any]) -> None:
        save_checkpoint(self._out / "checkpoint.pt", state, self._config.checkpoints_kept)
        partial = self._out / "weights.partial.npz"
        save_weights(partial, self._config.model, state["average"])
        partial.replace(self._out / "weights.npz")


def _on_host(value: Any) -> Any:
    """A copy of tensors in nested dictionaries and lists."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_host(part) for key, part in value.items()}
    return [_on_host(part) for part in value] if isinstance(value, list) else value


def save_checkpoint(path: Path, state: dict[str, Any], kept: int) -> None:
    """Writes a state, which has its `step`; the one that lies there becomes PATH-STEP, of which the last `kept` − 1 are kept.

    A crash leaves the old file whole. Raises FloatingPointError, before anything is written, where a number in the weights, the
    averaged weights or the optimisers' states is not finite.
    """
    bad = _not_finite(state, "")
    if bad is not None:
        raise FloatingPointError(
            f"{bad} has numbers that are not finite at step {state['step']}: {path} is left as it is; "
            "a lower learning rate in a new run that starts from it may help"
        )
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    if path.exists():
        step = read_checkpoint(path, "meta")["step"]
        if step != state["step"]:
            _keep(path, path.with_stem(f"{path.stem}-{step:08d}"))
    os.replace(partial, path)
    # Later ones are of a run that was taken back to an earlier step.
    earlier = sorted(p for p in path.parent.glob(f"{path.stem}-*{path.suffix}") if p.stem < f"{path.stem}-{state['step']:08d}")
    for old in earlier[: -(kept - 1) or None]:
        old.unlink()


def _keep(path: Path, name: Path) -> None:
    """A second name for a file, or a copy where the file system has one name for each."""
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:
        shutil.copyfile(path, name)


def _not_finite(value: Any, name: str) -> str | None:
    """The name of the first tensor in nested dictionaries and lists that has a number that is not finite."""
    if isinstance(value, Tensor):
        return None if value.isfinite().all() else name
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((bad for key, part in items if (bad := _not_finite(part, f"{name}.{key}".lstrip("."))) is not None), None)


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
