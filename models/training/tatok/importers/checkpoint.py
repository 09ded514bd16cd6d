"""Reading checkpoints of others: safely, whatever wraps the weights, and with every key accounted for."""

import json
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

_WRAPPERS = ("ema", "model", "state_dict")
_FOLDER = ("model.safetensors", "pytorch_model.bin")
_MOST_NAMED = 8


class Checkpoint(NamedTuple):
    """Weights by name, the file that they come from, and the configuration beside it."""

    weights: dict[str, Tensor]
    path: Path
    configuration: dict[str, Any]
    averaged: bool
    """Whether the weights are those under `ema`."""


def read_checkpoint(path: Path, configuration: Path | None = None) -> Checkpoint:
    """Reads a .safetensors file, a file of `torch.save`, or a folder with one of them under its usual name and config.json.

    Weights may lie under `ema`, `model` or `state_dict`, taken in this order. Nothing in a checkpoint is executed: objects of
    classes that only the training code has become empty ones, and a checkpoint that cannot be read so is refused. Raises
    ValueError and OSError.
    """
    if path.is_dir():
        files = [path / name for name in _FOLDER if (path / name).is_file()]
        if not files:
            raise ValueError(f"{path} has no {' or '.join(_FOLDER)}: name the checkpoint's file")
        beside = path / "config.json"
        configuration = configuration or (beside if beside.is_file() else None)
        path = files[0]
    elif not path.is_file():
        raise ValueError(f"there is no {path}")
    loaded = load_file(path) if path.suffix == ".safetensors" else _load_pickled(path)
    wrapper = _wrapper(loaded)
    inner = loaded if wrapper is None else loaded[wrapper]
    weights = {str(name).removeprefix("module."): value for name, value in inner.items()}
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no weights")
    return Checkpoint(tensors, path, _read_configuration(configuration) if configuration else {}, wrapper == "ema")


class _Inert:
    """Stands for an object of a class that only the training code has."""

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass


def _load_pickled(path: Path) -> Any:
    try:
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    # Files of before PyTorch 1.6 cannot be searched, and load if they hold tensors only; others fail below.
    except (ValueError, RuntimeError):
        unknown = []
    stand_ins = [(type(name.rsplit(".", 1)[-1], (_Inert,), {}), name) for name in unknown]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint without running code from it: where it was trained, save its weights "
            "alone, as with torch.save(torch.load(FILE)['state_dict'], 'weights.pt')"
        ) from error
    # A file that is no checkpoint raises nearly anything.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} cannot be read as a checkpoint: {reason}") from error


def _wrapper(loaded: Any) -> str | None:
    if not isinstance(loaded, Mapping):
        raise ValueError("the checkpoint is no mapping of names to weights")
    return next((key for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)


def _read_configuration(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        given = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read as {path.suffix.removeprefix('.')}: {error}") from error
    if not isinstance(given, dict):
        raise ValueError(f"{path} is no mapping of settings")
    return given


def load_weights(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    upstream: Callable[[str], str] = str,
    not_needed: Iterable[str] = (),
) -> None:
    """Loads every parameter and buffer of `module` from the key that `upstream` names for it.

    Keys that match a regular expression of `not_needed` are known to be of training alone. Raises ValueError naming keys that
    are missing, that nothing takes, or that have another shape.
    """
    wanted = {upstream(name): value for name, value in module.state_dict().items()}
    missing = sorted(wanted.keys() - weights.keys())
    known = re.compile("|".join(f"(?:{pattern})" for pattern in not_needed) or r"(?!)")
    left_over = sorted(key for key in weights.keys() - wanted.keys() if not known.match(key))
    other = sorted(
        f"{key} {list(weights[key].shape)} instead of {list(value.shape)}"
        for key, value in wanted.items()
        if key in weights and weights[key].shape != value.shape
    )
    problems = [
        f"{count} {what}: {_listed(keys)}"
        for what, keys, count in (
            ("keys are missing", missing, len(missing)),
            ("keys are left over", left_over, len(left_over)),
            ("weights have another shape", other, len(other)),
        )
        if keys
    ]
    if problems:
        raise ValueError(f"the checkpoint is not of this kind, or of a variant that is not supported. {'. '.join(problems)}")
    module.load_state_dict({name: weights[upstream(name)].float() for name in module.state_dict()})


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
    return ", ".join(keys[:_MOST_NAMED]) + more


def shape(weights: Mapping[str, Tensor], key: str, axis: int) -> int:
    """The size of one dimension of a weight. Raises ValueError naming the key where the checkpoint lacks it."""
    if key not in weights:
        raise ValueError(f"the checkpoint is not of this kind: it has no {key}")
    if axis >= weights[key].ndim:
        raise ValueError(f"the checkpoint is not of this kind: {key} has the shape {list(weights[key].shape)}")
    return weights[key].shape[axis]


def count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many numbers follow one another from 0 in place of `#` in keys that begin with `pattern`."""
    before, after = pattern.split("#")
    numbers = {int(m[1]) for key in weights if (m := re.match(re.escape(before) + r"(\d+)" + re.escape(after), key))}
    return next(n for n in range(len(numbers) + 1) if n not in numbers)
